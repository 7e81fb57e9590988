"""Writing and reading many rows at once, without SQLAlchemy's handling of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement


def merge(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, each replacing the row of the same key if there is one; keys are unique within `rows`.

    Notes
    -----
    Delete and insert in one transaction instead of an upsert, which every engine spells differently. The statements go
    to the driver as they are: SQLAlchemy's handling of each row would add a third to the time.
    """
    if not rows:
        return
    remove(connection, table, rows)
    names = list(rows[0])
    _execute_many(connection, insert(table).values({name: bindparam(name) for name in names}), rows)


def remove(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Delete the rows of the same keys."""
    if rows:
        keys = [column.name for column in table.primary_key]
        _execute_many(connection, table.delete().where(*(table.c[name] == bindparam(name) for name in keys)), rows)


class PlainQuery:
    """A query with named values that is asked again and again, and compiled only once for each kind of database."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        self._compiled: dict[str, Any] = {}

    def fetch(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """As `fetch_plain`, with these values."""
        dialect = connection.dialect
        key = f"{dialect.name} {dialect.driver}"
        compiled = self._compiled.get(key)
        if compiled is None:
            self._compiled[key] = compiled = self._query.compile(dialect=dialect)
        return _fetch(connection, compiled, values)


def fetch_plain(connection: Connection, query: Select[Any]) -> list[tuple[Any, ...]]:
    """All rows of a query as the driver gives them: text, numbers and bytes, but no types that SQLAlchemy makes."""
    return _fetch(connection, query.compile(dialect=connection.dialect), {})


def _fetch(connection: Connection, compiled: Any, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    values = {**compiled.params, **given}
    chosen: Any = tuple(values[name] for name in compiled.positiontup) if compiled.positional else values
    cursor: Any = connection.exec_driver_sql(compiled.string, chosen).cursor
    try:
        rows: list[tuple[Any, ...]] = list(cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:  # text that is none
        raise DBAPIError(compiled.string, None, error) from error
    finally:
        cursor.close()
    return rows


def _execute_many(connection: Connection, statement: ClauseElement, rows: Sequence[Mapping[str, Any]]) -> None:
    compiled: Any = statement.compile(dialect=connection.dialect)
    if compiled.positional:
        values: list[Any] = [tuple(row[name] for name in compiled.positiontup) for row in rows]
    else:
        values = [{name: row[name] for name in compiled.params} for row in rows]
    connection.exec_driver_sql(compiled.string, values)
