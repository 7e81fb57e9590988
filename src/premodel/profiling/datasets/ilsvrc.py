"""The ILSVRC layout: a folder of images, often `val/`, and a text file of `name label` lines."""

from __future__ import annotations

import os
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.labels import LabelList


def read(listing: Path, root: Path, labels: LabelList) -> Dataset:
    """Read a list of `name label` lines.

    An image is looked for at `root/name` and `root/val/name`, then anywhere below `root` by its file name. Names
    without a file are counted: a list of all 50,000 labels serves a folder that holds some of the images.

    Raises
    ------
    DatasetError
        The list cannot be read, a line is not `name label`, a label is not in the list of labels, two files below
        `root` have a name that the list holds, or no listed image is there.
    """
    lines = _lines(listing)
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
            "none of the listed images is there",
            where=root,
            given=f"{len(lines)} names in {listing}, the first is {lines[0][1]}",
            allowed="images below the data folder, named as in the list",
        )
    names = [lines[row][1] for row in rows]
    return Dataset(root, "ilsvrc", names, truth[rows], FileSource(paths), missing=tuple(missing))


def _lines(listing: Path) -> list[tuple[int, str, str]]:
    try:
        text = listing.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"not a text file: {error}", where=listing, allowed="lines of: name label") from error
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", where=listing) from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.rsplit(None, 1)
        if not parts:
            continue
        if len(parts) != 2:
            raise DatasetError(
                "not a name and a label", where=f"{listing}, line {number}", given=repr(line[:80]), allowed="name label"
            )
        lines.append((number, parts[0].strip(), parts[1]))
    if not lines:
        raise DatasetError("the list is empty", where=listing, allowed="lines of: name label")
    return lines


def _files_below(root: Path) -> dict[str, list[Path]]:
    below: dict[str, list[Path]] = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in files:
            below.setdefault(file, []).append(Path(folder, file))
    return below


def _find(name: str, root: Path, below: dict[str, list[Path]], where: str) -> Path | None:
    for exact in (root / name, root / "val" / name):
        if exact.is_file():
            return exact
    found = below.get(Path(name).name, [])
    if len(found) > 1:
        raise DatasetError(
            "two files have this name",
            where=where,
            given=f"{found[0]} and {found[1]}",
            allowed="one file of that name below the data folder, or one at DATA/name or DATA/val/name",
        )
    return found[0] if found else None
