"""What `cascade` and `cascade-routing` learn where answers are no labels and a criterion grades them.

A set of candidates serves the answer of the highest expected grade, by what each candidate states of its own answer
(`runtime.policies.graded_stopping`); the rest is as in `training.policies.stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.graded_stopping import ExpectedGrades
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.runtime.policies.stopping import SCALE
from premodel.training.calibration import logit
from premodel.training.isotonic import curve_points, rising_means
from premodel.training.latency_curves import learn_latency_curves, lengths_of
from premodel.training.log_scores import SampleLatencies
from premodel.training.options import TrainOptions
from premodel.training.policies.continuation_values import members_of
from premodel.training.policies.learner import SELECT_MS, Learner
from premodel.training.policies.pool import PoolSearch
from premodel.training.policies.stopping import States
from premodel.training.tables import Tables

POINTS = 12
"""Of the curve from what a candidate states to the expected grade."""
Z_95_ONE_SIDED = 1.6448536269514722
"""Standard errors by which statements must predict grades better than the mean does, before they count."""
FOLDS = 5
"""In which the search of a pool cross-fits."""
MIN_SAMPLES = 30
"""Of one candidate, to learn such a curve; with fewer its mean grade is expected of every answer."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class GradedTable(SampleLatencies):
    """n samples, m candidates: how good each answer is, and what its candidate states of it.

    Attributes
    ----------
    correct:
        float64 (n, m) in [0, 1], the grade of each answer; 0 where there is none.
    stated:
        float64 (n, m), probability that each candidate gives to its own answer; NaN where there is none.
    names, latency_ms, before_ms, sample_ms, curves, predicted_ms:
        As of `LogScoreTable`.
    rows:
        (n,), number of each sample in the profile.
    """

    correct: Floats
    stated: Floats
    names: tuple[str, ...]
    latency_ms: Floats
    before_ms: float
    sample_ms: Floats | None = None
    curves: LatencyCurves | None = None
    predicted_ms: Floats | None = None
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.intp))

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.correct):
            object.__setattr__(self, "rows", np.arange(len(self.correct)))

    def __len__(self) -> int:
        return len(self.correct)

    def take(self, rows: Rows) -> GradedTable:
        """The same on some samples."""
        return replace(
            self,
            correct=self.correct[rows],
            stated=self.stated[rows],
            rows=self.rows[rows],
            **self.latencies_on(rows),
        )

    def take_candidates(self, columns: Sequence[int]) -> GradedTable:
        """The same with some candidates, in this order."""
        chosen = list(columns)
        return replace(
            self, correct=self.correct[:, chosen], stated=self.stated[:, chosen], **self.latencies_of(chosen)
        )


def graded_table(tables: Tables, criterion: str, before_ms: float) -> GradedTable:
    """The grades of a whole profile.

    Raises
    ------
    OptionError
        No candidate states how sure it is of its answers: they all have one probability.
    """
    answered = tables.answered
    stated = np.where(answered, tables.top_probabilities[:, :, 0].astype(np.float64), np.nan)
    if not any(np.unique(column[~np.isnan(column)]).size > 1 for column in stated.T):
        raise OptionError(
            "a cascade must have candidates that give their answers a score of their own", given="none gives any",
            do="have them answer (text, probability), or use --policy select",
        )  # fmt: skip
    curves = learn_latency_curves(tables)
    lengths = None if curves is None else lengths_of(tables, curves.measure)
    predicted_ms = None if curves is None or lengths is None else curves.of(lengths)
    score = np.where(answered, tables.score(criterion), 0.0)
    return GradedTable(
        score, stated, tables.candidates, tables.latency_ms, before_ms, tables.sample_ms, curves, predicted_ms
    )


@dataclass(frozen=True, eq=False)
class GradedFit:
    """Expected grades of a pool's answers, fitted on training rows.

    Attributes
    ----------
    grades:
        The curves, of all training rows.
    crossed:
        float64 (N, p), of training rows by their number in the profile: expected grades by curves that were fitted
        without the row's fold; NaN for other rows.
    """

    grades: ExpectedGrades
    crossed: Floats

    def states(self, table: GradedTable) -> States:
        """Every set on every sample: expected grade of the answer it serves, and its grade.

        Of a training row the curves know the grade: there it is what those expect that were fitted without it.
        """
        expected = _expected(self.grades, table.stated)
        own = table.rows < len(self.crossed)
        crossed = self.crossed[table.rows[own]]
        expected[own] = np.where(np.isnan(crossed), expected[own], crossed)
        return _states(expected, table.correct)

    def rewards(self, states: States) -> NDArray[np.float32]:
        """float32 (2 ** p, n): the grade itself."""
        return states.teacher

    def reordered(self, order: Sequence[int]) -> GradedFit:
        """The same fit for the pool with candidate `order[j]` at place j."""
        chosen = list(order)
        grades = ExpectedGrades(self.grades.stated[chosen], self.grades.grade[chosen])
        return GradedFit(grades, self.crossed[:, chosen])


def fit_grades(table: GradedTable, folds: int, seed: int = 0) -> GradedFit:
    """Expected grade of every candidate's answers by what it states of them.

    A candidate whose statements do not predict the grades of samples left out, clearly better than its mean grade
    does, has that mean for every answer.

    Parameters
    ----------
    folds, seed:
        Of the cross-fitting: what training decides by are expectations of answers that were left out.
    """
    predicts, crossed = _left_out(table, folds, seed)
    known = np.full((int(table.rows.max(initial=-1)) + 1, len(table.names)), np.nan)
    known[table.rows] = crossed
    return GradedFit(_curves(table, ..., predicts), known)


def _curves(table: GradedTable, rows: Any, predicts: NDArray[np.bool_]) -> ExpectedGrades:
    """The curves of all candidates on some rows; their mean grades where their statements tell nothing."""
    curves = [_curve(table.stated[rows, j], table.correct[rows, j], predicts=one) for j, one in enumerate(predicts)]
    # Shorter ones repeat their last point: all rows of an array have one length.
    longest = max(len(points) for points, _ in curves)
    stated = np.stack([np.pad(points, (0, longest - len(points)), mode="edge") for points, _ in curves])
    grade = np.stack([np.pad(values, (0, longest - len(values)), mode="edge") for _, values in curves])
    return ExpectedGrades(np.clip(stated, 0.0, 1.0), np.clip(grade, 0.0, 1.0))


def _left_out(table: GradedTable, folds: int, seed: int) -> tuple[NDArray[np.bool_], Floats]:
    """(p,), do statements predict the grades of samples left out; (n, p), grades expected of these.

    Where they do not, that is one mean for all: means without a fold would be low where the fold is good.
    """
    n, count = table.stated.shape
    by_curve, by_mean = np.zeros((n, count)), np.zeros((n, count))
    part = np.random.default_rng(seed).permutation(n) % max(2, min(folds, n))
    for fold in np.unique(part):
        known, asked = part != fold, part == fold
        for predicts, found in ((True, by_curve), (False, by_mean)):
            found[asked] = _expected(_curves(table, known, np.full(count, predicts)), table.stated[asked])
    less = (by_mean - table.correct) ** 2 - (by_curve - table.correct) ** 2
    predicts = less.mean(axis=0) > Z_95_ONE_SIDED * less.std(axis=0) / np.sqrt(n)
    return predicts, np.where(predicts, by_curve, _expected(_curves(table, ..., predicts), table.stated))


def _states(expected: Floats, correct: Floats) -> States:
    """States of every set by the expected grades (n, p) of all answers, and their grades."""
    n, count = expected.shape
    grade = np.zeros((2**count, n), np.float32)
    right = np.zeros((2**count, n))
    for number, members in enumerate(members_of(count)):
        if members:
            grade[number], right[number] = _served(expected, correct, members)
    return States(grade, right.astype(np.float32), right)


def _served(expected: Floats, correct: Floats, members: Sequence[int]) -> tuple[Floats, Floats]:
    """(n,) each: expected grade, and grade, of the answers that some candidates serve."""
    best = np.asarray(members)[expected[:, members].argmax(axis=1)][:, None]
    return np.take_along_axis(expected, best, axis=1)[:, 0], np.take_along_axis(correct, best, axis=1)[:, 0]


class GradedLearner(Learner):
    """The learner of graded answers: grades and statements instead of log scores; see `Learner`."""

    def fit(self, tables: Tables, columns: tuple[int, ...], rows: Rows, folds: int) -> GradedFit:
        """Expected grades of a pool's answers, fitted on these rows, cross-fitted in so many folds of them."""
        table: GradedTable = self.log_scores(tables, columns)
        return fit_grades(table.take(rows), folds, self._options.seed)

    def _correct_of(self, tables: Tables, options: TrainOptions) -> Floats:
        return np.where(tables.answered, tables.score(options.criterion), 0.0)

    def _search_of(self, tables: Tables) -> PoolSearch:
        return GradedPoolSearch(self._log_scores_of(tables), self._options.seed)

    def _log_scores_of(self, tables: Tables) -> GradedTable:
        return graded_table(tables, self._options.criterion, tables.decode_ms + SELECT_MS)


class GradedPoolSearch(PoolSearch):
    """Search of pools where answers are graded: an answer's reward is its grade; see `PoolSearch`."""

    def __init__(self, table: GradedTable, seed: int = 0) -> None:
        self.table = table
        self._sets: dict[tuple[int, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        self._grades = _left_out(table, FOLDS, seed)[1]

    def _set(self, own: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Confidence and reward of one set on all rows."""
        if own not in self._sets:
            expected, reward = _served(self._grades, self.table.correct, own)
            self._sets[own] = (logit(expected) / SCALE).astype(np.float32), reward.astype(np.float32)
        return self._sets[own]


def _expected(grades: ExpectedGrades, stated: Floats) -> Floats:
    """(n, p): expected grades of all answers, 0 where a candidate failed."""
    columns = [grades.of(j, np.nan_to_num(one)) for j, one in enumerate(stated.T)]
    return np.where(np.isnan(stated), 0.0, np.stack(columns, axis=1))


def _curve(stated: Floats, grade: Floats, *, predicts: bool = True) -> tuple[Floats, Floats]:
    """Points and expected grades of one candidate; its mean grade where its statements tell nothing."""
    there = ~np.isnan(stated)
    if not predicts or there.sum() < MIN_SAMPLES or np.ptp(stated[there]) == 0:
        mean = float(grade[there].mean()) if there.any() else 0.0
        return np.array([1.0]), np.array([mean])
    points = curve_points(stated[there], POINTS)
    return points, rising_means(stated[there], grade[there], points)
