"""Hugging Face style Parquet: `image{bytes,path}` and `label`, one or more files."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.image.decode import read_file
from premodel.errors import DatasetError, ImageError
from premodel.profiling.datasets.base import Dataset, Payload
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import open_parquet

BATCH_ROWS = 64


def is_huggingface(file: Path) -> bool:
    """Tell whether the Parquet file has a column `image` that holds structs."""
    schema = open_parquet(file).schema_arrow
    return "image" in schema.names and str(schema.field("image").type).startswith("struct<")


def read(files: Sequence[Path], root: Path, labels: LabelList) -> Dataset:
    """Read the labels of Parquet files; images are read later, in batches of rows.

    Labels are indices, or names. Where the files carry the class names of their indices (the `ClassLabel` that the
    `datasets` library writes) and all of them are known, indices are translated by name, so that another order of
    the same classes is read rightly.

    Raises
    ------
    DatasetError
        A file cannot be read, lacks a column, or holds a label that is not in the list.
    """
    names: list[str] = []
    truth: list[NDArray[np.int32]] = []
    notes: dict[str, None] = {}
    counts = []
    for file in files:
        parquet = open_parquet(file)
        _check_columns(file, parquet.schema_arrow)
        values, note = _label_values(parquet, labels)
        if note:
            notes[note] = None
        truth.append(labels.resolve(values, lambda row, file=file: f"{file}, row {row}"))  # type: ignore[misc]
        names.extend(f"{file.name}#{row}" for row in range(len(values)))
        counts.append(len(values))
    if not names:
        raise DatasetError("no rows", where=root, allowed="at least one image")
    source = ParquetSource(files, counts)
    return Dataset(root, "huggingface", names, np.concatenate(truth), source, notes=tuple(notes))


class ParquetSource:
    """Rows of Parquet files, read in batches; row 0 is the first row of the first file."""

    def __init__(self, files: Sequence[Path], counts: Sequence[int]) -> None:
        self.files = tuple(files)
        self._starts = [0, *accumulate(counts)]

    @property
    def paths(self) -> None:
        """The bytes lie inside the tables."""
        return None

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        """Bytes of each row; only row groups that hold a wanted row are read."""
        wanted: list[list[int]] = [[] for _ in self.files]
        for row in rows:
            wanted[bisect_right(self._starts, row) - 1].append(row)
        for file, start, some in zip(self.files, self._starts, wanted, strict=False):
            if some:
                yield from self._read_file(file, start, some)

    def _read_file(self, file: Path, start: int, rows: list[int]) -> Iterator[Payload]:
        parquet = open_parquet(file)
        next_wanted = iter(rows)
        row = next(next_wanted, None)
        first = start
        for group in range(parquet.num_row_groups):
            end = first + parquet.metadata.row_group(group).num_rows
            if row is not None and row < end:
                position = first
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=["image"]):
                    images = batch.column("image")
                    while row is not None and row < position + len(images):
                        yield _payload(row, images[row - position].as_py(), file)
                        row = next(next_wanted, None)
                    position += len(images)
                    if row is None or row >= end:
                        break
            first = end


def _payload(row: int, image: dict[str, Any] | None, file: Path) -> Payload:
    image = image or {}
    data = image.get("bytes")
    if data is not None:
        return Payload(row, data)
    path = image.get("path")
    if not path:
        return Payload(row, None, "the row has neither bytes nor a path")
    try:
        return Payload(row, read_file(file.parent / path))
    except ImageError as error:
        return Payload(row, None, str(error))


def _check_columns(file: Path, schema: Any) -> None:
    if "label" not in schema.names or "image" not in schema.names:
        raise DatasetError(
            "the columns image and label are needed",
            where=file,
            given=", ".join(schema.names),
            allowed="image{bytes,path}, label",
        )


def _label_values(parquet: Any, labels: LabelList) -> tuple[list[str | int], str]:
    values = [value for batch in parquet.iter_batches(columns=["label"]) for value in batch.column("label").to_pylist()]
    values = [value if isinstance(value, (int, str)) else str(value) for value in values]
    class_names = _class_names(parquet.schema_arrow)
    if not class_names or not all(isinstance(value, int) for value in values):
        return values, ""
    if tuple(class_names) == labels.names:
        return values, ""
    if all(not name.isdigit() and labels.knows(name) for name in class_names):
        return [class_names[value] if 0 <= value < len(class_names) else value for value in values], ""
    return values, (
        "the file's class names are not those of the zoo's label list; its labels are taken as indices into that list"
    )


def _class_names(schema: Any) -> list[str]:
    """Class names of the label column as the `datasets` library stores them; empty if there are none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(raw)["info"]["features"]["label"]["names"] if raw else []
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names]
