"""What the errors of databases mean: whether to try again, and what the user can do."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

MYSQL_CLASHES = (1205, 1213)
"""Waited too long for a lock; deadlock."""

MYSQL_LOST = (1053, 1927, 2002, 2003, 2006, 2013, 2055)
"""The server is shutting down, killed the connection, cannot be reached, or went away."""

POSTGRESQL_CLASHES = ("40001", "40P01", "55P03")
"""Serialisation failure, deadlock, waited too long for a lock."""

POSTGRESQL_LOST = ("08", "57P")
"""Connection failures; the server is shutting down, was killed, or is starting."""

ADVICE = (
    ("disk is full", "free some space, then run the same command again; what was stored is kept"),
    ("no space left", "free some space, then run the same command again; what was stored is kept"),
    ("disk i/o", "see whether the disk is full or failing; what was stored is kept"),
    ("readonly", "give write permission on the file and its folder, or choose another store"),
    ("unable to open", "check that the path is a file that may be read and written"),
    ("locked", "another process is writing to the store: wait for it, then run the same command again"),
    ("not a database", "choose another file, or a new one"),
    ("malformed", "the file is damaged: restore it from a copy, or profile into a new one"),
    ("max_allowed_packet", "raise max_allowed_packet of the server: one row is larger"),
    ("translate host name", "check the host in the URL"),
    ("name or service not known", "check the host in the URL"),
    ("authentication failed", "check the user and the password in the URL"),
    ("access denied", "check the user, the password and the name of the database in the URL"),
    ("unknown database", "make the database first, empty: premodel makes the tables"),
    ("does not exist", "check the URL; the database must be there, empty: premodel makes the tables"),
)


def is_clash(error: DBAPIError) -> bool:
    """Whether another writer was in the way, so that the same transaction can be tried again."""
    number, state = _codes(error)
    return number in MYSQL_CLASHES or state in POSTGRESQL_CLASHES


def is_lost(error: DBAPIError) -> bool:
    """Whether the server went away or cannot be reached, as while it is restarted."""
    number, state = _codes(error)
    if error.connection_invalidated or number in MYSQL_LOST or state.startswith(POSTGRESQL_LOST):
        return True
    # A refused connection comes without any code from PostgreSQL's driver.
    return isinstance(error, OperationalError | InterfaceError) and "connection" in str(error.orig) and not state


def advice(error: DBAPIError) -> str | None:
    """What the user can do; None if that is not known."""
    text = str(error.orig).lower()
    if "max_allowed_packet" in text or "host name" in text or "name or service" in text:
        return next(what for sign, what in ADVICE if sign in text)
    if is_lost(error) and "authentication" not in text and "does not exist" not in text:
        return "see whether the server is running, then run the same command again; what was stored is kept"
    return next((what for sign, what in ADVICE if sign in text), None)


def first_line(error: object) -> str:
    """What the database states, on one line."""
    arguments: list[Any] = list(getattr(error, "args", ()))
    if len(arguments) == 2 and isinstance(arguments[0], int):  # MySQL: number and text
        error = arguments[1]
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _codes(error: DBAPIError) -> tuple[int, str]:
    """MySQL's error number and PostgreSQL's state; 0 and "" where there are none."""
    arguments: list[Any] = list(getattr(error.orig, "args", ()))
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 0
    return number, str(getattr(error.orig, "sqlstate", None) or "")
