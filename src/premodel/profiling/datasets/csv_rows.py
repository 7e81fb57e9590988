"""Rows of a CSV or TSV table, with a line of names or without, with one column of labels or one per class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.columns import (
    DatasetOptions,
    find_column,
    has_column,
    split_column,
)
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.rows import (
    Row,
    columns_of,
    form_of,
    further_column,
    is_inline,
    read_text,
    row_of,
)
from premodel.profiling.datasets.wide import class_columns, class_of, columns_without_names, has_no_names

DELIMITERS = ",;\t|"


def csv_reader(table: Path, options: DatasetOptions) -> tuple[csv.DictReader[str], int]:
    """The reader, and how many lines stand before the one of the names.

    Raises
    ------
    DatasetError
        The first line cannot be read.
    """
    text = read_text(table, f"UTF-8 text with {row_of(options)}")
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


def csv_rows(table: Path, labels: LabelList, options: DatasetOptions, notes: list[str]) -> Iterator[Row]:
    """The rows of a table; `notes` takes what a user should see of how it was read.

    Raises
    ------
    DatasetError
        It is no table, or columns are missing or have one name.
    """
    try:
        reader, before = csv_reader(table, options)
        given = list(reader.fieldnames or [])
        if has_no_names(given, options):
            yield from _rows_without_names(table, reader, before, labels, options, notes)
            return
        has_truths = has_column(given, options.label_names, options.label_column)
        if classes := class_columns(given, labels) if not (has_truths or options.label_column) else []:
            yield from _rows_of_classes(table, reader, before, classes, options, notes)
            return
        path, label = columns_of(given, table, options)
        if (twice := next((name for name in (path, label) if given.count(name) > 1), None)) is not None:
            raise DatasetError(
                f"{given.count(twice)} columns have one name", where=table, given=repr(twice),
                allowed="a name of its own for each column", do="rename those that are not meant",
            )  # fmt: skip
        split = split_column([name for name in given if name not in (path, label)])
        inline, further = is_inline(path, options), further_column(given, (path, label, split), options)
        wanted = (path, label, split, further)
        for record in reader:
            found, *others = ((record[name] or "") if name is not None else "" for name in wanted)
            truth, of_split, name_ = (value.strip() for value in others)
            place, kept = f"line {reader.line_num + before}", found if inline else found.strip()
            yield Row(place, kept, truth, None if split is None else of_split, inline, name_)
    except csv.Error as error:
        allowed = f"UTF-8 text with {row_of(options)}"
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
