"""A CSV, TSV, JSON lines or Parquet table with a column of paths, or of inputs themselves, and one of labels."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from premodel.errors import DatasetError
from premodel.files import wrong_byte
from premodel.profiling.datasets.base import Dataset, FileSource, Source, TextSource
from premodel.profiling.datasets.columns import (
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
GZIP_SUFFIX, GZIP_MAGIC = ".gz", b"\x1f\x8b"
MAX_UNPACKED = 1 << 30


class Row(NamedTuple):
    """One row: where it stands, and what it holds; `inline` if the path is the input itself."""

    place: str
    path: Any
    label: Any
    split: Any
    inline: bool = False


def read(table: Path, root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read a table of paths, or of inputs themselves, and labels; further columns are left alone, but one of splits.

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
    passed over. A domain whose inputs stand in tables (`Domain.inline`) has a column of them before one of paths; rows
    whose input is empty are left out then, and counted in a note.
    """
    return read_tables([table], root, labels, options)


def read_tables(tables: Sequence[Path], root: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read several tables as one, such as the shards of a data set; see `read`."""
    notes: list[str] = []
    rows = [(table, row) for table in tables for row in _rows(table, labels, options, notes)]
    first = tables[0] if len(tables) == 1 else root
    if not rows:
        raise DatasetError(
            "the table has no rows", where=first, allowed=f"one row per {options.domain.noun}: {_row_of(options)}"
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
    truth = labels.resolve([row.label for _, row in rows], lambda at: f"{rows[at][0]}, {rows[at][1].place}")
    source: Source
    if all(row.inline for _, row in rows):
        source = TextSource([row.path for _, row in rows])
        names = [f"{table.name}, {row.place}" for table, row in rows]
    else:
        source = FileSource([_find(row.path, table, root, row.place) for table, row in rows], options.task)
        names = [row.path for _, row in rows]
    return Dataset(root, "table", names, truth, source, notes=tuple(dict.fromkeys(notes)), task=options.task)


def _rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> list[Row]:
    suffix = form_of(table)
    if suffix in (".parquet", *ARROW_SUFFIXES):
        return _parquet_rows(table, labels, options, notes)
    return list(_json_rows(table, options) if suffix in JSON_SUFFIXES else _csv_rows(table, options))


def _row_of(options: DatasetOptions) -> str:
    """What a row holds, for messages."""
    return f"{options.domain.inline[0]},{options.label_names[0]}" if options.domain.inline else "path,label"


def has_labels(table: Path, options: DatasetOptions = NO_OPTIONS) -> bool:
    """Tell whether the table has a column of labels."""
    suffix = form_of(table)
    if suffix in (".parquet", *ARROW_SUFFIXES):
        given = open_parquet(table).schema_arrow.names
    elif suffix in JSON_SUFFIXES:
        given = next((list(record) for _, record in _json_records(table)), [])
    else:
        given = _csv_reader(table, options)[0].fieldnames or []
    paths = [name for name in given if has_column([name], options.input_names, options.image_column)]
    return has_column([name for name in given if name not in paths[:1]], options.label_names, options.label_column)


def _check(row: Row, table: Path, options: DatasetOptions) -> None:
    """DatasetError if the row has no path or no label."""
    fine = isinstance(row.path, str) and isinstance(row.label, str | int) and not isinstance(row.label, bool)
    named, of_row = options.domain.noun if row.inline else "path", _row_of(options)
    truth = "label" if options.domain.answers_labels else "truth"
    for name, value in ((named, row.path), (truth, row.label)):
        if value is None or value == "":
            raise DatasetError(f"no {name}", where=f"{table}, {row.place}", allowed=f"{of_row} in every row")
    if not fine:
        raise DatasetError(
            f"no {named} or no {truth}", where=f"{table}, {row.place}", given=f"{row.path!r}, {row.label!r}"[:80],
            allowed="a text, and a text or a whole number",
        )  # fmt: skip


def read_text(file: Path, allowed: str) -> str:
    """The text of a file in UTF-8 or UTF-16, also one that gzip packed; DatasetError if it is in neither."""
    raw = _unpacked(file)
    try:
        return raw.decode(encoding := _encoding(raw))
    except UnicodeDecodeError as error:
        given = wrong_byte(error) if encoding == "utf-8-sig" else str(error)
        raise DatasetError(
            "not a CSV table or text file: it must be UTF-8", where=file, given=given, allowed=allowed,
            do="save it as UTF-8",
        ) from error  # fmt: skip


def form_of(file: Path) -> str:
    """The suffix that tells the form of a file, in small letters: without that of gzip."""
    suffix = file.suffix.lower()
    return Path(file.stem).suffix.lower() if suffix == GZIP_SUFFIX else suffix


def _unpacked(file: Path) -> bytes:
    """The bytes of a file, unpacked if gzip packed them; DatasetError if it cannot be read or is too large."""
    try:
        with file.open("rb") as stream:
            packed = stream.read(2) == GZIP_MAGIC
        if not packed:
            return file.read_bytes()
        with gzip.open(file) as stream:
            raw = stream.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=file) from error
    if len(raw) > MAX_UNPACKED:
        raise DatasetError("too large when unpacked", where=file, allowed=f"up to {MAX_UNPACKED} bytes")
    return raw


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
    asked, option = options.image_column, options.input_option
    path = find_column(given, options.input_names, asked, what=options.inputs, where=table, option=option)
    rest = [name for name in given if name != path]
    asked, option = options.label_column, "--label-column"
    return path, find_column(rest, options.label_names, asked, what=_truths(options), where=table, option=option)


def _truths(options: DatasetOptions) -> str:
    return "labels" if options.domain.answers_labels else "truths"


def _is_inline(column: str, options: DatasetOptions) -> bool:
    """Does the column hold the inputs themselves: not the names of files."""
    return bool(options.domain.inline) and not has_column([column], PATH_NAMES, None)


def _csv_reader(table: Path, options: DatasetOptions) -> tuple[csv.DictReader[str], int]:
    """The reader, and how many lines stand before the one of the names.

    Raises
    ------
    DatasetError
        The first line cannot be read.
    """
    text = read_text(table, f"UTF-8 text with {_row_of(options)}")
    lines = text.splitlines(keepends=True)
    before = 0
    stated = ""
    while before < len(lines) and (not (line := lines[before].strip()) or line.lower().startswith("sep=")):
        stated = line[4:5] or stated
        before += 1
    first = lines[before] if before < len(lines) else ""
    delimiter = "\t" if form_of(table) == ".tsv" else stated or _delimiter(first, options)
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
            has_column(given, options.input_names, options.image_column),
            has_column(given, options.label_names, options.label_column),
        )
        return sum(asked), len(given)

    return max(DELIMITERS, key=fit)


def _csv_rows(table: Path, options: DatasetOptions) -> Iterator[Row]:
    try:
        reader, before = _csv_reader(table, options)
        given = list(reader.fieldnames or [])
        path, label = _columns(given, table, options)
        split = split_column([name for name in given if name not in (path, label)])
        inline = _is_inline(path, options)
        for record in reader:
            found, *others = ((record[name] or "") if name is not None else "" for name in (path, label, split))
            truth, of_split = (value.strip() for value in others)
            place, kept = f"line {reader.line_num + before}", found if inline else found.strip()
            yield Row(place, kept, truth, None if split is None else of_split, inline)
    except csv.Error as error:
        allowed = f"UTF-8 text with {_row_of(options)}"
        raise DatasetError(f"not a CSV table: {error}", where=table, allowed=allowed) from error


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
    inline = False
    for place, given in _json_records(table):
        record = _flat(given) if options.domain.inline else given
        if columns is None:
            columns = _columns(list(record), table, options)
            split = split_column([name for name in record if name not in columns])
            inline = _is_inline(columns[0], options)
        yield Row(place, record.get(columns[0]), record.get(columns[1]), record.get(split) if split else None, inline)


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
    path, label = _columns(given, table, options)
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
    inline = _is_inline(path, options)
    rows = enumerate(zip(paths, values, splits, strict=True))
    return [Row(f"row {row}", *found, inline) for row, found in rows]


def _columns_inside(schema: Any) -> dict[str, str]:
    """Columns inside columns of structs, such as the languages of a translation: name -> the outer column."""
    found = {}
    for name in schema.names:
        kind = schema.field(name).type
        if str(kind).startswith("struct<"):
            found.update({kind.field(index).name: name for index in range(kind.num_fields)})
    return found
