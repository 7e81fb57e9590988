"""Reading a labelled data set in any of its forms (design section 4)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from premodel.errors import DatasetError, OptionError
from premodel.profiling.datasets import folders, huggingface, ilsvrc, lines, table
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.columns import NO_OPTIONS, DatasetOptions, refuse_columns
from premodel.profiling.datasets.labels import FreeTruths, LabelList
from premodel.profiling.datasets.parquet import ARROW_SUFFIXES
from premodel.profiling.datasets.rows import form_of

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet", *ARROW_SUFFIXES, *table.JSON_SUFFIXES})
METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""The table that an `imagefolder` of the `datasets` library has beside its images."""


Reader = Callable[[Path, LabelList, DatasetOptions], Dataset]
FORMS: dict[str, Reader] = {}
"""Suffix of a file -> how such a data set is read; forms that other packages bring (`register`)."""


def register(suffix: str, read: Reader) -> None:
    """Make a form of data set known that another package brings.

    Parameters
    ----------
    suffix:
        Of the file that the user names, with its dot, in lower case.
    read:
        Gives the data set of such a file; a DatasetError names what is wrong with it.

    Raises
    ------
    OptionError
        Files of that suffix have a form already.
    """
    if suffix in TABLE_SUFFIXES or FORMS.setdefault(suffix, read) is not read:
        raise OptionError("suffix of a data set must be a new one", given=suffix, allowed="a suffix of its own")


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
        A folder; or a file of one input a line, where the task has such; or a CSV, TSV, JSON lines, Parquet or Arrow
        table; or Hugging Face style Parquet or Arrow, one file or a folder of them. A folder with a `metadata.csv`,
        `.jsonl` or `.parquet` that has labels is read by that table.
    labels:
        For a folder: a CSV, TSV or Parquet table with the columns path and label, or a text file of `name label`
        lines (the ILSVRC layout). Without it the folder holds one folder per class. For a file of lines: a file of as
        many lines, one label or other truth each.
    label_names:
        The zoo's labels, in order; what a label may be called is defined by `LabelList`.
    options:
        Split and columns, and what the rows are.

    Raises
    ------
    DatasetError
        The data set cannot be read in any form, or a label is not in the list.
    MissingExtraError
        A Parquet file is given and pyarrow is not installed.
    """
    root = Path(path)
    table_of = None if labels is None else Path(labels)
    try:
        return _read(root, table_of, label_names, options)
    except (OSError, UnicodeError, OverflowError, RecursionError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DatasetError(f"the data set cannot be read ({reason})", where=table_of or root) from error


def _read(root: Path, table_of: Path | None, label_names: Sequence[str], options: DatasetOptions) -> Dataset:
    if not options.domain.answers_labels:
        return _read_truths(root, table_of, options)
    label_list = LabelList(label_names)
    if table_of is not None:
        return _read_with_labels(root, table_of, label_list, options)
    if root.is_dir():
        return _read_folder(root, label_list, options)
    _must_be_file(root, "a folder, a CSV, TSV, JSON lines or Parquet file")
    suffix = form_of(root)
    if suffix in FORMS:
        return FORMS[suffix](root, label_list, options)
    if suffix in (".parquet", *ARROW_SUFFIXES) and _holds_bytes(root, options):
        return huggingface.read(_of_split([root], root.parent, options), root, label_list, options)
    if suffix in TABLE_SUFFIXES:
        return table.read(root, root.parent, label_list, options)
    raise DatasetError(
        "unknown form of a data set", where=root, allowed="a folder, or a .csv, .tsv, .jsonl, .parquet or .arrow file"
    )


def _read_truths(root: Path, table_of: Path | None, options: DatasetOptions) -> Dataset:
    """A table of inputs whose truths are texts, tables that are shards of one, or files of lines."""
    given, truths = table_of or root, FreeTruths()
    if _are_lines(root, table_of, options) and table_of is not None:
        found = lines.read(root, table_of, truths, options)
        return replace(found, truths=tuple(truths.texts))
    if root.is_dir() and table_of is None:
        given = next((root / name for name in METADATA_NAMES if (root / name).is_file()), root)
    shards = huggingface.find_shards(root, deep=True) if given.is_dir() and options.domain.inline else []
    if not shards and (not given.is_file() or form_of(given) not in TABLE_SUFFIXES):
        other = ", or two files of lines, the second with --labels" if options.domain.inline else ""
        raise DatasetError(
            "the truths of this task are texts, which only a table holds", where=given,
            allowed=f"a table with the columns path and label, or a folder with {METADATA_NAMES[0]}{other}",
        )  # fmt: skip
    if shards:
        found = table.read_tables(_of_split(shards, root, options), root, truths, _within(shards, options))
    elif given.suffix.lower() in (".parquet", *ARROW_SUFFIXES) and _holds_bytes(given, options):
        found = huggingface.read(_of_split([given], given.parent, options), given, truths, options)
    else:
        found = table.read(given, root if root.is_dir() else given.parent, truths, options)
    return replace(found, truths=tuple(truths.texts))


def _are_lines(root: Path, table_of: Path | None, options: DatasetOptions) -> bool:
    """Are there two files of lines: inputs that stand in no table, and their truths."""
    return bool(options.domain.inline) and table_of is not None and root.is_file()


def _holds_bytes(file: Path, options: DatasetOptions) -> bool:
    """Has the table a column of encoded inputs: of texts it holds the texts themselves."""
    return not options.domain.inline and huggingface.is_huggingface(file, options)


def _within(shards: Sequence[Path], options: DatasetOptions) -> DatasetOptions:
    """The options within the files of a split, which have no column of splits."""
    return options if huggingface.has_split_column(shards) else replace(options, split=None)


def _read_folder(root: Path, labels: LabelList, options: DatasetOptions) -> Dataset:
    images = folders.has_inputs(root, options.domain)
    shards = huggingface.find_shards(root, deep=not images)
    if options.domain.inline and shards and not images:
        return table.read_tables(_of_split(shards, root, options), root, labels, _within(shards, options))
    holding = [shard for shard in shards if _holds_bytes(shard, options)]
    if holding and len(holding) < len(shards) and not images:
        other = next(shard for shard in shards if shard not in holding)
        raise DatasetError(
            "tables with images and tables without lie in one folder", where=root, given=f"{other.name} has none",
            do="give the tables with images in a folder of their own",
        )  # fmt: skip
    if holding and len(holding) == len(shards):
        found = huggingface.read(_of_split(holding, root, options), root, labels, options)
        note = "the images in files beside the tables were left out"
        return replace(found, notes=(*found.notes, note)) if images else found
    folder = root if options.split is None or not (root / options.split).is_dir() else root / options.split
    metadata = next((folder / name for name in METADATA_NAMES if (folder / name).is_file()), None)
    if metadata is None:
        refuse_columns(options, root, "a folder per class")
        return folders.read(root, labels, options.split, options.task)
    within = options if folder == root else replace(options, split=None)
    if not folders.has_folders_of_inputs(folder, options.domain) or table.has_labels(metadata, labels, within):
        found = table.read(metadata, folder, labels, within)
        left = folders.count_inputs(folder, options.domain) - len(set(found.paths or ()))
        note = f"{left} {options.domain.plural} of the folder are not in {metadata.name}, or of another split"
        note += ", and were left out"
        return replace(found, notes=(*found.notes, note)) if left > 0 else found
    found = folders.read(root, labels, options.split, options.task)
    note = f"{metadata.name} has no column of labels; the folders' names are taken"
    return replace(found, notes=(*found.notes, note))


def _of_split(shards: Sequence[Path], root: Path, options: DatasetOptions) -> list[Path]:
    """The files of the split, unless a column names the split of each row."""
    if options.split is not None and huggingface.has_split_column(shards):
        return list(shards)
    return huggingface.choose_split(shards, root, options.split)


def _read_with_labels(root: Path, labels: Path, label_list: LabelList, options: DatasetOptions) -> Dataset:
    if _are_lines(root, labels, options):
        _must_be_file(labels, "a file of lines, one label each")
        return lines.read(root, labels, label_list, options)
    if not root.is_dir():
        _must_be_file(root, f"a folder of {options.domain.plural}")
        raise DatasetError(
            f"labels go with a folder of {options.domain.plural}", where=root, given="a file", allowed="a folder"
        )
    _must_be_file(labels, "a .csv, .tsv, .jsonl or .parquet table, or a text file of: name label")
    if form_of(labels) in TABLE_SUFFIXES:
        return table.read(labels, root, label_list, options)
    refuse_columns(options, labels, "a list of names and labels")
    if options.split is not None:
        raise DatasetError("--split does not apply to a list", where=labels, given=options.split, allowed="a table")
    return ilsvrc.read(labels, root, label_list, options.task)


def _must_be_file(path: Path, allowed: str) -> None:
    if not path.is_file():
        raise DatasetError("not there" if not path.exists() else "not a file", where=path, allowed=allowed)
