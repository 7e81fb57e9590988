"""Opening a store: any database that SQLAlchemy speaks, SQLite by default."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

from premodel.errors import StoreError
from premodel.store import engines
from premodel.store.database_errors import advice, first_line, is_clash, is_lost
from premodel.store.engines import (
    connect_to_make,
    connect_to_read,
    connect_to_write,
    open_engine,
    store_name,
    store_url,
)
from premodel.store.migrations import OLDER, migrate
from premodel.store.schema import METADATA, SCHEMA_VERSION, SINCE_4, STORE
from premodel.version import __version__

ATTEMPTS = 5
RETRY_SECONDS = 0.2
PROFILE_COMMAND = "premodel profile ZOO.toml DATA --store STORE"
T = TypeVar("T")


class Store:
    """One profile's database.

    Parameters
    ----------
    where:
        A file of SQLite, or an SQLAlchemy URL (it contains "://").
    create:
        Make the tables if the database is empty or the file is not there; else that is an error.

    Raises
    ------
    StoreError
        The database cannot be opened, holds other tables than a store's, is of a newer schema version, or is empty
        and is not to be created.

    Notes
    -----
    A store of an older schema version is migrated when it is opened, in one transaction.
    """

    def __init__(self, where: str | Path, *, create: bool = False) -> None:
        self.url = store_url(where)
        self.name = store_name(where)
        file = Path(self.url.database or "") if self.url.drivername == "sqlite" else None
        if file is not None and not file.exists():
            if not create:
                raise StoreError("store must exist", where=self.name, do=f"make it with: {PROFILE_COMMAND}")
            if not file.parent.is_dir():
                raise StoreError("the folder of the store is not there", where=self.name, given=file.parent)
        self._file: Path | None = None
        self._identity: tuple[int, int] | None = None
        self._engine = open_engine(self.url, self.name, writes=create)
        try:
            if file is not None and not create:
                self._open_readable(file)
            self._check(create)
            self._file = file
            self._identity = None if file is None else _identity(file)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; closing twice is allowed."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one state of the store; StoreError if the database fails, or is another by now."""
        self._refuse_another()
        with _told(self.name), connect_to_read(self._engine) as connection:
            self._refuse_another()
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end, or rolled back whole; StoreError if the database fails.

        One writer at a time: the next waits. IntegrityError passes, for `write` to try again. A file that was moved or
        replaced since it was opened is refused: whatever lies at its place is not ours.
        """
        self._refuse_another()
        with _told(self.name), connect_to_write(self._engine) as connection, connection.begin():
            self._refuse_another()
            connection.execute(select(STORE.c.value).where(STORE.c.name == "schema_version").with_for_update())
            yield connection
        self._refuse_another()

    def _refuse_another(self) -> None:
        if self._file is None or self._identity is None:
            return
        found = _identity(self._file)
        if found == self._identity:
            return
        raise StoreError(
            "the store was moved or deleted while it was open"
            if found is None
            else "another file took the store's place while it was open",
            where=self.name,
            do="put it back, or run the same command again; what was committed is in the file that was moved",
        )

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction.

        It is done again from the start where another writer was faster with the same keys, and where the server was
        restarted meanwhile, which is waited for. So the work must be one that may be done twice.
        """
        clashes = 0
        deadline: float | None = None
        while True:
            try:
                with self.writing() as connection:
                    return work(connection)
            except IntegrityError as error:
                clashes += 1
                if clashes == ATTEMPTS:
                    raise StoreError(
                        f"rows of another writer are in the way ({first_line(error.orig)})", where=self.name
                    ) from error
            except StoreError as error:
                cause = error.__cause__
                deadline = time.monotonic() + engines.BUSY_SECONDS if deadline is None else deadline
                again = isinstance(cause, DBAPIError) and (is_clash(cause) or is_lost(cause))
                if not again or time.monotonic() >= deadline:
                    raise
                time.sleep(RETRY_SECONDS)

    def _open_readable(self, file: Path) -> None:
        """Fall back to reading a file that lies where nothing may be written, such as a read-only disk."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        except DBAPIError as error:
            unwritable = any(sign in str(error.orig) for sign in ("unable to open", "readonly"))
            if not unwritable or file.with_name(file.name + "-wal").exists():
                return  # the check that follows reports what is wrong
            self._engine.dispose()
            frozen = f"file:{file.absolute().as_posix().replace('?', '%3f').replace('#', '%23')}"
            url = URL.create("sqlite", database=frozen, query={"mode": "ro", "immutable": "1", "uri": "true"})
            self._engine = open_engine(url, self.name, writes=False)

    def _check(self, create: bool) -> None:
        tables, version = self._state()
        unmade = not tables or (STORE.name in tables and version is None)
        if unmade and create:
            with _told(self.name), connect_to_make(self._engine) as connection, connection.begin():
                _create(connection)
            tables, version = self._state()
        elif unmade:
            raise StoreError("the store is empty", where=self.name, do=f"fill it with: {PROFILE_COMMAND}")
        added = {table.name for table in SINCE_4} if version in OLDER else set()
        if not tables.issuperset(set(METADATA.tables) - added):
            raise StoreError(
                "the database is not a premodel store, or is damaged",
                where=self.name,
                given="tables " + ", ".join(sorted(tables)[:8]),
                allowed="a store, or an empty database",
            )
        if version in OLDER:
            self._migrate(version)
            tables, version = self._state()
            if version == "3":
                return  # read-only: what version 4 added is not there, and so it is empty
        if version != str(SCHEMA_VERSION):
            raise StoreError(
                "the store is of another schema version",
                where=self.name,
                given=version,
                allowed=SCHEMA_VERSION,
                do="use the release of premodel that made it, or profile into a new store",
            )

    def _migrate(self, version: str) -> None:
        """Bring a store of an older version to the present one, whole or not at all.

        One of version 3 that cannot be written to is left as it is: it can be read.
        """
        try:
            with self.writing() as connection:
                migrate(connection)
        except StoreError as error:
            cause = error.__cause__
            if version == "3" and isinstance(cause, DBAPIError) and "readonly" in first_line(cause.orig):
                return
            raise StoreError(
                f"the store is of schema version {version} and cannot be brought to version {SCHEMA_VERSION}",
                where=self.name,
                given=first_line(cause.orig) if isinstance(cause, DBAPIError) else error,
                do=advice(cause) if isinstance(cause, DBAPIError) else None,
            ) from error

    def _state(self) -> tuple[set[str], str | None]:
        """The tables, and the schema version; both of one transaction, so that no half-made store is seen."""
        with self.reading() as connection:
            tables = set(inspect(connection).get_table_names())
            if STORE.name not in tables:
                return tables, None
            version = connection.scalar(select(STORE.c.value).where(STORE.c.name == "schema_version"))
        return tables, version


def _create(connection: Connection) -> None:
    # MySQL commits each table as it is made: the first marks the others as ours if this process is killed now.
    STORE.create(connection, checkfirst=True)
    METADATA.create_all(connection)
    known = connection.execute(select(STORE.c.name)).first()
    if known is None:
        rows = {"schema_version": str(SCHEMA_VERSION), "made_by": f"premodel {__version__}"}
        connection.execute(insert(STORE), [{"name": name, "value": value} for name, value in rows.items()])


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file lies there; None for none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what the database states into one line."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise StoreError(f"the database failed: {first_line(error.orig)}", where=name, do=advice(error)) from error
