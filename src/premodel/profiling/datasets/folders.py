"""A folder per class: `DATA/<label>/**/image.jpg`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import IMAGE_SUFFIXES, Dataset, FileSource
from premodel.profiling.datasets.labels import LabelList

MAX_NAMED = 3
"""Folders that a note or an error names."""


def read(root: Path, labels: LabelList, split: str | None = None) -> Dataset:
    """Read a folder per class; the folder's name names the label as `LabelList` says.

    Files with the suffix of an image count. Folders that hold none anywhere below them are left out; those that hold
    other files are named in a note, as are the classes that lost some. Hidden files and folders are left out.

    Parameters
    ----------
    split:
        The folder of DATA that holds the folders of the classes, such as "train".

    Raises
    ------
    DatasetError
        No folder holds an image, the name of one that does is no label, or the folders are splits that hold the
        folders of the classes.
    """
    if split is not None:
        if not (root / split).is_dir():
            raise DatasetError("no such split", where=root, given=split, allowed=", ".join(_folder_names(root)))
        root = root / split
    listed = [(folder, _files(folder)) for folder in sorted(root.iterdir()) if _visible(folder) and folder.is_dir()]
    folders = [(folder, images) for folder, files in listed if (images := [file for file in files if _is_image(file)])]
    if not folders:
        loose = sum(_is_image(file) for file in root.iterdir() if file.is_file())
        raise DatasetError(
            "no folder per class holds an image",
            where=root,
            given=f"{loose} images directly in the folder" if loose else None,
            allowed="DATA/<label>/image.jpg",
            do="name the labels' file with --labels",
        )
    _refuse_splits([folder for folder, _ in folders], labels)
    of_folder = labels.resolve(
        [folder.name for folder, _ in folders], lambda position: f"folder {folders[position][0]}"
    )
    paths = [path for _, images in folders for path in images]
    counts = [len(images) for _, images in folders]
    return Dataset(
        root=root,
        form="folders",
        names=[str(path.relative_to(root)) for path in paths],
        labels=np.repeat(of_folder, counts).astype(np.int32),
        source=FileSource(paths),
        notes=_notes(listed, len(paths)),
    )


def has_images(folder: Path) -> bool:
    """Does the folder hold a file with the suffix of an image, at any depth."""
    return any(_is_image(file) for file in _files(folder))


def _refuse_splits(folders: list[Path], labels: LabelList) -> None:
    """DatasetError if the folders are no labels but hold folders that are, as DATA/train/<label>/image.jpg does."""
    holding = [
        folder
        for folder in folders
        if not labels.knows(folder.name) and any(labels.knows(name) for name in _folder_names(folder))
    ]
    if holding:
        names = ", ".join(folder.name for folder in holding[:MAX_NAMED])
        raise DatasetError(
            f"{holding[0].name} is no label; it holds folders that are", where=holding[0].parent, given=names,
            do=f"give {holding[0]}, or --split {holding[0].name}",
        )  # fmt: skip


def _notes(listed: list[tuple[Path, list[Path]]], n_images: int) -> tuple[str, ...]:
    """What was left out, by class: whole classes first."""
    others = sum(len(files) for _, files in listed) - n_images
    if not others:
        return ()
    notes = []
    for folder, files in listed:
        left = [file for file in files if not _is_image(file)]
        if not left:
            continue
        (suffix, _), *_ = Counter(file.suffix.lower() or "no suffix" for file in left).most_common(1)
        part = f"all its {len(left)} files" if len(left) == len(files) else f"{len(left)} of its {len(files)} files"
        notes.append((len(left) < len(files), f"class {folder.name}: {part} were left out ({suffix} is no image read)"))
    notes.sort(key=lambda note: note[0])
    found = [text for _, text in notes[:MAX_NAMED]]
    return (*found, f"{others} files without the suffix of an image were left out")


def _folder_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _visible(path))


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
