"""What every command that reads a data set may be given about it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from premodel.domains.base import IMAGE_TASK
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("the data set")
    group.add_argument("--split", metavar="NAME", help="which split, where DATA holds several: train, test, ...")
    group.add_argument(
        "--image-column", "--text-column", metavar="NAME", dest="image_column",
        help="column of paths, images or texts, if its name is not a usual one",
    )  # fmt: skip
    group.add_argument(
        "--label-column", metavar="NAME", help="column of labels or other truths, if its name is not a usual one"
    )


def read_data(
    args: argparse.Namespace,
    data: str | Path,
    labels: str | Path | None,
    label_names: Sequence[str],
    task: str = IMAGE_TASK,
) -> Dataset:
    """Read the data set as the options say; DatasetError and MissingExtraError as `read_dataset`."""
    options = DatasetOptions(args.split, args.image_column, args.label_column, task)
    return read_dataset(data, labels, label_names=label_names, options=options)


def next_step(
    manifest: str | Path, data: str | Path | None = None, labels: str | Path | None = None, *, trust: bool = False
) -> str:
    """What comes after a manifest, the same from every command that makes or checks one."""
    words = ["premodel", "profile", str(manifest), str(data) if data is not None else "DATA"]
    words += ["--labels", str(labels)] if labels is not None else []
    words += ["--store", "profile.db", *(["--trust-python"] if trust else [])]
    return f"next: {shlex.join(words)}"


def data_notes(dataset: Dataset) -> list[str]:
    """What the user should know of how it was read."""
    missing = dataset.missing
    lost = [f"{len(missing)} listed {dataset.domain.plural} are not there, such as {missing[0]}"] if missing else []
    return [*dataset.notes, *lost]
