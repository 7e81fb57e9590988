"""What a record store holds: its tables, and a record as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from premodel.files import is_regular

APPLICATION_ID = 0x504D5231
"""In the head of the file: "PMR1"."""
SCHEMA = "1"
PAGE_BYTES = 4096
MIN_MB, DEFAULT_MB = 10.0, 1000.0
DEFAULT_DAYS = 30.0
LOG_SHARE, LOG_MAX_BYTES = 4, 64 << 20
"""The part of the size that SQLite's own log may have, and at most so many bytes."""
FULL, EASED = 0.9, 0.8
"""Of the size: where the oldest records go, and until how much is left."""
ROW_BYTES = 1000
"""Of a record beside its input, at most."""
BATCH_BYTES = 8 << 20
"""Of one transaction."""
BUSY_S = 5.0
DAY_S = 86_400.0
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (run INTEGER PRIMARY KEY AUTOINCREMENT, started REAL NOT NULL, about TEXT NOT NULL);
CREATE TABLE records (
    record INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, elapsed REAL NOT NULL, kept REAL NOT NULL,
    input BLOB NOT NULL, answer TEXT NOT NULL, shadow TEXT, drawn REAL, truth TEXT
);
CREATE INDEX labelled ON records (record) WHERE truth IS NOT NULL;
INSERT INTO about VALUES ('schema', '1');
"""
"""JSON in `about`, `answer`, `shadow` and `truth`; `elapsed` is from the start of the run."""
COLUMNS = (
    "SELECT record, started + elapsed, kept, input, answer, shadow, drawn, truth FROM records JOIN runs USING (run)"
)
QUERIES = {
    None: COLUMNS + " ORDER BY record DESC",
    True: COLUMNS + " WHERE truth IS NOT NULL ORDER BY record DESC",
    False: COLUMNS + " WHERE truth IS NULL ORDER BY record DESC",
}


@dataclass(frozen=True)
class Record:
    """One input and what became of it.

    Attributes
    ----------
    record:
        Its number.
    arrived:
        Seconds since 1970 by the server's clock.
    kept:
        The probability with which it was to be kept.
    data:
        The encoded input.
    answer:
        What was answered: label, outcome, probability, confidence, candidate, ran, failed, latency_ms.
    shadow:
        The comparison with the best candidate, if there was one: candidate, outcome, answer.
    drawn:
        The probability with which it was drawn to be labelled; None if it was not.
    truth:
        The true label, or the true text; None if it is not known yet.
    """

    record: int
    arrived: float
    kept: float
    data: bytes
    answer: Mapping[str, Any]
    shadow: Mapping[str, Any] | None
    drawn: float | None
    truth: int | str | None


@dataclass(frozen=True)
class Kept:
    """A record about to be written, by what `RecordStore.add` needs."""

    elapsed: float
    kept: float
    data: bytes
    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """What a record store holds.

    Attributes
    ----------
    records, labelled, drawn:
        How many; how many of them have a truth, and how many were drawn to be labelled and have none yet.
    compared, agreed:
        Shadow comparisons, and how many of them gave the same answer.
    oldest, newest:
        Seconds since 1970; None without records.
    disk_bytes:
        Of the file and SQLite's log beside it.
    """

    records: int
    labelled: int
    drawn: int
    compared: int
    agreed: int
    oldest: float | None
    newest: float | None
    disk_bytes: int


def is_record_store(path: str | Path) -> bool:
    """Does a record store lie there, by the head of the file."""
    if "://" in str(path) or not is_regular(Path(path)):
        return False
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(72)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and head[68:72] == APPLICATION_ID.to_bytes(4, "big")


def record_of(row: tuple[Any, ...]) -> Record:
    """A row of QUERIES as a record."""
    number, arrived, kept, data, answer, shadow, drawn, truth = row
    return Record(
        int(number), float(arrived), float(kept), bytes(data), json.loads(answer),
        None if shadow is None else json.loads(shadow), None if drawn is None else float(drawn),
        None if truth is None else json.loads(truth),
    )  # fmt: skip
