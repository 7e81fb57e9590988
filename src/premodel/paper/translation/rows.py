"""One way of answering as a line: BLEU, ROUGE-L, F1, time, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.rows import Singles
from premodel.paper.results import Cell, DataTable, Interval
from premodel.paper.study import Served, Study
from premodel.paper.translation.published import above_mix
from premodel.stats import paired_bootstrap
from premodel.verdict import shown_sign

SCORES = {"bleu": "BLEU", "rouge": "ROUGE-L", "f1": "F1"}
"""What is reported, by criterion; times 100, as in the literature."""
OURS = "this profile"
WORDS = {1: "above", -1: "below", 0: "not distinguishable"}
Difference = tuple[float, Interval]


@dataclass(frozen=True, eq=False)
class Line:
    """One way of answering; figures are worked out when they are asked for, then kept.

    Attributes
    ----------
    study:
        What it is part of.
    name:
        Of the line.
    source:
        intp (n,), candidate whose answer was served, below 0 for none.
    took_ms:
        float64 (n,), end to end.
    chooses:
        Does it choose per sentence, so that it is compared with the random mix.
    """

    study: Study
    name: str
    source: NDArray[np.intp]
    took_ms: NDArray[np.float64]
    chooses: bool = False
    _to_mix: dict[str, Difference] = field(default_factory=dict)

    def scores(self, criterion: str) -> NDArray[np.float64]:
        """float64 (n,): score of each answer; 0 where there is none."""
        score = self.study.tables.score(criterion)[np.arange(len(self.source)), self.source]
        return np.where(self.source >= 0, score, 0.0)

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean of the sentences' scores by criterion, times 100."""
        return {criterion: 100 * float(self.scores(criterion).mean()) for criterion in SCORES}

    @property
    def f1_of_means(self) -> float:
        """Harmonic mean of mean BLEU and mean ROUGE-L, as the replication prints F1: not the mean of the sentences'."""
        return harmonic(self.means["bleu"], self.means["rouge"])

    @property
    def latency_ms(self) -> float:
        """Mean, end to end."""
        return float(self.took_ms.mean())

    @cached_property
    def speed(self) -> Difference:
        """Mean time of the most capable candidate over its own, with the interval over sentences."""
        singles = self.study.singles
        return ratio_of_means(singles.latency_of(singles.best), self.took_ms, self.study.seed)

    @property
    def speedup(self) -> float:
        """The same without its interval."""
        singles = self.study.singles
        return float(singles.latency_ms[singles.best]) / self.latency_ms

    @cached_property
    def to_best(self) -> Difference:
        """BLEU less that of the most capable candidate, in points."""
        return self.study.gain(self.scores("bleu"), self.study.tables.score("bleu")[:, self.study.singles.best])

    def above_mix(self, criterion: str) -> NDArray[np.float64]:
        """float64 (n,): score less what is expected of the random mix of equal mean time."""
        return self.scores(criterion) - mix_scores(self.study, criterion, self.latency_ms)

    def to_mix(self, criterion: str) -> Difference | None:
        """Mean of that in points, with its interval; None where nothing is chosen per sentence."""
        if not self.chooses:
            return None
        if criterion not in self._to_mix:
            above = self.above_mix(criterion)
            self._to_mix[criterion] = self.study.gain(above, np.zeros(len(above)))
        return self._to_mix[criterion]

    def choice(self, criterion: str) -> str:
        """Is the choice per sentence above or below the random mix, beyond doubt."""
        found = self.to_mix(criterion)
        return "no choice per sentence" if found is None else WORDS[shown_sign(*found, len(self.source))]

    @cached_property
    def corpus(self) -> dict[str, float]:
        """Corpus scores, times 100; none where the answers are not at hand."""
        figures = {} if self.study.corpus is None else self.study.corpus.figures(self.source)
        return {name: 100 * value for name, value in figures.items()}


def harmonic(first: float, second: float) -> float:
    """Harmonic mean; 0 of zeros.

    Examples
    --------
    >>> harmonic(20.0, 30.0)
    24.0
    """
    return 2 * first * second / (first + second) if first + second else 0.0


def served_line(study: Study, name: str, served: Served) -> Line:
    """A premodel out of fold."""
    return Line(study, name, served.outcome.source, served.outcome.latency_ms, served.row.chooses)


def candidate_line(study: Study, column: int) -> Line:
    """A single candidate."""
    source = np.full(len(study.tables), column, np.intp)
    return Line(study, study.tables.candidates[column], source, study.singles.latency_of(column))


def chosen_line(study: Study, name: str, source: NDArray[np.intp]) -> Line:
    """Candidates chosen (n,) at no cost, as an oracle does."""
    return Line(study, name, source, study.singles.latency_of(source))


def worth_of_features(real: Line, blind: Line, criterion: str = "f1") -> Difference:
    """What the features of a sentence give: how far real ones are above the random mix, less how far permuted ones are.

    Each is compared at its own mean time, so that what the permuted ones spend more or less does not count.
    """
    return real.study.gain(real.above_mix(criterion), blind.above_mix(criterion))


def mix_scores(study: Study, criterion: str, at_ms: float) -> NDArray[np.float64]:
    """float64 (n,): expected score of the random mix on each sentence."""
    return Singles.of(study.tables, criterion).mix(at_ms)[0]


def ratio_of_means(reference: NDArray[np.float64], own: NDArray[np.float64], seed: int = 0) -> Difference:
    """Ratio of two means over the same sentences, with its interval by bootstrap of the linearised ratio."""
    ratio = float(reference.mean() / own.mean())
    low, high = paired_bootstrap((reference - ratio * own) / own.mean(), seed=seed)
    return ratio, (ratio + low, ratio + high)


def mix_cells(study: Study, at_ms: float) -> tuple[Cell, ...]:
    """The random mix at a mean time, as a row of `scores_table`; each score has its own best mix."""
    scores = [100 * float(mix_scores(study, criterion, at_ms).mean()) for criterion in SCORES]
    best_ms = float(study.singles.latency_ms[study.singles.best])
    return (f"random mix at {at_ms:.2f} ms", *scores, None, at_ms, best_ms / at_ms, None, None)


def scores_table(name: str, caption: str, lines: Sequence[Line], more: Sequence[tuple[Cell, ...]] = ()) -> DataTable:
    """Scores and times, one line each."""
    header = ("", *SCORES.values(), "F1 of the means", "time, ms", "speed-up", "corpus BLEU", "corpus chrF")
    rows = [
        (
            one.name, *one.means.values(), one.f1_of_means, one.latency_ms, one.speedup, one.corpus.get("bleu"),
            one.corpus.get("chrf"),
        )
        for one in lines
    ]  # fmt: skip
    return DataTable(name, caption, header, (*rows, *more), "-")


def against_table(name: str, caption: str, lines: Sequence[Line]) -> DataTable:
    """Speed-up and differences with their intervals, one line each."""
    header: list[str] = ["", "speed-up", "from", "to", "BLEU to the most capable, points", "from", "to"]
    for title in SCORES.values():
        header += [f"{title} to the random mix, points", "from", "to"]
    rows: list[tuple[Cell, ...]] = []
    for one in lines:
        cells: list[Cell] = [one.name, one.speedup, *one.speed[1], *_difference(one.to_best)]
        for criterion in SCORES:
            cells += [*_difference(one.to_mix(criterion))]
        rows.append((*cells, one.choice("bleu"), one.choice("f1")))
    return DataTable(name, caption, (*header, "by BLEU", "by F1"), tuple(rows), "-")


def _difference(found: Difference | None) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if found is None else (found[0], *found[1])


def f1_above_mix(study: Study, one: Line) -> float:
    """F1 of the means less that of the random mix of the candidates: what follows from the replication's table, too."""
    bleu, rouge = (100 * study.tables.score(criterion).mean(axis=0) for criterion in ("bleu", "rouge"))
    scores = [harmonic(*both) for both in zip(bleu.tolist(), rouge.tolist(), strict=True)]
    pool = list(zip(scores, study.singles.latency_ms.tolist(), strict=True))
    return above_mix(pool, one.f1_of_means, one.latency_ms)
