"""A CSV, TSV, JSON lines or Parquet table with a column of paths, or of inputs themselves, and one of labels."""

from __future__ import annotations

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
from premodel.files import encoding_of, wrong_byte
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
from premodel.profiling.datasets.consistency import NAMES_TAKEN, names_beside_numbers, several_labels
from premodel.profiling.datasets.elsewhere import FilesBelow
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.parquet import ARROW_SUFFIXES, open_parquet
from premodel.profiling.datasets.schema import label_values, only_one
from premodel.profiling.datasets.wide import class_columns, class_of, columns_without_names, has_no_names

DELIMITERS = ",;\t|"
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
GZIP_SUFFIX, GZIP_MAGIC = ".gz", b"\x1f\x8b"
MAX_UNPACKED = 1 << 30


class Row(NamedTuple):
    """One row: where it stands, and what it holds; `inline` if the path is the input itself.

    `name` is what a further column of labels holds.
    """

    place: str
    path: Any
    label: Any
    split: Any
    inline: bool = False
    name: Any = None


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
    return list(_csv_rows(table, labels, options, notes))


def _row_of(options: DatasetOptions) -> str:
    """What a row holds, for messages."""
    return f"{options.domain.inline[0]},{options.label_names[0]}" if options.domain.inline else "path,label"


def has_labels(table: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> bool:
    """Tell whether the table has a column of labels, or one per class."""
    suffix = form_of(table)
    if suffix in (".parquet", *ARROW_SUFFIXES):
        given = open_parquet(table).schema_arrow.names
    elif suffix in JSON_SUFFIXES:
        given = next((list(record) for _, record in _json_records(table)), [])
    else:
        given = _csv_reader(table, options)[0].fieldnames or []
        if options.label_column is None and class_columns(given, labels):
            return True
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
        return raw.decode(encoding := encoding_of(raw))
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


def _columns(given: Sequence[str], table: Path, options: DatasetOptions) -> tuple[str, str]:
    asked, option = options.image_column, options.input_option
    path = find_column(given, options.input_names, asked, what=options.inputs, where=table, option=option)
    rest = [name for name in given if name != path]
    asked, option = options.label_column, "--label-column"
    return path, find_column(rest, options.label_names, asked, what=_truths(options), where=table, option=option)


def _further(given: Sequence[str], taken: Sequence[str | None], options: DatasetOptions) -> str | None:
    """A further column of labels with a usual name, where none was asked for."""
    if options.label_column is not None or not options.domain.answers_labels:
        return None
    rest = [name for name in given if name not in taken and has_column([name], options.label_names, None)]
    return rest[0] if rest else None


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


def _csv_rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> Iterator[Row]:
    try:
        reader, before = _csv_reader(table, options)
        given = list(reader.fieldnames or [])
        if has_no_names(given, options):
            yield from _rows_without_names(table, reader, before, labels, options, notes)
            return
        has_truths = has_column(given, options.label_names, options.label_column)
        if classes := class_columns(given, labels) if not (has_truths or options.label_column) else []:
            yield from _rows_of_classes(table, reader, before, classes, options, notes)
            return
        path, label = _columns(given, table, options)
        if (twice := next((name for name in (path, label) if given.count(name) > 1), None)) is not None:
            raise DatasetError(
                f"{given.count(twice)} columns have one name", where=table, given=repr(twice),
                allowed="a name of its own for each column", do="rename those that are not meant",
            )  # fmt: skip
        split = split_column([name for name in given if name not in (path, label)])
        inline, further = _is_inline(path, options), _further(given, (path, label, split), options)
        wanted = (path, label, split, further)
        for record in reader:
            found, *others = ((record[name] or "") if name is not None else "" for name in wanted)
            truth, of_split, name_ = (value.strip() for value in others)
            place, kept = f"line {reader.line_num + before}", found if inline else found.strip()
            yield Row(place, kept, truth, None if split is None else of_split, inline, name_)
    except csv.Error as error:
        allowed = f"UTF-8 text with {_row_of(options)}"
        raise DatasetError(f"not a CSV table: {error}", where=table, allowed=allowed) from error


def _rows_without_names(
    table: Path,
    reader: csv.DictReader[str],
    before: int,
    labels: LabelList,
    options: DatasetOptions,
    notes: list[str],
) -> Iterator[Row]:
    """The rows of a table whose first line is a row."""
    numbered = [(1 + before, list(reader.fieldnames or []))]
    numbered += [(reader.reader.line_num + before, row) for row in reader.reader if row]
    path, label = columns_without_names([row for _, row in numbered], table, labels, options)
    notes.append(f"{table.name} has no line of names: column {path + 1} holds the paths, column {label + 1} the labels")
    for line, row in numbered:
        found, truth = (row[column].strip() if column < len(row) else "" for column in (path, label))
        yield Row(f"line {line}", found, truth, None)


def _rows_of_classes(
    table: Path,
    reader: csv.DictReader[str],
    before: int,
    classes: Sequence[str],
    options: DatasetOptions,
    notes: list[str],
) -> Iterator[Row]:
    """The rows of a table with one column of 0 and 1 per class."""
    given = list(reader.fieldnames or [])
    rest = [name for name in given if name not in classes]
    path = find_column(
        rest, options.input_names, options.image_column, what=options.inputs, where=table, option=options.input_option
    )
    split = split_column([name for name in rest if name != path])
    notes.append(f"{table.name} has a column per class: the one that holds 1 is the label, of {len(classes)}")
    for record in reader:
        place = f"line {reader.line_num + before}"
        truth = class_of([record[name] or "" for name in classes], classes, f"{table}, {place}")
        of_split = None if split is None else (record[split] or "").strip()
        yield Row(place, (record[path] or "").strip(), truth, of_split)


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
            columns = _columns(list(record), table, options)
            split = split_column([name for name in record if name not in columns])
            inline = _is_inline(columns[0], options)
            further = _further(list(record), (*columns, split), options)
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
    inline, further = _is_inline(path, options), _further(given, (path, label, split), options)
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
