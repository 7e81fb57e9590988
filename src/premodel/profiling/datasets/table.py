"""A CSV, TSV or Parquet table with the columns `path` and `label`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import open_parquet

COLUMNS = ("path", "label")


def read(table: Path, root: Path, labels: LabelList) -> Dataset:
    """Read a table of paths and labels; further columns are left alone.

    A relative path is looked for beside the table first, then below `root`.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column or has no rows; a row has no path or label, names a file that is
        not there, or a label that is not in the list.
    """
    rows = list(_parquet_rows(table) if table.suffix.lower() == ".parquet" else _csv_rows(table))
    if not rows:
        raise DatasetError("the table has no rows", where=table, allowed="one row per image: path,label")
    paths = [_find(name, table, root, place) for place, name, _ in rows]
    truth = labels.resolve([label for _, _, label in rows], lambda position: f"{table}, {rows[position][0]}")
    return Dataset(root, "table", [name for _, name, _ in rows], truth, FileSource(paths))


def _find(name: str, table: Path, root: Path, place: str) -> Path:
    for base in (table.parent, root):
        path = base / name
        if path.is_file():
            return path
    folders = " or ".join(dict.fromkeys((str(table.parent), str(root))))
    raise DatasetError(
        "the file is not there", where=f"{table}, {place}", given=name, allowed=f"a file below {folders}"
    )


def _csv_rows(table: Path) -> Iterator[tuple[str, str, str]]:
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            _check_columns(table, reader.fieldnames or [])
            for record in reader:
                place = f"line {reader.line_num}"
                for column in COLUMNS:
                    if not (record[column] or "").strip():
                        raise DatasetError(f"no {column}", where=f"{table}, {place}", allowed="path,label in every row")
                yield place, record["path"].strip(), record["label"].strip()
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"not a CSV table: {error}", where=table, allowed="UTF-8 text with path,label") from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", where=table) from error


def _parquet_rows(table: Path) -> Iterator[tuple[str, str, str | int]]:
    file = open_parquet(table)
    _check_columns(table, file.schema_arrow.names)
    row = 0
    for batch in file.iter_batches(columns=list(COLUMNS)):
        for path, label in zip(batch.column("path").to_pylist(), batch.column("label").to_pylist(), strict=True):
            place = f"row {row}"
            if path is None or label is None or isinstance(label, float):
                raise DatasetError(
                    "no path or no label", where=f"{table}, {place}", given=f"{path}, {label}", allowed="path,label"
                )
            yield place, str(path), label if isinstance(label, int) else str(label)
            row += 1


def _check_columns(table: Path, given: Sequence[str]) -> None:
    missing = [column for column in COLUMNS if column not in given]
    if missing:
        raise DatasetError(
            f"no column {' and '.join(missing)}",
            where=table,
            given=", ".join(map(str, given)) or "an empty file",
            allowed="a first line with at least path,label",
        )
