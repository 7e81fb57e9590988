"""A CSV, TSV, JSON lines or Parquet table with a column of paths and one of labels."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.columns import LABEL_NAMES, NO_OPTIONS, PATH_NAMES, DatasetOptions, find_column
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import open_parquet

DELIMITERS = ",;\t|"
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})


def read(table: Path, root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read a table of paths and labels; further columns are left alone.

    A relative path is looked for beside the table first, then below `root`; where it is there with slashes in place of
    backslashes, that file is taken.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column or has no rows; a row has no path or label, names a file that is
        not there, or a label that is not in the list.

    Notes
    -----
    Columns are found by `find_column`. The text is UTF-8, or UTF-16 with its byte order mark, as spreadsheets write
    it; the columns are separated by the one of , ; tab | that the first line is split at.
    """
    suffix = table.suffix.lower()
    if suffix == ".parquet":
        rows = list(_parquet_rows(table, options))
    elif suffix in JSON_SUFFIXES:
        rows = list(_json_rows(table, options))
    else:
        rows = list(_csv_rows(table, options))
    if not rows:
        raise DatasetError("the table has no rows", where=table, allowed="one row per image: path,label")
    paths = [_find(name, table, root, place) for place, name, _ in rows]
    truth = labels.resolve([label for _, _, label in rows], lambda position: f"{table}, {rows[position][0]}")
    return Dataset(root, "table", [name for _, name, _ in rows], truth, FileSource(paths))


def read_text(file: Path, allowed: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark; DatasetError if it is neither."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", where=file) from error
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"not a CSV table or text file: {error}", where=file, allowed=allowed, do="save it as UTF-8"
        ) from error


def _find(name: str, table: Path, root: Path, place: str) -> Path:
    names = (name, name.replace("\\", "/")) if "\\" in name else (name,)
    for base in (table.parent, root):
        for one in names:
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


def _csv_rows(table: Path, options: DatasetOptions) -> Iterator[tuple[str, str, str]]:
    text = read_text(table, "UTF-8 text with path,label")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "\t" if table.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = _columns(list(reader.fieldnames or []), table, options)
        for record in reader:
            place = f"line {reader.line_num}"
            for column in columns:
                if not (record[column] or "").strip():
                    raise DatasetError(
                        f"no {column.strip()}", where=f"{table}, {place}", allowed="path,label in every row"
                    )
            yield place, record[columns[0]].strip(), record[columns[1]].strip()
    except csv.Error as error:
        raise DatasetError(f"not a CSV table: {error}", where=table, allowed="UTF-8 text with path,label") from error


def _json_rows(table: Path, options: DatasetOptions) -> Iterator[tuple[str, str, str | int]]:
    columns: tuple[str, str] | None = None
    for number, line in enumerate(read_text(table, "UTF-8 text, one JSON object a line").splitlines(), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"not JSON: {error}", where=f"{table}, {place}", allowed="an object a line") from error
        if not isinstance(record, dict):
            raise DatasetError("not a JSON object", where=f"{table}, {place}", allowed="an object a line")
        columns = columns or _columns(list(record), table, options)
        path, label = record.get(columns[0]), record.get(columns[1])
        if not isinstance(path, str) or not path or isinstance(label, bool) or not isinstance(label, str | int):
            raise DatasetError(
                "no path or no label", where=f"{table}, {place}", given=f"{path!r}, {label!r}"[:80],
                allowed="a text, and a text or a whole number",
            )  # fmt: skip
        yield place, path, label


def _parquet_rows(table: Path, options: DatasetOptions) -> Iterator[tuple[str, str, str | int]]:
    file = open_parquet(table)
    columns = _columns(file.schema_arrow.names, table, options)
    row = 0
    for batch in file.iter_batches(columns=list(columns)):
        paths, labels = (batch.column(column).to_pylist() for column in columns)
        for path, label in zip(paths, labels, strict=True):
            place = f"row {row}"
            if path is None or label is None or isinstance(label, float):
                raise DatasetError(
                    "no path or no label", where=f"{table}, {place}", given=f"{path}, {label}", allowed="path,label"
                )
            yield place, str(path), label if isinstance(label, int) else str(label)
            row += 1
