"""A folder per class: `DATA/<label>/**/image.jpg`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import IMAGE_SUFFIXES, Dataset, FileSource
from premodel.profiling.datasets.labels import LabelList


def read(root: Path, labels: LabelList) -> Dataset:
    """Read a folder per class; the folder's name names the label as `LabelList` says.

    Files with the suffix of an image count. Folders that hold none anywhere below them are left out, whatever their
    name; so are hidden files and folders. Files with another suffix are left out too, and counted in a note.

    Raises
    ------
    DatasetError
        No folder holds an image, or the name of one that does is no label.
    """
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
    of_folder = labels.resolve(
        [folder.name for folder, _ in folders], lambda position: f"folder {folders[position][0]}"
    )
    paths = [path for _, images in folders for path in images]
    counts = [len(images) for _, images in folders]
    others = sum(len(files) for _, files in listed) - len(paths)
    return Dataset(
        root=root,
        form="folders",
        names=[str(path.relative_to(root)) for path in paths],
        labels=np.repeat(of_folder, counts).astype(np.int32),
        source=FileSource(paths),
        notes=(f"{others} files without the suffix of an image were left out",) if others else (),
    )


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
