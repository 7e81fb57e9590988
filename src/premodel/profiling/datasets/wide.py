"""CSV tables without a line of names, and those with one column of 0 and 1 per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.columns import DatasetOptions, has_column
from premodel.profiling.datasets.labels import LabelList

MIN_CLASSES = 2
YES = frozenset({"1", "1.0", "true"})
NO = frozenset({"0", "0.0", "false", ""})


def has_no_names(first: Sequence[str], options: DatasetOptions) -> bool:
    """Is the first line a row already: no usual name of a column of inputs in it, but the name of a file."""
    if options.domain.inline or options.image_column or options.label_column:
        return False
    return not has_column(first, options.input_names, None) and any(_is_file_name(cell, options) for cell in first)


def columns_without_names(
    rows: Sequence[Sequence[str]], table: Path, labels: LabelList, options: DatasetOptions
) -> tuple[int, int]:
    """Which column of a table without a line of names holds the paths, and which the labels.

    Paths are what ends as files of the domain do; labels stand in the only other column, or in the only one whose
    values are all labels.

    Raises
    ------
    DatasetError
        No column or several may be meant.
    """
    paths = [column for column, cell in enumerate(rows[0]) if _is_file_name(cell, options)]
    others = [column for column in range(len(rows[0])) if column not in paths]
    if len(others) > 1:
        values = {column: {row[column].strip() for row in rows if column < len(row)} for column in others}
        others = [column for column in others if all(_is_label(value, labels) for value in values[column])]
    if len(paths) != 1 or len(others) != 1:
        raise DatasetError(
            "the table has no line of names, and its columns are not clear", where=table,
            given=",".join(rows[0])[:80], allowed="one column of paths, and one whose values are all labels",
            do="write a first line with the names of the columns, such as path,label",
        )  # fmt: skip
    return paths[0], others[0]


def class_columns(given: Sequence[str], labels: LabelList) -> list[str]:
    """The columns that bear the names of labels; none where they are fewer than two or one label has several."""
    named = {name: labels.index_of(name) for name in given if name and not name.strip().isdecimal()}
    found = [name for name, index in named.items() if index is not None]
    return found if MIN_CLASSES <= len(found) == len({named[name] for name in found}) else []


def class_of(cells: Sequence[str], names: Sequence[str], place: str) -> str:
    """The class of a row with one column of 0 and 1 per class.

    Raises
    ------
    DatasetError
        Not exactly one of them is 1, or one is neither.
    """
    values = [cell.strip().casefold() for cell in cells]
    found = [name for name, value in zip(names, values, strict=True) if value in YES]
    if len(found) != 1 or not set(values) <= YES | NO:
        wrong = next((cell for cell, value in zip(cells, values, strict=True) if value not in YES | NO), None)
        given = repr(wrong) if wrong is not None else ", ".join(found) or "no class"
        raise DatasetError(
            "not one class", where=place, given=given, allowed="1 in the column of one class, and 0 in the others"
        )
    return found[0]


def _is_file_name(cell: str, options: DatasetOptions) -> bool:
    return any(cell.strip().lower().endswith(suffix) for suffix in options.domain.suffixes)


def _is_label(value: str, labels: LabelList) -> bool:
    if value.isdecimal():
        return int(value) < len(labels.names)
    return labels.index_of(value) is not None
