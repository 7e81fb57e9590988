"""The samples of a run: what to do with which, and their rows in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from premodel.domains.image.decode import Image, decode, read_file
from premodel.errors import DatasetError, ImageError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.inventory import Entry

DRAWN_IMAGES = 100
DRAWN_BYTES = 256_000_000


@dataclass(frozen=True)
class Task:
    """One sample to work on; a file is read by whoever does the work, bytes of a table travel with the task.

    Attributes
    ----------
    entry:
        The sample.
    wanted:
        Indices of what is to be computed for it; the job knows of what.
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


class ChangedError(ImageError):
    """The bytes are no longer those that were listed."""


def open_image(task: Task) -> Image:
    """Read and decode the task's image.

    Raises
    ------
    ImageError
        The bytes are no image.
    ChangedError
        The bytes cannot be read any more, or are not those that were listed.
    """
    try:
        data = task.data if task.path is None else read_file(task.path)
    except ImageError as error:
        raise ChangedError(str(error)) from error
    if data is None or hashlib.sha256(data).hexdigest() != task.entry.sample:
        raise ChangedError("the image changed while it was being profiled", do="run the same command again")
    return decode(data)


@dataclass(frozen=True)
class Opening:
    """How opening a sample's image went.

    Attributes
    ----------
    width, height:
        In pixels; 0 if it could not be opened.
    reason:
        Why it could not be; empty if it was.
    changed:
        The bytes were not those of the sample, so that nothing is known about the sample itself.
    """

    width: int = 0
    height: int = 0
    reason: str = ""
    changed: bool = False


def try_open(task: Task) -> tuple[Image | None, Opening]:
    """Open the task's image, or tell why it cannot be."""
    try:
        image = open_image(task)
    except ChangedError as error:
        return None, Opening(reason=str(error), changed=True)
    except ImageError as error:
        return None, Opening(reason=str(error))
    return image, Opening(image.width, image.height)


def sample_row(entry: Entry, name: str, opening: Opening | None) -> dict[str, Any]:
    """The sample's row in the store; `opening` is None before anyone tried."""
    return {
        "sample": entry.sample,
        "label": entry.label,
        "name": name,
        "bytes": entry.bytes,
        "status": "new" if opening is None else "unreadable" if opening.reason else "ok",
        "reason": opening.reason if opening else "",
        "width": opening.width if opening else 0,
        "height": opening.height if opening else 0,
    }


def draw_images(dataset: Dataset, entries: Sequence[Entry], seed: int) -> list[bytes]:
    """Draw encoded images at random that can be decoded; at least one.

    Raises
    ------
    DatasetError
        None can.
    """
    order = np.random.default_rng(seed).permutation(len(entries))
    drawn: list[bytes] = []
    size = 0
    for start in range(0, len(order), DRAWN_IMAGES):
        chunk = {entries[index].row: entries[index] for index in order[start : start + DRAWN_IMAGES]}
        for payload in dataset.read(list(chunk)):
            data = payload.data
            if data is None or hashlib.sha256(data).hexdigest() != chunk[payload.row].sample or not _decodes(data):
                continue
            if drawn and (size + len(data) > DRAWN_BYTES or len(drawn) == DRAWN_IMAGES):
                return drawn
            drawn.append(data)
            size += len(data)
        if len(drawn) == DRAWN_IMAGES:
            break
    if not drawn:
        raise DatasetError("no image can be decoded", where=dataset.root, given=f"{len(entries)} files")
    return drawn


def _decodes(data: bytes) -> bool:
    try:
        decode(data)
    except ImageError:
        return False
    return True
