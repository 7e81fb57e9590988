"""The pictures of a report: small copies, examples by difficulty, and the inputs that were answered wrongly in vain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.domains.registry import domain_of
from premodel.evaluation.cross_validation import Outcome
from premodel.records import Criterion
from premodel.runtime.policies.base import FUSED
from premodel.training.simulate import NOBODY
from premodel.training.tables import Tables

BINS, PER_BIN = 5, 10
MISTAKES = 36
FindImage = Callable[[str], bytes | None]
"""SHA-256 of a sample -> its encoded image; None if it is not to be found."""


@dataclass(frozen=True, eq=False)
class Difficulty:
    """What samples are ordered by in the report.

    Attributes
    ----------
    name:
        In words, such as "difficulty that the generator drew".
    values:
        float64 (n,), one for each sample of the tables; rising.
    """

    name: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """One small picture with its caption.

    Attributes
    ----------
    uri:
        The picture as a data URI.
    truth, served:
        Names of the labels; `served` is empty for an abstention.
    by:
        Who answered.
    right:
        Was the answer right by the criterion.
    others_right:
        Candidates that are right, cheapest first.
    """

    uri: str
    truth: str
    served: str
    by: str
    right: bool
    others_right: tuple[str, ...]


@dataclass(frozen=True)
class Bin:
    """Samples of like difficulty, and some of them drawn at random.

    Attributes
    ----------
    title:
        Range of difficulty in words.
    samples, right:
        Their number, and how many the premodel answered rightly.
    best_right:
        How many the best single candidate answered rightly.
    latency_ms:
        Mean of the premodel, end to end.
    pictures:
        The examples.
    """

    title: str
    samples: int
    right: int
    best_right: int
    latency_ms: float
    pictures: tuple[Picture, ...]


def measured_difficulty(tables: Tables, criterion: Criterion) -> Difficulty:
    """How many candidates are wrong on each sample: a difficulty for images that come with none."""
    wrong = (1 - tables.score(criterion)).sum(axis=1)
    return Difficulty("number of candidates that are wrong", wrong)


class Album:
    """Makes pictures of the samples of one evaluation.

    Parameters
    ----------
    tables, criterion:
        Of the evaluation.
    outcome:
        Of the premodel whose answers are shown, out of fold.
    best:
        Column of the best single candidate.
    find:
        Gives encoded images.
    """

    def __init__(self, tables: Tables, criterion: Criterion, outcome: Outcome, best: int, find: FindImage) -> None:
        self.tables = tables
        self.score = tables.score(criterion)
        self.outcome = outcome
        self.served = outcome.score
        self.best = best
        self.find = find
        self.cheapest_first = np.argsort(tables.latency_ms, kind="stable").tolist()

    def bins(self, difficulty: Difficulty, seed: int = 0) -> list[Bin]:
        """Samples by rising difficulty, in five parts or one part for each value, with examples drawn at random."""
        values = difficulty.values
        distinct = np.unique(values)
        if len(distinct) <= BINS + 2:
            groups = [(f"{value:g}", np.flatnonzero(values == value)) for value in distinct]
        else:
            parts = np.array_split(np.argsort(values, kind="stable"), BINS)
            form = ".0f" if (distinct == np.rint(distinct)).all() else ".2f"
            groups = [(_span(values[part[0]], values[part[-1]], form), part) for part in parts if len(part)]
        rng = np.random.default_rng(seed)
        return [
            Bin(
                title,
                len(rows),
                round(float(self.served[rows].sum())),
                round(float(self.score[rows, self.best].sum())),
                float(self.outcome.latency_ms[rows].mean()),
                tuple(self._some(rng.permutation(rows), PER_BIN)),
            )
            for title, rows in groups
        ]

    def mistakes(self, seed: int = 0) -> tuple[int, list[Picture]]:
        """How often the premodel was wrong where some candidate is right, and some of these samples at random."""
        rows = np.flatnonzero(self.served < self.score.max(axis=1))
        return len(rows), self._some(np.random.default_rng(seed).permutation(rows), MISTAKES)

    def _some(self, rows: Sequence[int] | NDArray[np.intp], limit: int) -> list[Picture]:
        """Pictures of the first rows whose image is found."""
        found: list[Picture] = []
        domain = domain_of(self.tables.task)
        for row in rows:
            if len(found) == limit:
                break
            data = self.find(self.tables.samples[int(row)])
            uri = None if data is None else domain.preview(data)
            if uri is not None:
                found.append(self._picture(int(row), uri))
        return found

    def _picture(self, row: int, uri: str) -> Picture:
        names, source = self.tables.label_names, int(self.outcome.source[row])
        label = int(self.outcome.label[row])
        ran = [self.tables.candidates[column] for column in np.flatnonzero(self.outcome.ran[row])]
        by = "nobody" if source == NOBODY else _fused(ran) if source == FUSED else self.tables.candidates[source]
        score = self.score[row]
        best = [column for column in self.cheapest_first if score[column] >= score.max() > 0]
        right = tuple(self.tables.candidates[column] for column in best)
        return Picture(
            uri,
            names[int(self.tables.truth[row])] if names else "",
            names[label] if names and label >= 0 else "",
            by,
            bool(self.served[row] >= 1),
            right,
        )


def _fused(ran: Sequence[str]) -> str:
    """Who gave a fused answer, short enough for a caption."""
    return " + ".join(ran) if len(ran) <= 1 else f"{len(ran)} candidates fused"


def _span(low: float, high: float, form: str) -> str:
    """A range in words; one number where both ends are written alike."""
    first, last = format(low, form), format(high, form)
    return first if first == last else f"{first} to {last}"
