"""Connections to the databases that a store may be in, and what each kind of database needs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from premodel.errors import StoreError, install_hint
from premodel.redact import redacted, remember

BUSY_SECONDS = 60
RETRY_SECONDS = (0.005, 0.1)
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
"""What a URL that names no driver gets: the drivers that the extra `databases` brings."""

EXTRA_DRIVERS = ("psycopg", "pymysql")
SETTINGS = {
    "postgresql": f"SET lock_timeout = '{BUSY_SECONDS}s'",
    "mysql": f"SET SESSION innodb_lock_wait_timeout = {BUSY_SECONDS}, sql_mode = 'STRICT_ALL_TABLES'",
}
"""Of each connection. What does not fit into a column is an error everywhere, never cut off."""

MAKERS_LOCK = {
    "postgresql": "SELECT pg_advisory_lock(hashtext('premodel'))",
    "mysql": f"SELECT GET_LOCK(CONCAT('premodel ', MD5(DATABASE())), {BUSY_SECONDS})",
}
"""Held by whoever makes the tables, until its connection is closed."""


def store_url(where: str | Path) -> URL:
    """The URL of a store given as a file of SQLite or as a URL; StoreError if it is neither."""
    if "://" not in str(where):
        return URL.create("sqlite", database=str(where))
    try:
        url = make_url(str(where))
    except (ArgumentError, ValueError) as error:
        raise StoreError("not an SQLAlchemy URL", given=where, allowed="a file, or dialect://user@host/name") from error
    remember(None if url.password is None else str(url.password))
    driver = DRIVERS.get(url.drivername)
    return url.set(drivername=driver) if driver else url


def store_name(where: str | Path) -> str:
    """What a store is called in messages: without password and parameters."""
    url = store_url(where)
    return str(where) if url.drivername == "sqlite" else redacted(url.render_as_string(hide_password=True))


def open_engine(url: URL, name: str, *, writes: bool) -> Engine:
    """An engine for this URL; nothing is connected yet; StoreError if there is no driver for it."""
    kind = _kind(url.get_backend_name())
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if kind == "sqlite" else {}
    try:
        engine = create_engine(url, pool_pre_ping=kind != "sqlite", **options)
    except NoSuchModuleError as error:
        raise StoreError("unknown kind of database", where=name, given=url.drivername) from error
    except ModuleNotFoundError as error:
        how = install_hint("databases") if error.name in EXTRA_DRIVERS else f"install it with: pip install {error.name}"
        raise StoreError(
            f"the driver of this database is not installed: {error.name}",
            where=name,
            do=how,
        ) from error
    if kind == "sqlite":
        event.listen(engine, "connect", _on_sqlite_connect_to_write if writes else _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    elif kind in SETTINGS:
        event.listen(engine, "connect", _on_server_connect(SETTINGS[kind]))
    return engine


def connect_to_read(engine: Engine) -> Connection:
    """A connection whose transactions each see one state of the database, and change nothing."""
    connection = engine.connect()
    return connection if _is_file(engine) else connection.execution_options(isolation_level="REPEATABLE READ")


def connect_to_write(engine: Engine) -> Connection:
    """A connection whose transactions see, after waiting for another writer, what that one wrote."""
    connection = engine.connect()
    if _is_file(engine):
        return connection.execution_options(premodel_writes=True)
    return connection.execution_options(isolation_level="READ COMMITTED")


def connect_to_make(engine: Engine) -> Connection:
    """A connection to make the tables with, which no other process can get meanwhile."""
    connection = connect_to_write(engine)
    statement = MAKERS_LOCK.get(_kind(engine.dialect.name))
    if statement is not None:
        connection.detach()  # so that closing it ends the session, and with that the lock
        got = connection.exec_driver_sql(statement).scalar()
        connection.commit()
        if got == 0:
            raise StoreError("another process is still making the store", where=engine.url.database)
    return connection


def _kind(name: str) -> str:
    return "mysql" if name == "mariadb" else name


def _is_file(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _on_server_connect(statement: str) -> Callable[[Any, object], None]:
    def on_connect(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()

    return on_connect


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    # Transactions are begun by us, because Python's driver begins them only before the first write.
    connection.isolation_level = None


def _on_sqlite_connect_to_write(connection: Any, record: object) -> None:
    _on_sqlite_connect(connection, record)
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL").close()  # a commit is on the disk when it returns


def _use_wal(connection: Any) -> None:
    # With a write-ahead log readers and the writer do not wait for one another. SQLite's own waiting for a busy
    # database does not cover the change to it, so that two who make a store at once need this loop.
    pause, longest = RETRY_SECONDS
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _on_sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("premodel_writes", False)
    # A writer takes the lock at once: two that had both begun by reading could never both commit.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
