"""The ILSVRC layout: a folder of inputs, often `val/`, and a text file of `name label` lines."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.rows import read_text
from premodel.profiling.datasets.table import spellings

MAX_NAMED = 3
"""Classes that notes name."""


@lru_cache
def _named_by_suffix(suffixes: frozenset[str]) -> re.Pattern[str]:
    """A name that ends with one of these suffixes, then a label."""
    ends = "|".join(re.escape(suffix) for suffix in sorted(suffixes))
    return re.compile(rf"(.+?(?:{ends}))(?:\s*[,;]\s*|\s+)(\S.*)", re.IGNORECASE)


def read(listing: Path, root: Path, labels: LabelList, task: str = IMAGE_TASK) -> Dataset:
    """Read a list of `name label` lines.

    A name ends at a tab, or with a suffix of the domain (a comma or semicolon may follow), or at the last blank, so
    that a label may have several words. A file is looked for at `root/name` and `root/val/name`, then anywhere below
    `root` by its file name. Names without a file are counted: a list of all 50,000 labels serves a folder that holds
    some of the images; classes that have none of theirs are named in a note.

    Raises
    ------
    DatasetError
        The list cannot be read, a line is not `name label`, a label is not in the list of labels, two files below
        `root` have a name that the list holds, or no listed image is there.
    """
    domain = domain_of(task)
    lines = _lines(listing, domain)
    truth = labels.resolve([label for _, _, label in lines], lambda position: f"{listing}, line {lines[position][0]}")
    below = _files_below(root)
    paths: list[Path] = []
    rows: list[int] = []
    missing: list[str] = []
    for row, (number, name, _) in enumerate(lines):
        path = _find(name, root, below, f"{listing}, line {number}")
        if path is None:
            missing.append(name)
        else:
            paths.append(path)
            rows.append(row)
    if not rows:
        raise DatasetError(
            f"none of the listed {domain.plural} is there",
            where=root,
            given=f"{len(lines)} names in {listing}, the first is {lines[0][1]}",
            allowed=f"{domain.plural} below the data folder, named as in the list",
        )
    names = [lines[row][1] for row in rows]
    notes = _notes_on_lost_classes(truth, rows, labels, domain.plural)
    source = FileSource(paths, task)
    return Dataset(root, "ilsvrc", names, truth[rows], source, missing=tuple(missing), notes=notes, task=task)


def _notes_on_lost_classes(
    truth: NDArray[np.int32], rows: list[int], labels: LabelList, plural: str
) -> tuple[str, ...]:
    """The classes of which no listed input is there."""
    listed, there = Counter(truth.tolist()), set(truth[rows].tolist())
    lost = [label for label in sorted(listed) if label not in there]
    notes = [
        f"class {labels.names[label]}: none of its {listed[label]} listed {plural} is there"
        for label in lost[:MAX_NAMED]
    ]
    if len(lost) > MAX_NAMED:
        notes.append(f"{len(lost) - MAX_NAMED} further classes have none of their listed {plural} there")
    return tuple(notes)


def _lines(listing: Path, domain: Domain) -> list[tuple[int, str, str]]:
    text = read_text(listing, "lines of: name label")
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        parts = _split(line.strip(), domain)
        if len(parts) != 2:
            raise DatasetError(
                "not a name and a label", where=f"{listing}, line {number}", given=repr(line[:80]), allowed="name label"
            )
        lines.append((number, parts[0].strip(), parts[1].strip()))
    if not lines:
        raise DatasetError("the list is empty", where=listing, allowed="lines of: name label")
    return lines


def _split(line: str, domain: Domain) -> list[str]:
    """Name and label: at the last tab, else behind a suffix of the domain, else at the last blank."""
    if "\t" in line:
        return line.rsplit("\t", 1)
    named = _named_by_suffix(domain.suffixes).fullmatch(line) if domain.suffixes else None
    return list(named.groups()) if named else line.rsplit(None, 1)


def _files_below(root: Path) -> dict[str, list[Path]]:
    below: dict[str, list[Path]] = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in files:
            below.setdefault(unicodedata.normalize("NFC", file), []).append(Path(folder, file))
    return below


def _find(name: str, root: Path, below: dict[str, list[Path]], where: str) -> Path | None:
    for one in spellings(name):
        for exact in (root / one, root / "val" / one):
            if exact.is_file():
                return exact
    file = unicodedata.normalize("NFC", Path(name.replace("\\", "/")).name)
    found = below.get(file) or below.get(unicodedata.normalize("NFC", Path(name).name), [])
    if len(found) > 1:
        raise DatasetError(
            "two files have this name",
            where=where,
            given=f"{found[0]} and {found[1]}",
            allowed="one file of that name below the data folder, or one at DATA/name or DATA/val/name",
        )
    return found[0] if found else None
