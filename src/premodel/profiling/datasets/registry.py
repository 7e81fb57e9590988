"""Reading a labelled data set in any of its forms (design section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets import folders, huggingface, ilsvrc, table
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import NO_OPTIONS, DatasetOptions
from premodel.profiling.datasets.labels import LabelList

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet", *table.JSON_SUFFIXES})
METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""The table that an `imagefolder` of the `datasets` library has beside its images."""


def read_dataset(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    label_names: Sequence[str],
    options: DatasetOptions = NO_OPTIONS,
) -> Dataset:
    """Read a labelled data set; images are read later, on demand.

    Parameters
    ----------
    path:
        A folder; or a CSV, TSV, JSON lines or Parquet table; or Hugging Face style Parquet, one file or a folder of
        them. A folder with a `metadata.csv`, `.jsonl` or `.parquet` is read by that table.
    labels:
        For a folder: a CSV, TSV or Parquet table with the columns path and label, or a text file of `name label`
        lines (the ILSVRC layout). Without it the folder holds one folder per class.
    label_names:
        The zoo's labels, in order; what a label may be called is told by `LabelList`.
    options:
        Split and columns.

    Raises
    ------
    DatasetError
        The data set cannot be read in any form, or a label is not in the list.
    MissingExtraError
        A Parquet file is given and pyarrow is not installed.
    """
    root = Path(path)
    label_list = LabelList(label_names)
    if labels is not None:
        return _read_with_labels(root, Path(labels), label_list, options)
    if root.is_dir():
        return _read_folder(root, label_list, options)
    _must_be_file(root, "a folder, a CSV, TSV, JSON lines or Parquet file")
    suffix = root.suffix.lower()
    if suffix == ".parquet" and huggingface.is_huggingface(root):
        return huggingface.read([root], root, label_list, options)
    if suffix in TABLE_SUFFIXES:
        return table.read(root, root.parent, label_list, options)
    raise DatasetError(
        "unknown form of a data set", where=root, allowed="a folder, or a .csv, .tsv, .jsonl or .parquet file"
    )


def _read_folder(root: Path, labels: LabelList, options: DatasetOptions) -> Dataset:
    shards = sorted(root.glob("*.parquet")) or sorted(root.glob("data/*.parquet"))
    if shards and all(huggingface.is_huggingface(shard) for shard in shards):
        return huggingface.read(huggingface.choose_split(shards, root, options.split), root, labels, options)
    folder = root if options.split is None else root / options.split
    for name in METADATA_NAMES:
        if (folder / name).is_file():
            return table.read(folder / name, folder, labels, options)
    return folders.read(root, labels, options.split)


def _read_with_labels(root: Path, labels: Path, label_list: LabelList, options: DatasetOptions) -> Dataset:
    if not root.is_dir():
        _must_be_file(root, "a folder of images")
        raise DatasetError("labels go with a folder of images", where=root, given="a file", allowed="a folder")
    _must_be_file(labels, "a .csv, .tsv, .jsonl or .parquet table, or a text file of: name label")
    if labels.suffix.lower() in TABLE_SUFFIXES:
        return table.read(labels, root, label_list, options)
    return ilsvrc.read(labels, root, label_list)


def _must_be_file(path: Path, allowed: str) -> None:
    if not path.is_file():
        raise DatasetError("not there" if not path.exists() else "not a file", where=path, allowed=allowed)
