"""Committing work as it goes: a run killed at any moment loses at most its last second."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from sqlalchemy import Table

from premodel.clock import now_ms
from premodel.errors import StoreError
from premodel.store.rows import merge
from premodel.store.store import Store

FLUSH_MS = 500.0
FLUSH_ROWS = 2_000


class Writer:
    """Gathers rows and commits them in batches, at least every half second of work.

    Used as a context manager it commits what is left at the end, also when the work was interrupted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, tuple[Table, list[dict[str, Any]]]] = {}
        self._count = 0
        self._oldest_ms = 0.0
        self._last_ms = now_ms()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, StoreError):  # the store has already failed
            self.flush()

    def add(self, table: Table, row: dict[str, Any]) -> None:
        """Add a row, which replaces the stored row of the same key; commits when it is time."""
        now = now_ms()
        if self._count == 0:
            self._oldest_ms = now
        self._rows.setdefault(table.name, (table, []))[1].append(row)
        self._count += 1
        # The next row may take as long as this one took: commit now if the oldest would then be too old.
        pace_ms = now - self._last_ms
        self._last_ms = now
        if self._count >= FLUSH_ROWS or now - self._oldest_ms + pace_ms >= FLUSH_MS:
            self.flush()

    def flush(self) -> None:
        """Commit what is gathered, in one transaction; StoreError if the database fails."""
        if not self._count:
            return
        batches = list(self._rows.values())

        def work(connection: Any) -> None:
            for table, rows in batches:
                merge(connection, table, rows)

        self._store.write(work)
        self._rows = {}
        self._count = 0
        self._last_ms = now_ms()
