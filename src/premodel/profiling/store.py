"""Opening a store: any database that SQLAlchemy speaks, SQLite by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.sql import ClauseElement

from premodel.errors import StoreError
from premodel.profiling.schema import METADATA, SCHEMA_VERSION, STORE
from premodel.version import __version__

BUSY_SECONDS = 60
ATTEMPTS = 5
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
        The database cannot be opened, holds other tables than a store's, is of another schema version, or is empty
        and is not to be created.
    """

    def __init__(self, where: str | Path, *, create: bool = False) -> None:
        self.url = _url(where)
        self.name = str(where) if self.url.drivername == "sqlite" else self.url.render_as_string(hide_password=True)
        file = Path(self.url.database or "") if self.url.drivername == "sqlite" else None
        if file is not None and not file.exists():
            if not create:
                raise StoreError("there is no such store", where=self.name, do=f"make it with: {PROFILE_COMMAND}")
            if not file.parent.is_dir():
                raise StoreError("the folder of the store is not there", where=self.name, given=file.parent)
        self._engine = _engine(self.url, self.name, writes=create)
        try:
            if file is not None and not create:
                self._open_readable(file)
            self._check(create)
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
        """One transaction that sees one state of the store; StoreError if the database fails."""
        with _told(self.name), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end, or rolled back whole; StoreError if the database fails.

        IntegrityError passes, for `write` to try again.
        """
        with (
            _told(self.name),
            self._engine.connect().execution_options(premodel_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, again from the start where another writer was faster with the same keys."""
        for _ in range(ATTEMPTS):
            try:
                with self.writing() as connection:
                    return work(connection)
            except IntegrityError as error:
                last = error
        raise StoreError(f"rows of another writer are in the way ({_first_line(last.orig)})", where=self.name)

    def _open_readable(self, file: Path) -> None:
        """Fall back to reading a file that lies where nothing may be written, such as a read-only disk."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        except DBAPIError as error:
            unwritable = any(sign in str(error.orig) for sign in ("unable to open", "readonly"))
            if not unwritable or file.with_name(file.name + "-wal").exists():
                return  # the check that follows tells what is wrong
            self._engine.dispose()
            frozen = f"file:{file.absolute().as_posix().replace('?', '%3f').replace('#', '%23')}"
            url = URL.create("sqlite", database=frozen, query={"mode": "ro", "immutable": "1", "uri": "true"})
            self._engine = _engine(url, self.name, writes=False)

    def _check(self, create: bool) -> None:
        with _told(self.name):
            tables = set(inspect(self._engine).get_table_names())
        if not tables and create:
            self._make()
            return
        if not tables:
            raise StoreError("the store is empty", where=self.name, do=f"fill it with: {PROFILE_COMMAND}")
        if not tables.issuperset(METADATA.tables):
            raise StoreError(
                "the database is not a premodel store, or is damaged",
                where=self.name,
                given="tables " + ", ".join(sorted(tables)[:8]),
                allowed="a store, or an empty database",
            )
        with self.reading() as connection:
            rows = connection.execute(select(STORE.c.name, STORE.c.value))
            version = {str(name): str(value) for name, value in rows}.get("schema_version")
        if version != str(SCHEMA_VERSION):
            raise StoreError(
                "the store is of another schema version",
                where=self.name,
                given=version,
                allowed=SCHEMA_VERSION,
                do="use the release of premodel that made it, or profile into a new store",
            )

    def _make(self) -> None:
        try:
            self.write(_create)
        except StoreError:
            # Another process may have made the same tables at the same moment.
            with _told(self.name):
                if not set(inspect(self._engine).get_table_names()).issuperset(METADATA.tables):
                    raise


def merge(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, each replacing the row of the same key if there is one; keys are unique within `rows`.

    Notes
    -----
    Delete and insert in one transaction instead of an upsert, which every engine spells differently. The statements go
    to the driver as they are: SQLAlchemy's handling of each row would add a third to the time.
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    _execute_many(connection, table.delete().where(*(table.c[name] == bindparam(name) for name in keys)), rows)
    names = list(rows[0])
    _execute_many(connection, insert(table).values({name: bindparam(name) for name in names}), rows)


def _execute_many(connection: Connection, statement: ClauseElement, rows: Sequence[Mapping[str, Any]]) -> None:
    compiled: Any = statement.compile(dialect=connection.dialect)
    if compiled.positional:
        values: list[Any] = [tuple(row[name] for name in compiled.positiontup) for row in rows]
    else:
        values = [dict(row) for row in rows]
    connection.exec_driver_sql(compiled.string, values)


def _create(connection: Connection) -> None:
    METADATA.create_all(connection)
    known = connection.execute(select(STORE.c.name)).first()
    if known is None:
        rows = {"schema_version": str(SCHEMA_VERSION), "made_by": f"premodel {__version__}"}
        connection.execute(insert(STORE), [{"name": name, "value": value} for name, value in rows.items()])


def _url(where: str | Path) -> URL:
    if "://" not in str(where):
        return URL.create("sqlite", database=str(where))
    try:
        return make_url(str(where))
    except ArgumentError as error:
        raise StoreError("not an SQLAlchemy URL", given=where, allowed="a file, or dialect://user@host/name") from error


def _engine(url: URL, name: str, *, writes: bool) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS} if sqlite else {})
    except NoSuchModuleError as error:
        raise StoreError("unknown kind of database", where=name, given=url.drivername) from error
    except ModuleNotFoundError as error:
        raise StoreError(
            f"the driver of this database is not installed: {error.name}",
            where=name,
            do=f"install it with: pip install {error.name}",
        ) from error
    if sqlite:
        event.listen(engine, "connect", _on_sqlite_connect_to_write if writes else _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    # Transactions are begun by us, because Python's driver begins them only before the first write.
    connection.isolation_level = None


def _on_sqlite_connect_to_write(connection: Any, record: object) -> None:
    _on_sqlite_connect(connection, record)
    # Readers and the writer do not wait for one another; a commit is on the disk when it returns.
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("premodel_writes", False)
    # A writer takes the lock at once: two that had both begun by reading could never both commit.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what the database says into one line."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise StoreError(f"the database failed: {_first_line(error.orig)}", where=name, do=_advice(error)) from error


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _advice(error: DBAPIError) -> str | None:
    text = str(error.orig).lower()
    for sign, advice in (
        ("disk is full", "free some space, then run the same command again; what was stored is kept"),
        ("disk i/o", "see whether the disk is full or failing; what was stored is kept"),
        ("readonly", "give write permission on the file and its folder, or choose another store"),
        ("unable to open", "check that the path is a file that may be read and written"),
        ("locked", "another process is writing to the store: wait for it, then run the same command again"),
        ("not a database", "choose another file, or a new one"),
        ("malformed", "the file is damaged: restore it from a copy, or profile into a new one"),
    ):
        if sign in text:
            return advice
    return None
