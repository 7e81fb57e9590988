"""Hugging Face style tables: a column of images (encoded bytes, or structs of bytes and path) and one of labels."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, SampleError
from premodel.profiling.datasets.base import Dataset, Payload
from premodel.profiling.datasets.columns import (
    IMAGE_NAMES,
    LABEL_NAMES,
    NO_OPTIONS,
    SPLITS,
    DatasetOptions,
    find_column,
    has_column,
    rows_of_split,
    split_column,
)
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import ARROW_SUFFIXES, open_parquet
from premodel.profiling.datasets.schema import UNLABELLED, label_values

BATCH_ROWS = 64
_SHARD = re.compile(rf"(?:.*[-_/])?({'|'.join(SPLITS)})(?:[-_./].*)?")


def is_huggingface(file: Path, options: DatasetOptions = NO_OPTIONS) -> bool:
    """Tell whether the table has a column that holds images: structs of bytes and path, or bytes."""
    return bool(_image_columns(open_parquet(file).schema_arrow, options.image_column))


def find_shards(root: Path, *, deep: bool) -> list[Path]:
    """The Parquet and Arrow files of a data set: in the folder or its `data`; or, if `deep`, wherever they lie below.

    Of a data set that the `datasets` library saved to disk these are the files that its `state.json` names, not those
    of its cache.
    """
    shards = _tables(root.glob("*")) or _tables(root.glob("data/*"))
    if deep and not shards:
        shards = _tables(root.rglob("*"))
        shards = [file for file in shards if not any(part.startswith(".") for part in file.relative_to(root).parts)]
    saved = {folder: _saved_files(folder) for folder in {file.parent for file in shards}}
    return [file for file in shards if (names := saved[file.parent]) is None or file.name in names]


def _tables(files: Iterable[Path]) -> list[Path]:
    return sorted(file for file in files if file.suffix.lower() in (".parquet", *ARROW_SUFFIXES) and file.is_file())


def _saved_files(folder: Path) -> set[str] | None:
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return {str(file["filename"]) for file in state["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def choose_split(files: Sequence[Path], root: Path, split: str | None) -> list[Path]:
    """The files of one split, as their names tell (`train-00000-of-00002.parquet`), or the folder they lie in.

    Raises
    ------
    DatasetError
        The files are of several splits and none is asked for, or none is of the split that is; or they are of several
        configurations: folders that are not splits.
    """
    by_split: dict[str, list[Path]] = {}
    saved = (root / "dataset_dict.json").is_file()
    for file in files:
        name = str(file.relative_to(root).with_suffix("")).replace("\\", "/").lower()
        found = _SHARD.fullmatch(name)
        named = name.partition("/")[0] if saved and "/" in name else found[1] if found else ""
        by_split.setdefault(named, []).append(file)
    if split is not None:
        if split.lower() not in by_split:
            known = ", ".join(sorted(filter(None, by_split))) or "files whose names tell no split"
            raise DatasetError("no such split", where=root, given=split, allowed=known)
        chosen = by_split[split.lower()]
    elif len(by_split) > 1:
        counts = ", ".join(f"{name or 'none'} ({len(some)} files)" for name, some in sorted(by_split.items()))
        raise DatasetError(
            "the files are of several splits, which are not mixed", where=root, given=counts,
            do="name one with --split, or give its files in a folder of their own",
        )  # fmt: skip
    else:
        chosen = list(files)
    homes = sorted({str(file.parent.relative_to(root)) for file in chosen})
    if len(homes) > 1:
        raise DatasetError(
            "the files are of several folders, which are not mixed", where=root, given=", ".join(homes[:5]),
            do="give one of the folders",
        )  # fmt: skip
    return chosen


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
    of_split = _rows_of_split(files, root, options.split)
    for file, wanted in zip(files, of_split, strict=True):
        parquet = open_parquet(file)
        image, label = _columns(file, parquet.schema_arrow, options)
        if not has_column([label], LABEL_NAMES, options.label_column):
            notes[f"the labels are those of the column {label!r}; --label-column names another"] = None
        values, note = label_values(parquet, label, labels)
        if note:
            notes[note] = None
        taken = range(len(values)) if wanted is None else wanted
        rows = [row for row in taken if values[row] is not None]
        unlabelled += len(taken) - len(rows)
        known = [value for row in rows if (value := values[row]) is not None]
        truth.append(
            labels.resolve(known, lambda at, file=file, rows=rows: f"{file}, row {rows[at]}")  # type: ignore[misc]
        )
        names.extend(f"{file.name}#{row}" for row in rows)
        counts.append(len(rows))
        kept.append(rows)
        columns.append(image)
    if not names:
        given = f"{unlabelled} rows without a label" if unlabelled else None
        raise DatasetError("no rows", where=root, given=given, allowed=f"at least one labelled {options.domain.noun}")
    if unlabelled:
        notes[f"{unlabelled} rows without a label (null or {UNLABELLED}) were left out"] = None
    source = ParquetSource(files, counts, kept, columns, options.task)
    return Dataset(root, "huggingface", names, np.concatenate(truth), source, notes=tuple(notes), task=options.task)


def has_split_column(files: Sequence[Path]) -> bool:
    """Return whether every file has a column that names the split of each row."""
    return all(split_column(open_parquet(file).schema_arrow.names) is not None for file in files)


def _rows_of_split(files: Sequence[Path], root: Path, split: str | None) -> list[list[int] | None]:
    """Of each file the rows of the split, where a column names it; None for all. The split may be the files' own."""
    values: list[list[object]] = []
    for file in files:
        parquet = open_parquet(file)
        column = split_column(parquet.schema_arrow.names)
        if column is None:
            return [None for _ in files]
        batches = parquet.iter_batches(columns=[column])
        values.append([value for batch in batches for value in batch.column(column).to_pylist()])
    together = [value for some in values for value in some]
    rows = rows_of_split(together, split, root)
    if rows is None:
        return [None for _ in files]
    starts = [0, *accumulate(len(some) for some in values)]
    return [[row - start for row in rows if start <= row < end] for start, end in pairwise(starts)]


class ParquetSource:
    """Rows of tables, read in batches; row 0 is the first kept row of the first file."""

    def __init__(
        self,
        files: Sequence[Path],
        counts: Sequence[int],
        kept: Sequence[Sequence[int]],
        columns: Sequence[str],
        task: str = IMAGE_TASK,
    ) -> None:
        self.files = tuple(files)
        self._kept = kept
        self._columns = columns
        self._task = task
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
        """Bytes of each row; only row groups that hold a wanted row are read; DatasetError if a page is damaged."""
        wanted: list[list[int]] = [[] for _ in self.files]
        for row in rows:
            wanted[bisect_right(self._starts, row) - 1].append(row)
        for number, some in enumerate(wanted):
            if not some:
                continue
            try:
                yield from self._read_file(number, some)
            except (OSError, ValueError, OverflowError) as error:  # pyarrow's, of pages that are damaged
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                raise DatasetError(
                    f"images cannot be read ({reason})", where=self.files[number], do="get the file again"
                ) from error

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
                        yield _payload(wanted[0], images[wanted[1] - position].as_py(), file, self._task)
                        wanted = next(next_wanted, None)
                    position += len(images)
                    if wanted is None or wanted[1] >= end:
                        break
            first = end


def _payload(row: int, image: dict[str, Any] | bytes | None, file: Path, task: str) -> Payload:
    if isinstance(image, bytes):
        return Payload(row, image)
    image = image if isinstance(image, dict) else {}
    data = image.get("bytes")
    if isinstance(data, bytes):
        return Payload(row, data)
    path = image.get("path")
    if not path or not isinstance(path, str):
        return Payload(row, None, "the row has neither bytes nor a path")
    try:
        return Payload(row, domain_of(task).read_file(file.parent / path))
    except SampleError as error:
        return Payload(row, None, str(error))


def _image_columns(schema: Any, asked: str | None = None) -> list[str]:
    """Columns of structs with bytes or a path, and of bytes with a usual name; else the one column of bytes.

    Any column of bytes may be asked for.
    """
    found, of_bytes = [], []
    for name in schema.names:
        kind = str(schema.field(name).type)
        if kind.startswith("struct<") and ("bytes: " in kind or "path: " in kind):
            found.append(name)
        elif kind in ("binary", "large_binary", "binary_view"):
            of_bytes.append(name)
    found += [name for name in of_bytes if has_column([name], IMAGE_NAMES, None)]
    if asked is not None:
        found += [name for name in of_bytes if has_column([name], (), asked)]
    elif not found and len(of_bytes) == 1:
        found = of_bytes
    return list(dict.fromkeys(found))


def _columns(file: Path, schema: Any, options: DatasetOptions) -> tuple[str, str]:
    """The column of images and the one of labels."""
    images = _image_columns(schema, options.image_column)
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
