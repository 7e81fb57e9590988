"""Which columns of a table hold the images and the labels: as named by the user, else by the names that people use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from premodel.errors import DatasetError

PATH_NAMES = (
    "path", "file_name", "filename", "file", "filepath", "file_path", "image", "image_path", "image_file", "img",
    "img_path", "image_name", "name",
)  # fmt: skip
IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "png", "webp", "image_bytes", "bytes")
LABEL_NAMES = (
    "label", "labels", "class", "class_name", "class_label", "label_name", "category", "target", "fine_label", "y",
)  # fmt: skip


@dataclass(frozen=True)
class DatasetOptions:
    """What a user may say of a data set beside where it lies; every command that reads one takes the same.

    Attributes
    ----------
    split:
        Which split of several, such as "train" or "test".
    image_column, label_column:
        Names of columns, where a table does not use one of the usual names, or more than one.
    """

    split: str | None = None
    image_column: str | None = None
    label_column: str | None = None


NO_OPTIONS = DatasetOptions()


def find_column(
    given: Sequence[str], usual: Sequence[str], asked: str | None, *, what: str, where: Path, option: str
) -> str:
    """The column among `given` that is asked for, or the one with a usual name, whatever its case.

    Of several usual names the first in the list of usual names is taken.

    Raises
    ------
    DatasetError
        No column has that name, or none of the usual ones.
    """
    folded = {" ".join(str(name).split()).casefold(): name for name in reversed(given)}
    wanted = usual if asked is None else (asked.casefold(),)
    for name in wanted:
        if name in folded:
            return folded[name]
    raise DatasetError(
        f"no column of {what}" if asked is None else f"no column {asked!r}",
        where=where,
        given=", ".join(map(str, given)) or "no column",
        allowed=f"{', '.join(usual)}" if asked is None else None,
        do=f"name the column with {option}",
    )
