"""One way of answering as a line: BLEU, ROUGE-L, F1, time, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Line:
    """What one way of answering comes to.

    Attributes
    ----------
    name:
        Of the line.
    means:
        Mean of the sentences' scores by criterion, times 100.
    f1_of_means:
        Harmonic mean of mean BLEU and mean ROUGE-L, as the replication prints F1; the mean of the sentences' F1 is
        lower.
    latency_ms:
        Mean, end to end.
    speedup, speedup_ci:
        Mean time of the most capable candidate over its own, with the interval over sentences.
    to_best:
        Score less that of the most capable candidate, in points, by criterion.
    to_mix:
        The same to the random mix of equal mean time; empty where nothing is chosen per sentence.
    corpus:
        Corpus scores, times 100; empty where there are none.
    samples:
        Behind it.
    """

    name: str
    means: Mapping[str, float]
    f1_of_means: float
    latency_ms: float
    speedup: float
    speedup_ci: Interval
    to_best: Mapping[str, Difference]
    to_mix: Mapping[str, Difference] = field(default_factory=dict)
    corpus: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0

    def choice(self, criterion: str) -> str:
        """Is the choice per sentence above or below the random mix, beyond doubt."""
        if not self.to_mix:
            return "no choice per sentence"
        return WORDS[shown_sign(*self.to_mix[criterion], self.samples)]


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
    outcome = served.outcome
    return line(study, name, outcome.source, outcome.latency_ms, chooses=served.row.chooses)


def candidate_line(study: Study, column: int) -> Line:
    """A single candidate."""
    source = np.full(len(study.tables), column, np.intp)
    return line(study, study.tables.candidates[column], source, study.singles.latency_of(column))


def chosen_line(study: Study, name: str, source: NDArray[np.intp]) -> Line:
    """Candidates chosen (n,) at no cost, as an oracle does."""
    return line(study, name, source, study.singles.latency_of(source))


def line(
    study: Study, name: str, source: NDArray[np.intp], latency_ms: NDArray[np.float64], *, chooses: bool = False
) -> Line:
    """The answers of these candidates (n,), below 0 for none, at these times (n,)."""
    rows, best, mean_ms = np.arange(len(source)), study.singles.best, float(latency_ms.mean())
    means, to_best, to_mix = {}, {}, {}
    for criterion in SCORES:
        score = study.tables.score(criterion)
        own = np.where(source >= 0, score[rows, source], 0.0)
        means[criterion] = 100 * float(own.mean())
        to_best[criterion] = study.gain(own, score[:, best])
        if chooses:
            to_mix[criterion] = study.gain(own, _mix(study, criterion, mean_ms))
    speedup, interval = speed(study.singles.latency_of(best), latency_ms, study.seed)
    figures = {} if study.corpus is None else study.corpus.figures(source)
    return Line(
        name,
        means,
        harmonic(means["bleu"], means["rouge"]),
        mean_ms,
        speedup,
        interval,
        to_best,
        to_mix,
        {key: 100 * value for key, value in figures.items()},
        len(source),
    )


def worth_of_features(study: Study, real: Served, blind: Served, criterion: str = "f1") -> Difference:
    """What the features of a sentence give: how far the real ones are above the random mix, less that of permuted ones.

    Each is compared at its own mean time, so that what the permuted ones spend more or less does not count.
    """
    above = []
    for outcome in (real.outcome, blind.outcome):
        score = study.tables.score(criterion)[np.arange(len(study.tables)), outcome.source]
        own = np.where(outcome.source >= 0, score, 0.0)
        above.append(own - _mix(study, criterion, float(outcome.latency_ms.mean())))
    return study.gain(above[0], above[1])


def _mix(study: Study, criterion: str, at_ms: float) -> NDArray[np.float64]:
    """float64 (n,): expected score of the random mix on each sentence."""
    return Singles.of(study.tables, criterion).mix(at_ms)[0]


def speed(reference_ms: NDArray[np.float64], latency_ms: NDArray[np.float64], seed: int = 0) -> tuple[float, Interval]:
    """Ratio of two mean times over the same sentences, with its interval by bootstrap of the linearised ratio."""
    ratio = float(reference_ms.mean() / latency_ms.mean())
    low, high = paired_bootstrap((reference_ms - ratio * latency_ms) / latency_ms.mean(), seed=seed)
    return ratio, (ratio + low, ratio + high)


def mix_cells(study: Study, at_ms: float) -> tuple[Cell, ...]:
    """The random mix at a mean time, as a row of `scores_table`; each score has its own best mix."""
    means = {criterion: _mix_mean(study, criterion, at_ms) for criterion in SCORES}
    best_ms = float(study.singles.latency_ms[study.singles.best])
    scores = tuple(means.values())
    return (f"random mix at {at_ms:.2f} ms", *scores, None, at_ms, best_ms / at_ms, None, None)


def _mix_mean(study: Study, criterion: str, at_ms: float) -> float:
    return 100 * float(_mix(study, criterion, at_ms).mean())


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
        cells: list[Cell] = [one.name, one.speedup, *one.speedup_ci, *_difference(one.to_best["bleu"])]
        for criterion in SCORES:
            cells += [*_difference(one.to_mix.get(criterion))]
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
