"""A CSV, TSV, JSON lines or Parquet table with a column of paths and one of labels."""

from __future__ import annotations

import codecs
import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.columns import (
    LABEL_NAMES,
    NO_OPTIONS,
    PATH_NAMES,
    DatasetOptions,
    find_column,
    has_column,
    rows_of_split,
    split_column,
)
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import ARROW_SUFFIXES, open_parquet
from premodel.profiling.datasets.schema import label_values

DELIMITERS = ",;\t|"
UTF16_SEEN = 32
"""Bytes by which the encoding is recognised."""
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})


class Row(NamedTuple):
    """One row: where it stands, and what it holds."""

    place: str
    path: Any
    label: Any
    split: Any


def read(table: Path, root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read a table of paths and labels; further columns are left alone, but one of splits.

    A relative path is looked for beside the table first, then below `root`; where it is there with slashes in place of
    backslashes, or with its letters composed in another way, that file is taken.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column or has no rows; its rows are of several splits and none is asked for;
        a row has no path or label, names a file that is not there, or a label that is not in the list.

    Notes
    -----
    Columns are found by `find_column`. The text is UTF-8, or UTF-16, as spreadsheets write it; the columns are
    separated by the one of , ; tab | that gives the columns, or the most columns. A line "sep=;" before the first is
    passed over.
    """
    suffix = table.suffix.lower()
    notes: list[str] = []
    if suffix in (".parquet", *ARROW_SUFFIXES):
        rows = _parquet_rows(table, labels, options, notes)
    elif suffix in JSON_SUFFIXES:
        rows = list(_json_rows(table, options))
    else:
        rows = list(_csv_rows(table, options))
    if not rows:
        raise DatasetError(
            "the table has no rows", where=table, allowed=f"one row per {options.domain.noun}: path,label"
        )
    wanted = rows_of_split([row.split for row in rows], options.split, table)
    rows = rows if wanted is None else [rows[row] for row in wanted]
    for row in rows:
        _check(row, table)
    paths = [_find(row.path, table, root, row.place) for row in rows]
    truth = labels.resolve([row.label for row in rows], lambda position: f"{table}, {rows[position].place}")
    source, names = FileSource(paths, options.task), [row.path for row in rows]
    return Dataset(root, "table", names, truth, source, notes=tuple(notes), task=options.task)


def has_labels(table: Path, options: DatasetOptions = NO_OPTIONS) -> bool:
    """Tell whether the table has a column of labels."""
    suffix = table.suffix.lower()
    if suffix in (".parquet", *ARROW_SUFFIXES):
        given = open_parquet(table).schema_arrow.names
    elif suffix in JSON_SUFFIXES:
        given = next((list(record) for _, record in _json_records(table)), [])
    else:
        given = _csv_reader(table, options)[0].fieldnames or []
    paths = [name for name in given if has_column([name], PATH_NAMES, options.image_column)]
    return has_column([name for name in given if name not in paths[:1]], LABEL_NAMES, options.label_column)


def _check(row: Row, table: Path) -> None:
    """DatasetError if the row has no path or no label."""
    fine = isinstance(row.path, str) and isinstance(row.label, str | int) and not isinstance(row.label, bool)
    for name, value in (("path", row.path), ("label", row.label)):
        if value is None or value == "":
            raise DatasetError(f"no {name}", where=f"{table}, {row.place}", allowed="path,label in every row")
    if not fine:
        raise DatasetError(
            "no path or no label", where=f"{table}, {row.place}", given=f"{row.path!r}, {row.label!r}"[:80],
            allowed="a text, and a text or a whole number",
        )  # fmt: skip


def read_text(file: Path, allowed: str) -> str:
    """The text of a file in UTF-8 or UTF-16; DatasetError if it is in neither."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", where=file) from error
    try:
        return raw.decode(_encoding(raw))
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"not a CSV table or text file: {error}", where=file, allowed=allowed, do="save it as UTF-8"
        ) from error


def _encoding(raw: bytes) -> str:
    """UTF-16 by its byte order mark, or by the zero bytes of its first, Latin letters; else UTF-8."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first, second = raw[:UTF16_SEEN:2], raw[1:UTF16_SEEN:2]
    if second and not any(second) and any(first):
        return "utf-16-le"
    if first and not any(first) and any(second):
        return "utf-16-be"
    return "utf-8-sig"


def spellings(name: str) -> tuple[str, ...]:
    """The name, with the slashes of other systems, and with its letters composed or decomposed."""
    names = (name, name.replace("\\", "/"))
    return tuple(
        dict.fromkeys((*names, *(unicodedata.normalize(form, one) for one in names for form in ("NFC", "NFD"))))
    )


def _find(name: str, table: Path, root: Path, place: str) -> Path:
    for base in (table.parent, root):
        for one in spellings(name):
            path = base / one
            if _is_file(path):
                return path
    folders = " or ".join(dict.fromkeys((str(table.parent), str(root))))
    raise DatasetError(
        "the file is not there", where=f"{table}, {place}", given=name[:200], allowed=f"a file below {folders}"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name longer than any file system holds, or with a NUL
        return False


def _columns(given: Sequence[str], table: Path, options: DatasetOptions) -> tuple[str, str]:
    asked, option = options.image_column, "--image-column"
    path = find_column(given, PATH_NAMES, asked, what="paths", where=table, option=option)
    rest = [name for name in given if name != path]
    asked, option = options.label_column, "--label-column"
    return path, find_column(rest, LABEL_NAMES, asked, what="labels", where=table, option=option)


def _csv_reader(table: Path, options: DatasetOptions) -> tuple[csv.DictReader[str], int]:
    """The reader, and how many lines stand before the one of the names.

    Raises
    ------
    DatasetError
        The first line cannot be read.
    """
    text = read_text(table, "UTF-8 text with path,label")
    lines = text.splitlines(keepends=True)
    before = 0
    stated = ""
    while before < len(lines) and (not (line := lines[before].strip()) or line.lower().startswith("sep=")):
        stated = line[4:5] or stated
        before += 1
    first = lines[before] if before < len(lines) else ""
    delimiter = "\t" if table.suffix.lower() == ".tsv" else stated or _delimiter(first, options)
    rest = io.StringIO("".join(lines[before:]), newline="")
    return csv.DictReader(rest, delimiter=delimiter, strict=True), before


def _delimiter(first: str, options: DatasetOptions) -> str:
    """What splits the line of the names into those that are looked for; else into the most names."""

    def names(delimiter: str) -> list[str]:
        try:
            return next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return []

    def fit(delimiter: str) -> tuple[int, int]:
        given = names(delimiter)
        asked = (
            has_column(given, PATH_NAMES, options.image_column),
            has_column(given, LABEL_NAMES, options.label_column),
        )
        return sum(asked), len(given)

    return max(DELIMITERS, key=fit)


def _csv_rows(table: Path, options: DatasetOptions) -> Iterator[Row]:
    try:
        reader, before = _csv_reader(table, options)
        given = list(reader.fieldnames or [])
        path, label = _columns(given, table, options)
        split = split_column([name for name in given if name not in (path, label)])
        for record in reader:
            values = ((record[name] or "").strip() if name is not None else None for name in (path, label, split))
            yield Row(f"line {reader.line_num + before}", *values)
    except csv.Error as error:
        raise DatasetError(f"not a CSV table: {error}", where=table, allowed="UTF-8 text with path,label") from error


def _json_records(table: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(read_text(table, "UTF-8 text, one JSON object a line").split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"not JSON: {error}", where=f"{table}, {place}", allowed="an object a line") from error
        if not isinstance(record, dict):
            raise DatasetError("not a JSON object", where=f"{table}, {place}", allowed="an object a line")
        yield place, record


def _json_rows(table: Path, options: DatasetOptions) -> Iterator[Row]:
    columns: tuple[str, str] | None = None
    split: str | None = None
    for place, record in _json_records(table):
        if columns is None:
            columns = _columns(list(record), table, options)
            split = split_column([name for name in record if name not in columns])
        yield Row(place, record.get(columns[0]), record.get(columns[1]), record.get(split) if split else None)


def _parquet_rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> list[Row]:
    file = open_parquet(table)
    given = file.schema_arrow.names
    path, label = _columns(given, table, options)
    split = split_column([name for name in given if name not in (path, label)])
    values, note = label_values(file, label, labels)
    notes += [note] if note else []
    paths, splits = (
        [value for batch in file.iter_batches(columns=[name]) for value in batch.column(name).to_pylist()]
        if name is not None
        else [None] * len(values)
        for name in (path, split)
    )
    return [Row(f"row {row}", *found) for row, found in enumerate(zip(paths, values, splits, strict=True))]
