"""Hugging Face style tables: a column of images (encoded bytes, or structs of bytes and path) and one of labels."""

from __future__ import annotations

import json
import re
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
from premodel.profiling.datasets.columns import IMAGE_NAMES, LABEL_NAMES, NO_OPTIONS, DatasetOptions, find_column
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import open_parquet

BATCH_ROWS = 64
UNLABELLED = -1
"""What the `datasets` library writes where a sample has no label, as in the test split of many data sets."""
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing")
_SHARD = re.compile(rf"(?:.*[-_/])?({'|'.join(SPLITS)})(?:[-_.].*)?")


def is_huggingface(file: Path) -> bool:
    """Tell whether the table has a column that holds images: structs of bytes and path, or bytes."""
    return bool(_image_columns(open_parquet(file).schema_arrow))


def choose_split(files: Sequence[Path], root: Path, split: str | None) -> list[Path]:
    """The files of one split, told by their names (`train-00000-of-00002.parquet`), or by the folder they lie in.

    Raises
    ------
    DatasetError
        The files are of several splits and none is asked for, or none is of the split that is.
    """
    by_split: dict[str, list[Path]] = {}
    for file in files:
        found = _SHARD.fullmatch(str(file.relative_to(root).with_suffix("")).replace("\\", "/").lower())
        by_split.setdefault(found[1] if found else "", []).append(file)
    if split is not None:
        if split.lower() not in by_split:
            known = ", ".join(sorted(filter(None, by_split))) or "files whose names tell no split"
            raise DatasetError("no such split", where=root, given=split, allowed=known)
        return by_split[split.lower()]
    if len(by_split) > 1:
        counts = ", ".join(f"{name or 'none'} ({len(some)} files)" for name, some in sorted(by_split.items()))
        raise DatasetError(
            "the files are of several splits, which are not mixed", where=root, given=counts,
            do="name one with --split, or give its files in a folder of their own",
        )  # fmt: skip
    return list(files)


def read(files: Sequence[Path], root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read the labels of tables; images are read later, in batches of rows.

    Labels are indices, or names. Where the files carry the class names of their indices (the `ClassLabel` that the
    `datasets` library writes) and all of them are known, indices are translated by name, so that another order of
    the same classes is read rightly. Rows without a label (null, or -1) are left out and counted in a note.

    Raises
    ------
    DatasetError
        A file cannot be read, lacks a column, or holds a label that is not in the list.
    """
    names: list[str] = []
    truth: list[NDArray[np.int32]] = []
    notes: dict[str, None] = {}
    counts, kept, columns = [], [], []
    unlabelled = 0
    for file in files:
        parquet = open_parquet(file)
        image, label = _columns(file, parquet.schema_arrow, options)
        values, note = _label_values(parquet, label, labels)
        if note:
            notes[note] = None
        rows = [row for row, value in enumerate(values) if value is not None]
        unlabelled += len(values) - len(rows)
        known = [value for value in values if value is not None]
        truth.append(
            labels.resolve(known, lambda at, file=file, rows=rows: f"{file}, row {rows[at]}")  # type: ignore[misc]
        )
        names.extend(f"{file.name}#{row}" for row in rows)
        counts.append(len(rows))
        kept.append(rows)
        columns.append(image)
    if not names:
        given = f"{unlabelled} rows without a label" if unlabelled else None
        raise DatasetError("no rows", where=root, given=given, allowed="at least one labelled image")
    if unlabelled:
        notes[f"{unlabelled} rows without a label (null or {UNLABELLED}) were left out"] = None
    source = ParquetSource(files, counts, kept, columns)
    return Dataset(root, "huggingface", names, np.concatenate(truth), source, notes=tuple(notes))


class ParquetSource:
    """Rows of tables, read in batches; row 0 is the first kept row of the first file."""

    def __init__(
        self, files: Sequence[Path], counts: Sequence[int], kept: Sequence[Sequence[int]], columns: Sequence[str]
    ) -> None:
        self.files = tuple(files)
        self._kept = kept
        self._columns = columns
        self._starts = [0, *accumulate(counts)]

    @classmethod
    def of_file(cls, file: Path) -> ParquetSource:
        """All rows of one file, labelled or not, by their number in it."""
        parquet = open_parquet(file)
        count = parquet.metadata.num_rows
        columns = _image_columns(parquet.schema_arrow)
        if not columns:
            raise DatasetError("no column of images", where=file, given=", ".join(parquet.schema_arrow.names))
        return cls([file], [count], [range(count)], columns[:1])

    @property
    def paths(self) -> None:
        """The bytes lie inside the tables."""
        return None

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        """Bytes of each row; only row groups that hold a wanted row are read."""
        wanted: list[list[int]] = [[] for _ in self.files]
        for row in rows:
            wanted[bisect_right(self._starts, row) - 1].append(row)
        for number, some in enumerate(wanted):
            if some:
                yield from self._read_file(number, some)

    def _read_file(self, number: int, rows: list[int]) -> Iterator[Payload]:
        file, start, kept, column = self.files[number], self._starts[number], self._kept[number], self._columns[number]
        parquet = open_parquet(file)
        next_wanted = iter([(row, kept[row - start]) for row in rows])
        wanted = next(next_wanted, None)
        first = 0
        for group in range(parquet.num_row_groups):
            end = first + parquet.metadata.row_group(group).num_rows
            if wanted is not None and wanted[1] < end:
                position = first
                for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column]):
                    images = batch.column(column)
                    while wanted is not None and wanted[1] < position + len(images):
                        yield _payload(wanted[0], images[wanted[1] - position].as_py(), file)
                        wanted = next(next_wanted, None)
                    position += len(images)
                    if wanted is None or wanted[1] >= end:
                        break
            first = end


def _payload(row: int, image: dict[str, Any] | bytes | None, file: Path) -> Payload:
    if isinstance(image, bytes):
        return Payload(row, image)
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


def _image_columns(schema: Any) -> list[str]:
    """Columns of structs with bytes or a path, and columns of bytes with a usual name."""
    found = []
    for name in schema.names:
        kind = str(schema.field(name).type)
        struct = kind.startswith("struct<") and ("bytes: " in kind or "path: " in kind)
        if struct or (kind in ("binary", "large_binary") and name.casefold() in IMAGE_NAMES):
            found.append(name)
    return found


def _columns(file: Path, schema: Any, options: DatasetOptions) -> tuple[str, str]:
    """The column of images and the one of labels."""
    images = _image_columns(schema)
    asked, option = options.image_column, "--image-column"
    if len(images) == 1 and asked is None:
        image = images[0]
    else:
        given = images if asked is None else schema.names
        image = find_column(given, IMAGE_NAMES, asked, what="images", where=file, option=option)
    rest = [name for name in schema.names if name not in (*images, image)]
    asked, option = options.label_column, "--label-column"
    if asked is None and len(rest) == 1:
        return image, rest[0]
    return image, find_column(rest, LABEL_NAMES, asked, what="labels", where=file, option=option)


def _label_values(parquet: Any, column: str, labels: LabelList) -> tuple[list[str | int | None], str]:
    values = [value for batch in parquet.iter_batches(columns=[column]) for value in batch.column(column).to_pylist()]
    values = [
        None
        if value is None or (value == UNLABELLED and isinstance(value, int))
        else value
        if isinstance(value, (int, str))
        else str(value)
        for value in values
    ]
    class_names = _class_names(parquet.schema_arrow, column)
    if not class_names or not all(value is None or isinstance(value, int) for value in values):
        return values, ""
    if tuple(class_names) == labels.names:
        return values, ""
    if all(not name.isdigit() and labels.knows(name) for name in class_names):
        return [
            class_names[value] if isinstance(value, int) and 0 <= value < len(class_names) else value
            for value in values
        ], ""
    return values, (
        "the file's class names are not those of the zoo's label list; its labels are taken as indices into that list"
    )


def _class_names(schema: Any, column: str) -> list[str]:
    """Class names of the label column as the `datasets` library stores them; empty if there are none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(raw)["info"]["features"][column]["names"] if raw else []
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []
