"""Files of one input a line, with the truths in a file of as many lines: how parallel corpora come."""

from __future__ import annotations

from pathlib import Path

from premodel.errors import DatasetError
from premodel.profiling.datasets.base import Dataset, TextSource
from premodel.profiling.datasets.columns import NO_OPTIONS, DatasetOptions, refuse_columns
from premodel.profiling.datasets.labels import LabelList
from premodel.profiling.datasets.rows import read_text


def read(inputs: Path, truths: Path, labels: LabelList, options: DatasetOptions = NO_OPTIONS) -> Dataset:
    """Read inputs and truths line by line; lines that are blank in either file are left out, and counted in a note.

    Both files are text in UTF-8, or UTF-16, packed by gzip or not.

    Raises
    ------
    DatasetError
        A file cannot be read, they have different numbers of lines, all lines are blank, or a label is unknown.
    """
    refuse_columns(options, inputs, "files of lines")
    if options.split is not None:
        raise DatasetError("--split does not apply to lines", where=inputs, given=options.split, allowed="a table")
    noun = options.domain.noun
    texts, found = _lines(inputs, f"one {noun} a line"), _lines(truths, "one truth a line")
    if len(texts) != len(found):
        raise DatasetError(
            "both files must have as many lines", where=truths, given=f"{len(texts)} and {len(found)}",
            allowed=f"one line for each {noun} of {inputs}",
        )  # fmt: skip
    kept = [row for row in range(len(texts)) if texts[row].strip() and found[row].strip()]
    if not kept:
        raise DatasetError("all lines are blank", where=inputs, allowed=f"one {noun} a line")
    truth = labels.resolve([found[row].strip() for row in kept], lambda at: f"{truths}, line {kept[at] + 1}")
    left = len(texts) - len(kept)
    notes = (f"{left} lines that are blank in one of the files were left out",) if left else ()
    names = [f"{inputs.name}, line {row + 1}" for row in kept]
    source = TextSource([texts[row] for row in kept])
    return Dataset(inputs.parent, "lines", names, truth, source, notes=notes, task=options.task)


def _lines(file: Path, allowed: str) -> list[str]:
    """The lines of a file: what line feeds end, and nothing else that may stand within a sentence."""
    lines = [line.removesuffix("\r") for line in read_text(file, allowed).split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines
