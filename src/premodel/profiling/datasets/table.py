"""A CSV, TSV, JSON lines or Parquet table with a column of paths, or of inputs themselves, and one of labels."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource, Source, TextSource
from premodel.profiling.datasets.columns import (
    NO_OPTIONS,
    DatasetOptions,
    has_column,
    rows_of_split,
    split_column,
)
from premodel.profiling.datasets.consistency import NAMES_TAKEN, names_beside_numbers, several_labels
from premodel.profiling.datasets.csv_rows import csv_reader, csv_rows
from premodel.profiling.datasets.elsewhere import FilesBelow
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import ARROW_SUFFIXES, open_parquet
from premodel.profiling.datasets.rows import (
    Row,
    columns_of,
    form_of,
    further_column,
    is_inline,
    read_text,
    row_of,
)
from premodel.profiling.datasets.schema import label_values, only_one
from premodel.profiling.datasets.wide import class_columns

JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})


def read(table: Path, root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read a table of paths, or of inputs themselves, and labels; further columns are left alone, but one of splits.

    A relative path is looked for beside the table first, then below `root`; where it is there with slashes in place of
    backslashes, or with its letters composed in another way, that file is taken. An absolute path of another machine is
    the file below them whose path has the longest end in common.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column or has no rows; its rows are of several splits and none is asked for;
        a row has no path or label, names a file that is not there, or a label that is not in the list.

    Notes
    -----
    Columns are found by `find_column`. The text is UTF-8, or UTF-16, as spreadsheets write it; the columns are
    separated by the one of , ; tab | that gives the columns, or the most columns. A line "sep=;" before the first is
    passed over. Without a line of names, the column of file names holds the paths, and the only other one, or the only
    one of labels, the labels; where labels have no column, columns named as labels, of 0 and 1, state the class. What
    was guessed is in a note. A domain whose inputs stand in tables (`Domain.inline`) has a column of them before one of
    paths; rows whose input is empty are left out then, and counted in a note.
    """
    return read_tables([table], root, labels, options)


def read_tables(tables: Sequence[Path], root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read several tables as one, such as the shards of a data set; see `read`."""
    notes: list[str] = []
    rows = [(table, row) for table in tables for row in _rows(table, labels, options, notes)]
    first = tables[0] if len(tables) == 1 else root
    if not rows:
        raise DatasetError(
            "the table has no rows", where=first, allowed=f"one row per {options.domain.noun}: {row_of(options)}"
        )
    wanted = rows_of_split([row.split for _, row in rows], options.split, first)
    rows = rows if wanted is None else [rows[row] for row in wanted]
    filled = [(table, row) for table, row in rows if not (row.inline and row.path in (None, ""))]
    if len(filled) < len(rows):
        if not filled:
            raise DatasetError(f"no row has a {options.domain.noun}", where=first, given=f"{len(rows)} rows")
        notes.append(f"{len(rows) - len(filled)} rows without a {options.domain.noun} were left out")
        rows = filled
    for table, row in rows:
        _check(row, table, options)
    values = [row.label for _, row in rows]
    if (named := names_beside_numbers(values, [row.name for _, row in rows], labels)) is not None:
        values, notes = list(named), [*notes, NAMES_TAKEN]
    truth = labels.resolve(values, lambda at: f"{rows[at][0]}, {rows[at][1].place}")
    source: Source
    if all(row.inline for _, row in rows):
        source = TextSource([row.path for _, row in rows])
        names = [f"{table.name}, {row.place}" for table, row in rows]
    else:
        suffixes = sorted(options.domain.suffixes)
        below = FilesBelow(list(dict.fromkeys([*(table.parent for table in tables), root])))
        paths = [_find(row.path, table, root, row.place, suffixes, below) for table, row in rows]
        notes += below.note()
        source = FileSource(paths, options.task)
        notes += several_labels(paths, truth.tolist(), labels, options.domain.plural)
        names = [row.path for _, row in rows]
    return Dataset(root, "table", names, truth, source, notes=tuple(dict.fromkeys(notes)), task=options.task)


def _rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> list[Row]:
    suffix = form_of(table)
    if suffix in (".parquet", *ARROW_SUFFIXES):
        return _parquet_rows(table, labels, options, notes)
    if suffix in JSON_SUFFIXES:
        return list(_json_rows(table, options))
    return list(csv_rows(table, labels, options, notes))


def has_labels(table: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> bool:
    """Tell whether the table has a column of labels, or one per class."""
    suffix = form_of(table)
    if suffix in (".parquet", *ARROW_SUFFIXES):
        given = open_parquet(table).schema_arrow.names
    elif suffix in JSON_SUFFIXES:
        given = next((list(record) for _, record in _json_records(table)), [])
    else:
        given = csv_reader(table, options)[0].fieldnames or []
        if options.label_column is None and class_columns(given, labels):
            return True
    paths = [name for name in given if has_column([name], options.input_names, options.image_column)]
    return has_column([name for name in given if name not in paths[:1]], options.label_names, options.label_column)


def _check(row: Row, table: Path, options: DatasetOptions) -> None:
    """DatasetError if the row has no path or no label."""
    fine = isinstance(row.path, str) and isinstance(row.label, str | int) and not isinstance(row.label, bool)
    named, of_row = options.domain.noun if row.inline else "path", row_of(options)
    truth = "label" if options.domain.answers_labels else "truth"
    for name, value in ((named, row.path), (truth, row.label)):
        if value is None or value == "":
            raise DatasetError(f"no {name}", where=f"{table}, {row.place}", allowed=f"{of_row} in every row")
    if not fine:
        raise DatasetError(
            f"no {named} or no {truth}", where=f"{table}, {row.place}", given=f"{row.path!r}, {row.label!r}"[:80],
            allowed="a text, and a text or a whole number",
        )  # fmt: skip


def spellings(name: str) -> tuple[str, ...]:
    """The name, with the slashes of other systems, and with its letters composed or decomposed."""
    names = (name, name.replace("\\", "/"))
    return tuple(
        dict.fromkeys((*names, *(unicodedata.normalize(form, one) for one in names for form in ("NFC", "NFD"))))
    )


def _find(name: str, table: Path, root: Path, place: str, suffixes: Sequence[str], below: FilesBelow) -> Path:
    bases = dict.fromkeys((table.parent, root))
    for base in bases:
        for one in spellings(name):
            path = base / one
            if _is_file(path):
                return path
    # A name without its suffix, as tables of ids hold.
    found = {path for base in bases for suffix in suffixes if _is_file(path := base / f"{name}{suffix}")}
    if len(found) == 1:
        return found.pop()
    if (moved := below.find(name, f"{table}, {place}")) is not None:
        return moved
    folders = " or ".join(dict.fromkeys((str(table.parent), str(root))))
    raise DatasetError(
        "the file is not there", where=f"{table}, {place}", given=name[:200], allowed=f"a file below {folders}"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name longer than any file system holds, or with a NUL
        return False


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
    further: str | None = None
    inline = False
    for place, given in _json_records(table):
        record = _flat(given) if options.domain.inline else given
        if columns is None:
            columns = columns_of(list(record), table, options)
            split = split_column([name for name in record if name not in columns])
            inline = is_inline(columns[0], options)
            further = further_column(list(record), (*columns, split), options)
        path, label, of_split, name = (record.get(one) if one else None for one in (*columns, split, further))
        yield Row(place, path, only_one(label), of_split, inline, only_one(name))


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The record with tables inside it laid open: {"translation": {"en": ..., "de": ...}} has the columns en and de."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        found.update(value if isinstance(value, dict) else {name: value})
    return found


def _parquet_rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> list[Row]:
    file = open_parquet(table)
    schema = file.schema_arrow
    inside = _columns_inside(schema) if options.domain.inline else {}
    given = [*(name for name in schema.names if name not in inside.values()), *inside]
    path, label = columns_of(given, table, options)
    split = split_column([name for name in given if name not in (path, label)])

    def values_of(name: str) -> list[Any]:
        column = inside.get(name, name)
        found = [value for batch in file.iter_batches(columns=[column]) for value in batch.column(column).to_pylist()]
        return [(value or {}).get(name) for value in found] if name in inside else found

    if label in inside:
        values, note = values_of(label), ""
    else:
        values, note = label_values(file, label, labels)
    notes += [note] if note else []
    paths = values_of(path)
    splits = [None] * len(values) if split is None else values_of(split)
    inline, further = is_inline(path, options), further_column(given, (path, label, split), options)
    names = [None] * len(values) if further is None else values_of(further)
    rows = enumerate(zip(paths, values, splits, names, strict=True))
    return [Row(f"row {row}", *found[:3], inline, only_one(found[3])) for row, found in rows]


def _columns_inside(schema: Any) -> dict[str, str]:
    """Columns inside columns of structs, such as the languages of a translation: name -> the outer column."""
    found = {}
    for name in schema.names:
        kind = schema.field(name).type
        if str(kind).startswith("struct<"):
            found.update({kind.field(index).name: name for index in range(kind.num_fields)})
    return found
