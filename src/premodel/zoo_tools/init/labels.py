"""Which output is which label: the orders that a list of labels may be meant in, and outputs without a label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError
from premodel.profiling.datasets.columns import SPLITS
from premodel.profiling.datasets.folders import has_inputs

NO_LABEL = -1
MAX_GAPS = 512
"""Labels up to which a class without a folder is looked for between the others."""
NO_FOLDERS = frozenset({"__MACOSX"})
"""Folders that archivers leave behind."""
GIVEN, SHIFT = "given", "shift"
TEXTUAL, NATURAL, CASELESS, REVERSED = "textual order", "natural order", "order without case", "reversed order"
NATURAL_CASELESS = "natural order without case"
ORDER_IN_FILE = "the order of the file's own names"
NUMBERS_TEXTUAL = "the textual order of their numbers (0, 1, 10, 11, ...)"
NUMBERS_FROM_ONE = "the textual order of their numbers from 1 (1, 10, 11, ...)"
NUMBERS_NATURAL = "the order of numbers, where the list is in the textual one (0, 1, 10, 11, ...)"
NUMBERS_NATURAL_FROM_ONE = "the order of numbers, where the list is in the textual one from 1 (1, 10, 11, ...)"


@dataclass(frozen=True)
class Order:
    """An order that the labels may be meant in.

    Attributes
    ----------
    name:
        In words, such as "natural order".
    places:
        Of each label, its place in that order.
    """

    name: str
    places: tuple[int, ...]

    def sorted(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The labels in that order."""
        return tuple(label for _, label in sorted(zip(self.places, labels, strict=True)))


@dataclass(frozen=True)
class LabelMapping:
    """Which output each label is.

    Attributes
    ----------
    outputs:
        (labels,) the output of each label; NO_LABEL for none.
    order:
        Name of the order of the labels, GIVEN for the list's own, SHIFT if every answer is taken for a neighbour.
    offset, last:
        Outputs before the first label and after the last.
    gap:
        The output between two labels that has none.
    shift:
        How many labels further the truth is than the answer.
    """

    outputs: tuple[int, ...]
    order: str = GIVEN
    offset: int = 0
    last: int = 0
    gap: int | None = None
    shift: int = 0

    def without_gap(self) -> LabelMapping:
        """The usual mapping in place of one with an output between the others that has no label."""
        return _placed(len(self.outputs), 1, 0)

    def labels(self, n_outputs: int) -> NDArray[np.int32]:
        """int32 (outputs,): the label of each output, NO_LABEL for none."""
        found = np.full(n_outputs, NO_LABEL, np.int32)
        for label, output in enumerate(self.outputs):
            if output != NO_LABEL:
                found[output] = label
        return found


def label_mappings(
    n_outputs: int, n_labels: int, offset: int | None = None, orders: Sequence[Order] = (), gaps: bool = False
) -> list[LabelMapping]:
    """Every mapping that outputs and labels allow, the most usual first.

    Parameters
    ----------
    offset:
        Outputs before the first label, if it is known.
    orders:
        Further orders that the labels may be meant in.
    gaps:
        May a class between the others be without a label, because the labels are those of folders.
    """
    surplus = n_outputs - n_labels
    if offset is not None or surplus == 0:
        bases = [_placed(n_labels, offset or 0, surplus - (offset or 0))]
    else:
        bases = [_placed(n_labels, first, surplus - first) for first in range(surplus, -1, -1)]
    found = list(bases)
    for order in orders:
        found += [
            replace(base, outputs=tuple(base.outputs[i] for i in order.places), order=order.name) for base in bases
        ]
    if surplus == 1 and offset is None and gaps and n_labels <= MAX_GAPS:
        found += [_with_gap(n_labels, gap) for gap in range(1, n_labels)]
    if len(bases) == 1:
        found += [_shifted(bases[0], shift) for shift in (-1, 1)]
    return found


def orders_of(labels: Sequence[str], own: Iterable[Sequence[str]] = (), *, numbers: bool = False) -> list[Order]:
    """The orders, other than the list's own, that these labels may be meant in.

    Parameters
    ----------
    own:
        Lists of names that model files state.
    numbers:
        The labels may be known by numbers as well: folders called 0, 1, 10, 11, ... in the order of their names.
    """
    wanted: list[tuple[str, Sequence[str]]] = []
    for names in own:
        if (matched := matching(names, labels)) is not None and len(matched) == len(labels):
            wanted.append((ORDER_IN_FILE, matched))
    wanted.append((TEXTUAL, sorted(labels)))
    wanted.append((NATURAL, sorted(labels, key=natural_key)))
    wanted.append((CASELESS, sorted(labels, key=str.casefold)))
    wanted.append((NATURAL_CASELESS, sorted(labels, key=lambda label: natural_key(label.casefold()))))
    if len(labels) == 2:
        wanted.append((REVERSED, labels[::-1]))
    orders: list[Order] = []
    for name, names in wanted:
        place = {label: number for number, label in enumerate(names)}
        places = tuple(place.get(label, NO_LABEL) for label in labels)
        known = [tuple(range(len(labels))), *(order.places for order in orders)]
        if len(place) == len(labels) and places not in known:
            orders.append(Order(name, places))
    for order in _orders_of_numbers(len(labels)) if numbers else ():
        if order.places not in (tuple(range(len(labels))), *(other.places for other in orders)):
            orders.append(order)
    return orders


def _orders_of_numbers(n_labels: int) -> Iterator[Order]:
    """Orders that labels get where their numbers are sorted as texts, by the network or by the list."""
    for first, textual, natural in (
        (0, NUMBERS_TEXTUAL, NUMBERS_NATURAL),
        (1, NUMBERS_FROM_ONE, NUMBERS_NATURAL_FROM_ONE),
    ):
        listed = sorted(range(n_labels), key=lambda number, first=first: str(number + first))  # type: ignore[misc]
        place = {number: place for place, number in enumerate(listed)}
        yield Order(textual, tuple(place[number] for number in range(n_labels)))
        yield Order(natural, tuple(listed))


def matching(names: Sequence[str], labels: Sequence[str]) -> tuple[str, ...] | None:
    """The names that a file states, spelt as the labels where they are the same; None if a label is not among them."""
    by_key: dict[str, str] = {_loose(label): label for label in labels}
    spelt = tuple(by_key.get(_loose(name), name) for name in names)
    return spelt if len(by_key) == len(labels) and set(labels) <= set(spelt) and len(set(spelt)) == len(spelt) else None


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """To sort by: runs of digits count as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def folder_labels(data: Path, counts: Iterable[int] = ()) -> tuple[str, ...]:
    """Labels of a folder per class, in the order of the names; in that of numbers where every name is one.

    Parameters
    ----------
    counts:
        Of outputs that the models have: where they are those of the folders with empty ones among them, empty folders
        are classes too.

    Raises
    ------
    DatasetError
        There are not two folders, or they are named as splits are.
    """
    every, names = [], []
    if data.is_dir():
        folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
        every = [path.name for path in folders if path.name not in NO_FOLDERS]
        names = [path.name for path in folders if has_inputs(path, domain_of(IMAGE_TASK))]
    if names and all(name.lower() in SPLITS for name in names):
        raise DatasetError(
            "the folders are splits and no labels", where=data, given=", ".join(names), allowed="a folder per class",
            do=f"give {data / names[0]}, or --split {names[0]}",
        )  # fmt: skip
    if len(names) < 2:
        raise DatasetError(
            "labels are needed", where=data, given=f"{len(names)} folders",
            allowed="a folder per class, or a label file", do="name the label file with --labels",
        )  # fmt: skip
    wanted = set(counts)
    if len(names) not in wanted and len(every) in wanted:
        names = every
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    return tuple(names)


def empty_folders(data: Path) -> list[str]:
    """Folders of a data set that hold no input anywhere below them."""
    folders = [path for path in data.iterdir() if path.is_dir()] if data.is_dir() else []
    named = [path for path in folders if not path.name.startswith(".") and path.name not in NO_FOLDERS]
    return [path.name for path in named if not has_inputs(path, domain_of(IMAGE_TASK))]


def with_placeholder(labels: Sequence[str], gap: int) -> tuple[str, ...]:
    """The labels, with a name for the output between them that has none."""
    name = f"no folder, output {gap}"
    return (*labels[:gap], name, *labels[gap:])


def _placed(n_labels: int, offset: int, last: int) -> LabelMapping:
    return LabelMapping(tuple(range(offset, offset + n_labels)), offset=offset, last=last)


def _with_gap(n_labels: int, gap: int) -> LabelMapping:
    return LabelMapping(tuple(label + (label >= gap) for label in range(n_labels)), gap=gap)


def _shifted(base: LabelMapping, shift: int) -> LabelMapping:
    """The answer i stands for the label i + shift."""
    outputs = base.outputs

    def output(label: int) -> int:
        return outputs[label - shift] if 0 <= label - shift < len(outputs) else NO_LABEL

    return replace(base, outputs=tuple(map(output, range(len(outputs)))), order=SHIFT, shift=shift)


def _loose(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def in_words(mapping: LabelMapping) -> Iterator[str]:
    """What a mapping states beyond the usual, in words."""
    if mapping.gap is not None:
        yield f"output {mapping.gap} has no label"
    elif mapping.last and not mapping.offset:
        yield "the last output has no label" if mapping.last == 1 else f"the last {mapping.last} outputs have no label"
    elif mapping.offset:
        yield (
            "the first output has no label"
            if mapping.offset == 1
            else f"the first {mapping.offset} outputs have no label"
        )
    if mapping.order not in (GIVEN, SHIFT):
        yield f"the labels in {mapping.order}"
