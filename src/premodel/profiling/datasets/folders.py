"""A folder per class: `DATA/<label>/**/FILE`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, FileSource
from premodel.profiling.datasets.columns import SPLITS
from premodel.profiling.datasets.labels import LabelList

MAX_DEPTH = 2
"""How far below a folder those of the classes are looked for, to name the right one."""
MAX_NAMED = 3
"""Folders that a note or an error names."""


def read(root: Path, labels: LabelList, split: str | None = None, task: str = IMAGE_TASK) -> Dataset:
    """Read a folder per class; the folder's name names the label as `LabelList` states.

    Files with a suffix of the task's domain count. Folders that hold none anywhere below them are left out; those that
    hold other files are named in a note, as are the classes that lost some. Hidden files and folders are left out.

    Parameters
    ----------
    split:
        The folder of DATA that holds the folders of the classes, such as "train".
    task:
        What the files are.

    Raises
    ------
    DatasetError
        No folder holds an input, the name of one that does is no label, or the folders are splits that hold the
        folders of the classes.
    """
    if split is not None:
        if not (root / split).is_dir():
            raise DatasetError("no such split", where=root, given=split, allowed=", ".join(_folder_names(root)))
        root = root / split
    domain = domain_of(task)
    listed = [(folder, _files(folder)) for folder in sorted(root.iterdir()) if _visible(folder) and folder.is_dir()]
    folders = [(folder, own) for folder, files in listed if (own := [file for file in files if _is_one(file, domain)])]
    if not folders:
        loose = sum(_is_one(file, domain) for file in root.iterdir() if file.is_file())
        raise DatasetError(
            f"no folder per class holds an {domain.noun}",
            where=root,
            given=f"{loose} {domain.plural} directly in the folder" if loose else None,
            allowed=f"DATA/<label>/{domain.noun}{_usual_suffix(domain)}",
            do="name the labels' file with --labels",
        )
    _refuse_splits([folder for folder, _ in folders], labels)
    of_folder = labels.resolve(
        [folder.name for folder, _ in folders], lambda position: f"folder {folders[position][0]}", by_name=True
    )
    paths = [path for _, images in folders for path in images]
    counts = [len(images) for _, images in folders]
    beside = sum(_is_one(file, domain) for file in root.iterdir() if file.is_file() and _visible(file))
    return Dataset(
        root=root,
        form="folders",
        names=[str(path.relative_to(root)) for path in paths],
        labels=np.repeat(of_folder, counts).astype(np.int32),
        source=FileSource(paths, task),
        notes=(*_notes(listed, len(paths), domain), *_notes_on_places(folders, beside, domain.plural)),
        task=task,
    )


def count_inputs(folder: Path, domain: Domain) -> int:
    """How many files with a suffix of the domain the folder holds, at any depth."""
    return sum(_is_one(file, domain) for file in _walk(folder))


def has_folders_of_inputs(root: Path, domain: Domain) -> bool:
    """Does a folder in this one hold a file with a suffix of the domain."""
    return any(has_inputs(folder, domain) for folder in root.iterdir() if folder.is_dir() and _visible(folder))


def has_inputs(folder: Path, domain: Domain) -> bool:
    """Does the folder hold a file with a suffix of the domain, at any depth."""
    return any(_is_one(file, domain) for file in _walk(folder))


def _refuse_splits(folders: list[Path], labels: LabelList) -> None:
    """DatasetError if the folders are no labels but hold folders that are, as DATA/train/<label>/image.jpg does."""
    unknown = [folder for folder in folders if not labels.contains(folder.name) and not folder.name.isdigit()]
    holding = [folder for folder in unknown if any(labels.contains(name) for name in _folder_names(folder))]
    if holding:
        names = ", ".join(folder.name for folder in holding[:MAX_NAMED])
        raise DatasetError(
            f"folders must be labels; {holding[0].name} holds folders that are", where=holding[0].parent, given=names,
            do=f"give {holding[0]}, or --split {holding[0].name}",
        )  # fmt: skip
    for folder in unknown:
        deeper = next(
            (one for one in _deeper(folder) if any(labels.contains(name) for name in _folder_names(one))), None
        )
        if deeper is not None:
            raise DatasetError(
                f"folders must be labels, got {folder.name}", where=folder.parent,
                given=f"folders that are labels in {deeper}",
                do=f"give {deeper}",
            )  # fmt: skip
        if folder.name.lower() in SPLITS:
            raise DatasetError(
                f"folders must be labels; {folder.name} is a split", where=folder.parent,
                given=", ".join(one.name for one in unknown[:MAX_NAMED]), do=f"give {folder}, or --split {folder.name}",
            )  # fmt: skip


def _deeper(folder: Path) -> list[Path]:
    """Folders below, down to `MAX_DEPTH`, nearest first."""
    found, level = [], [folder]
    for _ in range(MAX_DEPTH):
        level = [below / name for below in level for name in _folder_names(below)]
        found += level
    return found


def _notes_on_places(folders: list[tuple[Path, list[Path]]], beside: int, plural: str) -> tuple[str, ...]:
    """Inputs in no class's folder, and splits that lie within the classes."""
    notes = []
    if beside:
        notes.append(f"{beside} {plural} lie in no class's folder and were left out")
    counts = Counter(
        image.relative_to(folder).parts[0].lower()
        for folder, images in folders
        if any(name.lower() in SPLITS for name in _folder_names(folder))
        for image in images
    )
    splits = [f"{name} ({counts[name]} {plural})" for name in SPLITS if counts[name]]
    if len(splits) > 1:
        notes.append(f"the classes' folders hold splits, which were read together: {', '.join(splits)}")
    return tuple(notes)


def _notes(listed: list[tuple[Path, list[Path]]], n_inputs: int, domain: Domain) -> tuple[str, ...]:
    """What was left out, by class: whole classes first."""
    others = sum(len(files) for _, files in listed) - n_inputs
    if not others:
        return ()
    notes = []
    for folder, files in listed:
        left = [file for file in files if not _is_one(file, domain)]
        if not left:
            continue
        (suffix, _), *_ = Counter(file.suffix.lower() or "no suffix" for file in left).most_common(1)
        part = f"all its {len(left)} files" if len(left) == len(files) else f"{len(left)} of its {len(files)} files"
        why = f"{suffix} is not read as {domain.noun}"
        notes.append((len(left) < len(files), f"class {folder.name}: {part} were left out ({why})"))
    notes.sort(key=lambda note: note[0])
    found = [text for _, text in notes[:MAX_NAMED]]
    return (*found, f"{others} files without the suffix of an {domain.noun} were left out")


def _folder_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:  # asks the file system about no file
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_one(path: Path, domain: Domain) -> bool:
    return path.suffix.lower() in domain.suffixes


def _usual_suffix(domain: Domain) -> str:
    return ".jpg" if ".jpg" in domain.suffixes else min(domain.suffixes, default="")


def _files(folder: Path) -> list[Path]:
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts) and path.is_file():
            yield path
