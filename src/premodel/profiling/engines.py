"""Connections to the databases that a store may be in, and what each kind of database needs."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from premodel.errors import StoreError

BUSY_SECONDS = 60
RETRY_SECONDS = (0.005, 0.1)


def store_url(where: str | Path) -> URL:
    """The URL of a store given as a file of SQLite or as a URL; StoreError if it is neither."""
    if "://" not in str(where):
        return URL.create("sqlite", database=str(where))
    try:
        return make_url(str(where))
    except ArgumentError as error:
        raise StoreError("not an SQLAlchemy URL", given=where, allowed="a file, or dialect://user@host/name") from error


def open_engine(url: URL, name: str, *, writes: bool) -> Engine:
    """An engine for this URL; nothing is connected yet; StoreError if there is no driver for it."""
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
