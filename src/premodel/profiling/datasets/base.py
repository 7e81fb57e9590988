"""What every form of a data set becomes: named, labelled rows whose bytes are read on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK, Domain
from premodel.domains.registry import domain_of
from premodel.errors import SampleError


@dataclass(frozen=True)
class Payload:
    """The bytes of one row, or why they could not be read."""

    row: int
    data: bytes | None
    reason: str = ""


class Source(Protocol):
    """Gives the bytes of rows.

    Attributes
    ----------
    paths:
        The file of each row; None if the bytes lie inside tables.
    """

    @property
    def paths(self) -> Sequence[Path] | None:
        """The file of each row, or None."""
        ...

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        """Bytes of these rows, in rising order of row; never all in memory at once."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """n labelled samples.

    Attributes
    ----------
    root:
        The folder or file it was read from.
    form:
        "folders", "table", "lines", "ilsvrc" or "huggingface".
    names:
        Name of each row for messages, n: a path relative to the root, "file.parquet#row" or "file.csv, line 5".
    labels:
        int32 (n,), the true label.
    source:
        Gives the bytes of rows.
    missing:
        Names that a list holds but that have no file; only the ilsvrc form allows them.
    notes:
        What the user should know about how the labels were read.
    task:
        What the rows are: names the domain.
    truths:
        The true answer of each row, n, where answers are no labels; the labels are then all -1.
    detail:
        How much of an input is decoded, see `Domain.detail`; 0 for all of it.
    features:
        Version of the features, see `Domain.with_features`; empty for the usual ones.
    """

    root: Path
    form: str
    names: Sequence[str]
    labels: NDArray[np.int32]
    source: Source
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    task: str = IMAGE_TASK
    truths: Sequence[str] | None = None
    detail: int = 0
    features: str = ""

    @property
    def domain(self) -> Domain:
        """What the rows are, how they are decoded, and which features they have."""
        return domain_of(self.task).at(self.detail).with_features(self.features)

    def with_detail(self, detail: int) -> Dataset:
        """The same rows, decoded otherwise."""
        return replace(self, detail=detail)

    def with_embedding(self) -> Dataset:
        """The same rows with an embedding among their features; raises as `Domain.with_embedding`."""
        return replace(self, features=self.domain.with_embedding().features_version)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> Sequence[Path] | None:
        """The file of each row; None if the bytes lie inside tables."""
        return self.source.paths

    def read(self, rows: Sequence[int] | None = None) -> Iterator[Payload]:
        """Bytes of these rows (all if None), in rising order of row."""
        return self.source.read(range(len(self)) if rows is None else sorted(rows))

    def draw(self, limit: int | None, seed: int = 0) -> list[int]:
        """`limit` rows drawn at random, in rising order; all rows if `limit` is None or not below n.

        The rows of a smaller limit are among those of a larger one.
        """
        n = len(self)
        if limit is None or limit >= n:
            return list(range(n))
        return sorted(int(row) for row in np.random.default_rng(seed).permutation(n)[:limit])


class FileSource:
    """Rows that are files of a task's inputs."""

    def __init__(self, paths: Sequence[Path], task: str = IMAGE_TASK) -> None:
        self._paths = paths
        self._task = task

    @property
    def paths(self) -> Sequence[Path]:
        """The files."""
        return self._paths

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        """Bytes of each file; a file that cannot be read gives the reason."""
        domain = domain_of(self._task)
        for row in rows:
            try:
                yield Payload(row, domain.read_file(self._paths[row]))
            except SampleError as error:
                yield Payload(row, None, str(error))


class TextSource:
    """Rows that are texts, held as they stood in a table or in lines."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    @property
    def paths(self) -> None:
        """The texts lie inside a file of many."""
        return None

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        """The UTF-8 bytes of each; a text with half of a surrogate pair gives bytes that no decoder takes."""
        for row in rows:
            yield Payload(row, self._texts[row].encode("utf-8", "surrogatepass"))
