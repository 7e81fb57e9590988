"""The record store: one SQLite file of inputs, answers and shadow comparisons that a server kept, bounded in size.

A record is kept with the probability that it was to be kept with, so that what is computed of records can be weighted
back to the stream they came from. Truths come later (`premodel label`).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from premodel.errors import StoreError
from premodel.files import creating
from premodel.serving.record_tables import (
    APPLICATION_ID,
    BATCH_BYTES,
    BUSY_S,
    COLUMNS,
    EASED,
    FULL,
    LOG_MAX_BYTES,
    LOG_SHARE,
    PAGE_BYTES,
    QUERIES,
    ROW_BYTES,
    SCHEMA,
    TABLES,
    Counts,
    Kept,
    Record,
    is_record_store,
    record_of,
)


class RecordStore:
    """An open record store.

    Parameters
    ----------
    path:
        The file.
    create:
        Make it if it is not there; else that is an error.
    max_mb:
        Of the file and SQLite's log together, in 10^6 bytes; None to leave the size alone.

    Raises
    ------
    StoreError
        It is not there, is no record store, of another schema, or cannot be opened.

    Notes
    -----
    What is deleted is overwritten with zeros. A record that has a truth is kept longer than one that has none, but
    not longer than the retention.
    """

    def __init__(self, path: str | Path, *, create: bool = False, max_mb: float | None = None) -> None:
        self.path = Path(path)
        self._max_bytes = None if max_mb is None else int(max_mb * 1e6)
        new = not self.path.exists()
        if new and not create:
            raise StoreError("record store must exist", where=path, do="make it with: premodel serve --record STORE")
        if new:
            self._make()
        if not is_record_store(self.path):
            raise StoreError("not a record store", where=path, do="give a file that premodel serve --record made")
        with self._errors():
            self._db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.execute("PRAGMA secure_delete = ON")
                found = self._db.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
                if found is None or found[0] != SCHEMA:
                    raise StoreError(
                        "the record store is of another schema version", where=path, given=found and found[0],
                        allowed=SCHEMA, do="use the release of premodel that made it, or record into a new store",
                    )  # fmt: skip
                if self._max_bytes is not None:
                    pages = (self._max_bytes - self._log_bytes) // PAGE_BYTES
                    self._db.execute(f"PRAGMA max_page_count = {pages}")
                    self._db.execute(f"PRAGMA journal_size_limit = {self._log_bytes // 2}")
            except BaseException:
                self._db.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; closing twice is allowed."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    @property
    def disk_bytes(self) -> int:
        """Of the file and SQLite's log beside it."""
        return _size(self.path) + self._wal_bytes

    @property
    def batch_bytes(self) -> int:
        """Of inputs that should be added at once, at most."""
        return BATCH_BYTES if self._max_bytes is None else min(BATCH_BYTES, self._log_bytes // 2)

    @property
    def _wal_bytes(self) -> int:
        return _size(self.path.with_name(self.path.name + "-wal"))

    @property
    def _log_bytes(self) -> int:
        return 0 if self._max_bytes is None else min(self._max_bytes // LOG_SHARE, LOG_MAX_BYTES)

    def about(self) -> dict[str, str]:
        """What the store states of itself: task, labels."""
        with self._errors():
            return dict(self._db.execute("SELECT name, value FROM about").fetchall())

    def adopt(self, task: str, labels: Sequence[str]) -> None:
        """State what the records are of.

        Raises
        ------
        StoreError
            It holds records of another task or of other labels.
        """
        stated = {"task": task, "labels": json.dumps(list(labels))}
        found = self.about()
        for name, value in stated.items():
            if found.get(name, value) != value:
                raise StoreError(
                    f"the record store is of another {'task' if name == 'task' else 'list of labels'}", where=self.path,
                    do="record into a store of its own",
                )  # fmt: skip
        with self._writing():
            self._db.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", stated.items())

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels; none where answers are texts, or before anything was recorded."""
        return tuple(json.loads(self.about().get("labels", "[]")))

    def begin_run(self, started: float, about: Mapping[str, Any]) -> int:
        """A server begins to record; gives its number. Runs that a wrong clock put into the future end now."""
        with self._writing():
            self._db.execute(
                "UPDATE runs SET started = ? - coalesce((SELECT max(elapsed) FROM records r WHERE r.run = runs.run), 0)"
                " WHERE started + coalesce((SELECT max(elapsed) FROM records r WHERE r.run = runs.run), 0) > ?",
                (started, started),
            )
            done = self._db.execute("INSERT INTO runs (started, about) VALUES (?, ?)", (started, json.dumps(about)))
            return int(done.lastrowid or 0)

    def restart_run(self, run: int, started: float) -> None:
        """The clock was set: the run began at another time."""
        with self._writing():
            self._db.execute("UPDATE runs SET started = ? WHERE run = ?", (started, run))

    def add(self, run: int, records: Sequence[Kept]) -> list[int]:
        """Add records in one transaction; gives their numbers.

        Raises
        ------
        StoreError
            The disk is full, a reader keeps the log from being emptied, or they are larger than it may be: nothing of
            them is kept.
        """
        if self._max_bytes is not None:
            self._check_room(sum(len(one.data) + ROW_BYTES for one in records))
        numbers = []
        with self._writing():
            for one in records:
                done = self._db.execute(
                    "INSERT INTO records (run, elapsed, kept, input, answer) VALUES (?, ?, ?, ?, ?)",
                    (run, one.elapsed, one.kept, one.data, json.dumps(one.answer, allow_nan=False)),
                )
                numbers.append(int(done.lastrowid or 0))
        return numbers

    def compared(self, record: int, shadow: Mapping[str, Any]) -> None:
        """Add what a shadow comparison found."""
        with self._writing():
            self._db.execute("UPDATE records SET shadow = ? WHERE record = ?", (json.dumps(shadow), record))

    def make_room(self, incoming: int) -> int:
        """Delete the oldest records of a nearly full file, those neither labelled nor drawn first; gives how many."""
        if self._max_bytes is None:
            return 0
        limit, gone = self._max_bytes - self._log_bytes, 0
        with self._errors():
            if self._used_bytes() + incoming <= FULL * limit:
                return 0
            excess = self._used_bytes() + incoming - int(EASED * limit)
            query = (
                "SELECT record, length(input) + 1000 FROM records"
                " ORDER BY truth IS NOT NULL OR drawn IS NOT NULL, record"
            )
            leaving = []
            for record, size in self._db.execute(query):
                leaving.append((record,))
                excess -= size
                if excess <= 0:
                    break
        for start in range(0, len(leaving), 256):  # in parts, so that the log stays short
            with self._writing():
                self._db.executemany("DELETE FROM records WHERE record = ?", leaving[start : start + 256])
            gone += len(leaving[start : start + 256])
            self._empty_log()
        return gone

    def forget(self, before: float) -> int:
        """Delete records that arrived before that moment, and give their room back; gives how many."""
        old = "DELETE FROM records WHERE (SELECT started FROM runs WHERE runs.run = records.run) + elapsed < ?"
        with self._writing():
            gone = self._db.execute(old, (before,)).rowcount
        if gone:
            with self._errors():
                self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._empty_log()
        return gone

    def counts(self) -> Counts:
        """What it holds."""
        query = (
            "SELECT count(*), count(truth), coalesce(sum(drawn IS NOT NULL AND truth IS NULL), 0), count(shadow),"
            " coalesce(sum(shadow LIKE '%\"agree\"%'), 0), min(started + elapsed), max(started + elapsed)"
            " FROM records JOIN runs USING (run)"
        )
        with self._errors():
            found = self._db.execute(query).fetchone()
            return Counts(*(*found, self.disk_bytes))

    def records(self, *, labelled: bool | None = None, numbers: Iterable[int] | None = None) -> Generator[Record]:
        """Records, the newest first: all, those with a truth or without one, or those of some numbers."""
        with self._errors():
            if numbers is None:
                yield from map(record_of, self._db.execute(QUERIES[labelled]))
                return
            for number in numbers:
                yield from map(record_of, self._db.execute(COLUMNS + " WHERE record = ?", (number,)))

    def draw(self, count: int, seed: int) -> list[int]:
        """Numbers of records to be labelled next: those drawn before that have no truth yet, then a random draw.

        Every record that was neither drawn nor labelled has the same chance, which is kept with those drawn.
        """
        import random

        with self._writing():
            waiting = [
                int(one)
                for (one,) in self._db.execute(
                    "SELECT record FROM records WHERE drawn IS NOT NULL AND truth IS NULL ORDER BY record LIMIT ?",
                    (count,),
                )
            ]
            free = [
                int(one)
                for (one,) in self._db.execute(
                    "SELECT record FROM records WHERE drawn IS NULL AND truth IS NULL ORDER BY record"
                )
            ]
            more = min(count - len(waiting), len(free))
            chosen = sorted(random.Random(seed).sample(free, more))  # noqa: S311 - a sample, not a secret
            self._db.executemany(
                "UPDATE records SET drawn = ? WHERE record = ?", [(more / len(free), one) for one in chosen]
            )
        return [*waiting, *chosen]

    def label(self, truths: Mapping[int, int | str]) -> int:
        """Add truths by record, all or none; gives how many were there before and have another now.

        Raises
        ------
        StoreError
            A record is not there; the message names it.
        """
        changed = 0
        with self._writing():
            for record, truth in truths.items():
                row = self._db.execute("SELECT truth FROM records WHERE record = ?", (record,))
                found = row.fetchone()
                if found is None:
                    raise StoreError(
                        "no such record", where=self.path, given=record, do="it may have been deleted meanwhile"
                    )
                stated = json.dumps(truth)
                changed += found[0] not in (None, stated)
                self._db.execute("UPDATE records SET truth = ? WHERE record = ?", (stated, record))
        return changed

    def _check_room(self, incoming: int) -> None:
        if incoming > self._log_bytes:
            raise StoreError(
                "inputs are too large for the record store", where=self.path, given=f"{incoming} bytes",
                allowed=f"{self._log_bytes} at once", do="give it more room: --record-mb",
            )  # fmt: skip
        self.make_room(incoming)
        if self._wal_bytes + incoming > self._log_bytes:
            self._empty_log()
        if self._wal_bytes + incoming > self._log_bytes:
            raise StoreError("a reader holds the record store, whose log is full", where=self.path)

    def _used_bytes(self) -> int:
        pages, free = (int(self._db.execute(f"PRAGMA {one}").fetchone()[0]) for one in ("page_count", "freelist_count"))
        return (pages - free) * PAGE_BYTES

    def _empty_log(self) -> None:
        """Move what SQLite's log holds into the file, unless a reader needs it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with contextlib.suppress(sqlite3.Error):
            self._db.execute(f"PRAGMA busy_timeout = {int(1e3 * BUSY_S)}")

    def _make(self) -> None:
        """Make the file beside its place, with its tables, and move it there: a store is whole or not there."""
        try:
            with creating(self.path) as part:
                os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                try:
                    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as made:
                        made.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                        made.execute("PRAGMA auto_vacuum = INCREMENTAL")
                        made.execute("PRAGMA journal_mode = WAL")
                        made.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                        made.executescript(f"BEGIN;{TABLES}COMMIT;")
                finally:
                    for end in ("-wal", "-shm"):
                        part.with_name(part.name + end).unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreError(f"record store cannot be made ({reason})", where=self.path) from error

    @contextmanager
    def _writing(self) -> Generator[None]:
        """One transaction, committed at the end or rolled back whole."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the record store failed ({error})", where=self.path) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
