"""Which columns of a table hold the inputs and the labels: as named by the user, else by the names that people use."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError

PATH_NAMES = (
    "path", "file_name", "filename", "file", "filepath", "file_path", "image", "image_path", "image_file", "img",
    "img_path", "image_name", "name", "fname", "image_id", "id",
)  # fmt: skip
IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "png", "webp", "image_bytes", "bytes")
LABEL_NAMES = (
    "label", "labels", "class", "class_name", "class_label", "label_name", "category_name", "category", "target",
    "fine_label", "y",
)  # fmt: skip


SPLIT_NAMES = ("split", "subset", "set", "partition", "dataset_split")
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing")


@dataclass(frozen=True)
class DatasetOptions:
    """What a user may say of a data set beside where it lies; every command that reads one takes the same.

    Attributes
    ----------
    split:
        Which split of several, such as "train" or "test".
    image_column, label_column:
        Names of columns, where a table does not use one of the usual names, or more than one.
    task:
        What the rows are: not the user's to say, the zoo does.
    """

    split: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    task: str = IMAGE_TASK

    @property
    def domain(self) -> Domain:
        """What the rows are."""
        return domain_of(self.task)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Usual names of the column of inputs: of those that stand in it themselves, then of paths."""
        return (*self.domain.inline, *PATH_NAMES)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Usual names of the column of labels, or of other truths."""
        return self.domain.truth_columns or LABEL_NAMES

    @property
    def input_option(self) -> str:
        """The option that names the column of inputs."""
        return "--text-column" if self.domain.inline else "--image-column"

    @property
    def inputs(self) -> str:
        """What the column of inputs holds."""
        return self.domain.plural if self.domain.inline else "paths"


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
    folded = {_folded(name): name for name in reversed(given)}
    wanted = usual if asked is None else (_folded(asked),)
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


def has_column(given: Sequence[str], usual: Sequence[str], asked: str | None) -> bool:
    """Would `find_column` find one."""
    return bool({_folded(name) for name in given} & (set(usual) if asked is None else {_folded(asked)}))


def split_column(given: Sequence[str]) -> str | None:
    """The column that states which split a row is of, if there is one with a usual name."""
    folded = {_folded(name): name for name in reversed(given)}
    return next((folded[name] for name in SPLIT_NAMES if name in folded), None)


def rows_of_split(values: Sequence[object] | None, split: str | None, where: Path) -> list[int] | None:
    """The rows of one split, as a column of a table states; None for all of them.

    Parameters
    ----------
    values:
        What the column holds in each row; None if the table has no such column. A column that holds anything but the
        names of splits states something else.

    Raises
    ------
    DatasetError
        The rows are of several splits and none is asked for, or none is of the split that is.
    """
    names = [_folded("" if value is None else str(value)) for value in values or ()]
    counts = Counter(names)
    if not counts or not set(counts) <= {*SPLITS, ""}:
        counts = Counter()
    if split is not None:
        if _folded(split) not in counts:
            known = ", ".join(sorted(filter(None, counts))) or "no split: the table has no column of splits"
            raise DatasetError("no such split", where=where, given=split, allowed=known)
        return [row for row, name in enumerate(names) if name == _folded(split)]
    if len(counts) > 1:
        given = ", ".join(f"{name or 'none'} ({count} rows)" for name, count in sorted(counts.items()))
        raise DatasetError(
            "the rows are of several splits, which are not mixed", where=where, given=given, do="name one with --split"
        )
    return None


def refuse_columns(options: DatasetOptions, where: Path, form: str) -> None:
    """DatasetError if columns are named of a data set that has none."""
    for option, asked in ((options.input_option, options.image_column), ("--label-column", options.label_column)):
        if asked is not None:
            raise DatasetError(f"{option} does not apply to {form}", where=where, given=asked, allowed="a table")


def _folded(name: object) -> str:
    return " ".join(unicodedata.normalize("NFC", str(name)).split()).casefold()
