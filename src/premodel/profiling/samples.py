"""The samples of a run: which distinct ones a data set holds, by the SHA-256 of their bytes, and work on each."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from premodel.domains.base import Domain
from premodel.errors import DatasetError, SampleError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress, Silent
from premodel.store.samples import Entry, Opening

DRAWN_INPUTS = 100
DRAWN_BYTES = 256_000_000
COMPARED, COMPARED_TEXTS = 2_000, 100_000
"""Rows that are looked at for the same input under different labels."""


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
    truths = dataset.truths
    domain = dataset.domain
    progress.begin("reading", len(rows), domain.plural)
    try:
        for payload in dataset.read(rows):
            name = dataset.names[payload.row]
            label = int(dataset.labels[payload.row])
            truth = "" if truths is None else truths[payload.row]
            progress.advance()
            if payload.data is None:
                found.unreadable.append((name, payload.reason))
                continue
            sample = hashlib.sha256(payload.data).hexdigest()
            kept = first.get(sample)
            if kept is None:
                first[sample] = entry = Entry(payload.row, sample, label, len(payload.data), truth)
                found.entries.append(entry)
            elif payload.data:
                found.duplicates.append(
                    Duplicate(name, dataset.names[kept.row], (kept.label, kept.truth) != (label, truth))
                )
            else:  # all empty files have the same bytes, but are no input twice
                found.unreadable.append((name, f"{domain.noun} is empty"))
    finally:
        progress.end()
    return found


def contradictions(dataset: Dataset) -> list[str]:
    """A line if rows with the same bytes have different labels; none if not, or where answers are no labels.

    Notes
    -----
    Texts are compared up to COMPARED_TEXTS rows of the data set, other inputs up to COMPARED rows, drawn at random.
    """
    if dataset.truths is not None:
        return []
    rows = dataset.draw(COMPARED_TEXTS if dataset.domain.inline else COMPARED)
    found = [one for one in take_inventory(dataset, rows, Silent()).duplicates if one.contradicts]
    if not found:
        return []
    stand = "stands" if len(found) == 1 else "stand"
    return [
        f"{len(found)} of {len(rows)} {dataset.domain.plural} {stand} there twice under different labels, such as "
        f"{found[0].name} and {found[0].first}: profile keeps the label that comes first; correct or remove them"
    ]


def draw_rows(dataset: Dataset, limit: int | None, seed: int, aside: Collection[str]) -> list[int]:
    """Rows drawn at random, in rising order: `limit` of them besides those whose bytes have a SHA-256 of `aside`.

    Those are among the rows. All rows if `limit` is None or there are no more.
    """
    rows, marked = dataset.draw(limit, seed), dict[int, bool]()
    while limit is not None and aside:
        for payload in dataset.read([row for row in rows if row not in marked]):
            marked[payload.row] = payload.data is not None and hashlib.sha256(payload.data).hexdigest() in aside
        more = dataset.draw(limit + sum(marked.values()), seed)
        if len(more) == len(rows):
            break
        rows = more
    return rows


@dataclass(frozen=True)
class Task:
    """One sample to work on; a file is read by whoever does the work, bytes of a table travel with the task.

    Attributes
    ----------
    entry:
        The sample.
    wanted:
        Indices of what is to be computed for it; the job holds of what.
    path, data:
        Where its bytes are, or the bytes.
    """

    entry: Entry
    wanted: tuple[int, ...]
    path: Path | None
    data: bytes | None


def tasks_of(dataset: Dataset, entries: Sequence[Entry], wanted: Mapping[str, tuple[int, ...]]) -> Iterator[Task]:
    """One task for each sample of which something is wanted, in row order."""
    todo = {entry.row: entry for entry in entries if wanted.get(entry.sample)}
    paths = dataset.paths
    if paths is not None:
        for row, entry in todo.items():
            yield Task(entry, wanted[entry.sample], paths[row], None)
        return
    for payload in dataset.read(list(todo)):
        entry = todo[payload.row]
        yield Task(entry, wanted[entry.sample], None, payload.data)


class ChangedError(SampleError):
    """The bytes are no longer those that were listed."""


def open_input(task: Task, domain: Domain) -> Any:
    """Read and decode the task's input.

    Raises
    ------
    SampleError
        The bytes are no input of the domain.
    ChangedError
        The bytes cannot be read any more, or are not those that were listed.
    """
    try:
        data = task.data if task.path is None else domain.read_file(task.path)
    except SampleError as error:
        raise ChangedError(str(error)) from error
    if data is None or hashlib.sha256(data).hexdigest() != task.entry.sample:
        raise ChangedError(f"the {domain.noun} changed while it was being profiled", do="run the same command again")
    return domain.decode(data)


def try_open(task: Task, domain: Domain) -> tuple[Any, Opening]:
    """Open the task's input, or tell why it cannot be."""
    try:
        found = open_input(task, domain)
    except ChangedError as error:
        return None, Opening(reason=str(error), changed=True)
    except SampleError as error:
        return None, Opening(reason=str(error))
    size = domain.size(found)
    return found, Opening(size.get("width", 0), size.get("height", 0))


def draw_inputs(dataset: Dataset, entries: Sequence[Entry], seed: int) -> list[bytes]:
    """Draw encoded inputs at random that can be decoded; at least one.

    Raises
    ------
    DatasetError
        None can.
    """
    order = np.random.default_rng(seed).permutation(len(entries))
    drawn: list[bytes] = []
    domain = dataset.domain
    size = 0
    for start in range(0, len(order), DRAWN_INPUTS):
        chunk = {entries[index].row: entries[index] for index in order[start : start + DRAWN_INPUTS]}
        for payload in dataset.read(list(chunk)):
            data = payload.data
            if (
                data is None
                or hashlib.sha256(data).hexdigest() != chunk[payload.row].sample
                or not _decodes(data, domain)
            ):
                continue
            if drawn and (size + len(data) > DRAWN_BYTES or len(drawn) == DRAWN_INPUTS):
                return drawn
            drawn.append(data)
            size += len(data)
        if len(drawn) == DRAWN_INPUTS:
            break
    if not drawn:
        raise DatasetError(f"no {domain.noun} can be decoded", where=dataset.root, given=f"{len(entries)} files")
    return drawn


def _decodes(data: bytes, domain: Domain) -> bool:
    try:
        domain.decode(data)
    except SampleError:
        return False
    return True
