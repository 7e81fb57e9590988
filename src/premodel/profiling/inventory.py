"""Which distinct samples a data set holds: identity is the SHA-256 of the bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress


@dataclass(frozen=True)
class Entry:
    """One distinct sample.

    Attributes
    ----------
    row:
        Its first row in the data set.
    sample:
        SHA-256 of its bytes, hexadecimal.
    label:
        The true label that its first row has.
    bytes:
        Their number.
    """

    row: int
    sample: str
    label: int
    bytes: int


@dataclass(frozen=True)
class Duplicate:
    """A row with the same bytes as an earlier one, and whether it has another label."""

    name: str
    first: str
    contradicts: bool


@dataclass
class Inventory:
    """The distinct samples of some rows of a data set, in row order.

    Attributes
    ----------
    entries:
        The samples; of rows with the same bytes the first is kept, with its label.
    duplicates:
        The rows that were not kept. One whose label contradicts the kept one's is reported, not an error:
        which of the two is right cannot be known here.
    unreadable:
        (name, reason) of rows whose bytes could not be read; they have no identity.
    """

    entries: list[Entry] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def take_inventory(dataset: Dataset, rows: Sequence[int], progress: Progress) -> Inventory:
    """Read and hash the bytes of these rows.

    Notes
    -----
    The bytes are hashed on every run, so that a changed file is always noticed; this takes a few percent of what the
    cheapest network takes.
    """
    found = Inventory()
    first: dict[str, Entry] = {}
    progress.begin("reading", len(rows), "images")
    try:
        for payload in dataset.read(rows):
            name = dataset.names[payload.row]
            label = int(dataset.labels[payload.row])
            progress.advance()
            if payload.data is None:
                found.unreadable.append((name, payload.reason))
                continue
            sample = hashlib.sha256(payload.data).hexdigest()
            kept = first.get(sample)
            if kept is None:
                first[sample] = entry = Entry(payload.row, sample, label, len(payload.data))
                found.entries.append(entry)
            elif payload.data:
                found.duplicates.append(Duplicate(name, dataset.names[kept.row], kept.label != label))
            else:  # all empty files have the same bytes, but are no image twice
                found.unreadable.append((name, "image is empty"))
    finally:
        progress.end()
    return found
