"""Labels of a column of a Parquet or Arrow table, whose schema may carry the names of the classes."""

from __future__ import annotations

import json
from typing import Any

from premodel.profiling.datasets.labels import LabelList

UNLABELLED = -1
"""What the `datasets` library writes where a sample has no label, as in the test split of many data sets."""


def label_values(table: Any, column: str, labels: LabelList) -> tuple[list[str | int | None], str]:
    """The label of each row (None where it has none), and a note, empty if there is nothing to say.

    Where the schema carries the class names of indices (the `ClassLabel` that the `datasets` library writes) and all of
    them are known, indices are translated by name. Numbers that are stored as floating-point numbers, as pandas does
    where some are missing, are taken as whole numbers where they are.
    """
    found = [value for batch in table.iter_batches(columns=[column]) for value in batch.column(column).to_pylist()]
    values = [_value(value) for value in found]
    class_names = _class_names(table.schema_arrow, column)
    if not class_names or not all(value is None or isinstance(value, int) for value in values):
        return values, ""
    if tuple(class_names) == labels.names:
        return values, ""
    indices = [None if name.isdigit() else labels.index_of(name) for name in class_names]
    if all(index is not None for index in indices) and len(set(indices)) == len(indices):
        return [
            indices[value] if isinstance(value, int) and 0 <= value < len(indices) else value for value in values
        ], ""
    return values, (
        "the file's class names are not those of the zoo's label list; its labels are taken as indices into that list"
    )


def only_one(value: object) -> object:
    """The label of a list of one label, as data sets of several labels write it; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _value(value: object) -> str | int | None:
    value = only_one(value)
    if isinstance(value, float):
        if value != value:
            return None
        value = int(value) if value.is_integer() else str(value)
    if value is None or (isinstance(value, int) and value == UNLABELLED):
        return None
    return value if isinstance(value, int | str) else str(value)


def _class_names(schema: Any, column: str) -> list[str]:
    """Class names of the label column as the `datasets` library stores them; empty if there are none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        names = json.loads(raw)["info"]["features"][column]["names"] if raw else []
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []
