"""What `cascade` and `cascade-routing` learn where answers are no labels and a criterion grades them.

A set of candidates serves the answer of the highest expected grade, by what each candidate states of its own answer
(`runtime.policies.graded_stopping`); the rest is as in `training.policies.stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    """

    correct: Floats
    stated: Floats
    names: tuple[str, ...]
    latency_ms: Floats
    before_ms: float
    sample_ms: Floats | None = None
    curves: LatencyCurves | None = None
    predicted_ms: Floats | None = None

    def __len__(self) -> int:
        return len(self.correct)

    def take(self, rows: Rows) -> GradedTable:
        """The same on some samples."""
        return replace(self, correct=self.correct[rows], stated=self.stated[rows], **self.latencies_on(rows))

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
    """Expected grades of a pool's answers, fitted on training rows."""

    grades: ExpectedGrades

    def states(self, table: GradedTable) -> States:
        """Every set on every sample: expected grade of the answer it serves, and its grade."""
        count, n = len(table.names), len(table)
        expected = np.stack([_expected(self.grades, j, table.stated[:, j]) for j in range(count)], axis=1)
        grade = np.zeros((2**count, n), np.float32)
        right = np.zeros((2**count, n))
        for number, members in enumerate(members_of(count)):
            if members:
                best = np.asarray(members)[expected[:, members].argmax(axis=1)]
                grade[number] = np.take_along_axis(expected, best[:, None], axis=1)[:, 0]
                right[number] = np.take_along_axis(table.correct, best[:, None], axis=1)[:, 0]
        return States(grade, right.astype(np.float32), right)

    def rewards(self, states: States) -> NDArray[np.float32]:
        """float32 (2 ** p, n): the grade itself."""
        return states.teacher

    def reordered(self, order: Sequence[int]) -> GradedFit:
        """The same fit for the pool with candidate `order[j]` at place j."""
        chosen = list(order)
        return GradedFit(ExpectedGrades(self.grades.stated[chosen], self.grades.grade[chosen]))


def fit_grades(table: GradedTable) -> GradedFit:
    """Expected grade of every candidate's answers by what it states of them."""
    curves = [_curve(table.stated[:, j], table.correct[:, j]) for j in range(len(table.names))]
    longest = max(len(points) for points, _ in curves)
    # Shorter ones repeat their last point: all rows of an array have one length.
    stated = np.stack([np.pad(points, (0, longest - len(points)), mode="edge") for points, _ in curves])
    grade = np.stack([np.pad(values, (0, longest - len(values)), mode="edge") for _, values in curves])
    return GradedFit(ExpectedGrades(np.clip(stated, 0.0, 1.0), np.clip(grade, 0.0, 1.0)))


class GradedLearner(Learner):
    """The learner of graded answers: grades and statements instead of log scores; see `Learner`."""

    def fit(self, tables: Tables, columns: tuple[int, ...], rows: Rows, folds: int) -> GradedFit:
        """Expected grades of a pool's answers, fitted on these rows; one curve each needs no folds."""
        del folds
        table: GradedTable = self.log_scores(tables, columns)
        return fit_grades(table.take(rows))

    def _correct_of(self, tables: Tables, options: TrainOptions) -> Floats:
        return np.where(tables.answered, tables.score(options.criterion), 0.0)

    def _search_of(self, tables: Tables) -> PoolSearch:
        return GradedPoolSearch(self._log_scores_of(tables))

    def _log_scores_of(self, tables: Tables) -> GradedTable:
        return graded_table(tables, self._options.criterion, tables.decode_ms + SELECT_MS)


class GradedPoolSearch(PoolSearch):
    """Search of pools where answers are graded: an answer's reward is its grade; see `PoolSearch`."""

    def __init__(self, table: GradedTable) -> None:
        self.table = table
        self._sets: dict[tuple[int, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        grades = fit_grades(table).grades
        columns = range(len(table.names))
        self._grades = np.stack([_expected(grades, j, table.stated[:, j]) for j in columns], axis=1)

    def _set(self, own: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Confidence and reward of one set on all rows."""
        if own not in self._sets:
            best = np.asarray(own)[self._grades[:, own].argmax(axis=1)][:, None]
            grade = np.take_along_axis(self._grades, best, axis=1)[:, 0]
            reward = np.take_along_axis(self.table.correct, best, axis=1)[:, 0]
            self._sets[own] = (logit(grade) / SCALE).astype(np.float32), reward.astype(np.float32)
        return self._sets[own]


def _expected(grades: ExpectedGrades, candidate: int, stated: Floats) -> Floats:
    """Expected grades of one candidate's answers, 0 where it failed."""
    return np.where(np.isnan(stated), 0.0, grades.of(candidate, np.nan_to_num(stated)))


def _curve(stated: Floats, grade: Floats) -> tuple[Floats, Floats]:
    """Points and expected grades of one candidate."""
    there = ~np.isnan(stated)
    if there.sum() < MIN_SAMPLES or np.ptp(stated[there]) == 0:
        mean = float(grade[there].mean()) if there.any() else 0.0
        return np.array([1.0]), np.array([mean])
    points = curve_points(stated[there], POINTS)
    return points, rising_means(stated[there], grade[there], points)
