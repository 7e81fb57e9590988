"""What the rows of a table contradict: numbers beside names of labels, and files with several labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from premodel.profiling.datasets.labels import LabelList

NAMES_TAKEN = "the numbers and the names of the labels differ by the zoo's list; the names were taken"


def names_beside_numbers(values: Sequence[Any], names: Sequence[Any], labels: LabelList) -> list[str] | None:
    """The names of the labels, where numbers stand beside them that mean other labels by the list; else None.

    Numbers count by the list of whoever wrote the table, which need not be that of the zoo; names do not.
    """
    if not all(isinstance(name, str) and name and not name.isdigit() for name in names):
        return None
    numbers = [str(value) for value in values]
    table = {name: labels.index_of(name) for name in dict.fromkeys(names)}
    if None in table.values() or not all(number.isdigit() for number in numbers):
        return None
    differ = any(int(number) != table[name] for number, name in zip(numbers, names, strict=True))
    return list(names) if differ else None


def several_labels(paths: Sequence[Path], truth: Sequence[int], labels: LabelList, plural: str) -> list[str]:
    """A note on files that are listed with several labels; none where there are none."""
    first: dict[Path, int] = {}
    found: dict[Path, tuple[int, int]] = {}
    for path, label in zip(paths, truth, strict=True):
        if first.setdefault(path, label) != label:
            found.setdefault(path, (first[path], label))
    if not found or not labels.names:
        return []
    path, pair = next(iter(found.items()))
    names = " and ".join(repr(labels.names[label]) for label in pair)
    return [f"{len(found)} {plural} are listed with several labels, such as {path.name} with {names}"]
