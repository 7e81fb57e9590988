"""What `cascade` and `cascade-routing` learn where answers are no labels and a criterion grades them.

A set of candidates serves the answer of the highest expected grade, by what is known of all its answers
(`runtime.policies.expected_grades`); the rest is as in `training.policies.stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from premodel.domains.registry import domain_of
from premodel.errors import OptionError
from premodel.runtime.policies.expected_grades import PER_ANSWER, ExpectedGrades, standardised, statements
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.runtime.policies.stopping_components import SCALE
from premodel.training.calibration import logit
from premodel.training.latency_curves import learn_latency_curves, lengths_of
from premodel.training.log_scores import SampleLatencies
from premodel.training.options import TrainOptions
from premodel.training.policies.continuation_values import members_of
from premodel.training.policies.expected_grades import GradeRegressions
from premodel.training.policies.learner import SELECT_MS, Learner
from premodel.training.policies.pool import PoolSearch
from premodel.training.policies.stopping import States, sets_reordered
from premodel.training.tables import Tables

FOLDS = 5
"""In which the search of a pool cross-fits."""
MIN_SPREAD = 1e-6
"""Standard deviation below which a number tells nothing."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class GradedTable(SampleLatencies):
    """n samples, m candidates: how good each answer is, and what is known of it without the truth.

    Attributes
    ----------
    correct:
        float64 (n, m) in [0, 1], the grade of each answer; 0 where there is none.
    answered:
        bool (n, m).
    statements:
        float64 (n, m, PER_ANSWER), as of `runtime.policies.expected_grades`; NaN where nothing is known.
    log_length:
        float64 (n,), of the inputs; 0 where it is not known.
    measure:
        What that is measured in, one of `Domain.lengths`; None if it is not known.
    names, latency_ms, before_ms, sample_ms, curves, predicted_ms:
        As of `LogScoreTable`.
    rows:
        (n,), number of each sample in the profile.
    """

    correct: Floats
    answered: NDArray[np.bool_]
    statements: Floats
    log_length: Floats
    measure: str | None
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

    @property
    def numbers(self) -> Floats:
        """float64 (n, 1 + m * PER_ANSWER), not yet standardised."""
        return np.concatenate([self.log_length[:, None], self.statements.reshape(len(self), -1)], axis=1)

    def take(self, rows: Rows) -> GradedTable:
        """The same on some samples."""
        return replace(
            self,
            correct=self.correct[rows],
            answered=self.answered[rows],
            statements=self.statements[rows],
            log_length=self.log_length[rows],
            rows=self.rows[rows],
            **self.latencies_on(rows),
        )

    def take_candidates(self, columns: Sequence[int]) -> GradedTable:
        """The same with some candidates, in this order."""
        chosen = list(columns)
        return replace(
            self,
            correct=self.correct[:, chosen],
            answered=self.answered[:, chosen],
            statements=self.statements[:, chosen],
            **self.latencies_of(chosen),
        )


def graded_table(tables: Tables, criterion: str, before_ms: float) -> GradedTable:
    """The grades of a whole profile.

    Raises
    ------
    OptionError
        Nothing tells one answer of a candidate from another: they all have one probability, and no lengths are known.
    """
    answered = tables.answered
    stated = np.where(answered, tables.top_probabilities[:, :, 0].astype(np.float64), np.nan)
    lengths = np.full(answered.shape, np.nan)
    if tables.outcome_length is not None:
        lengths = np.where(answered & (tables.outcome_length >= 0), tables.outcome_length.astype(np.float64), np.nan)
    measure, inputs = _input_lengths(tables, lengths)
    stated_of = np.stack([statements(stated[:, j], lengths[:, j], inputs) for j in range(answered.shape[1])], axis=1)
    if not any(np.unique(one[~np.isnan(one)]).size > 1 for one in (*stated.T, *lengths.T)):
        raise OptionError(
            "a cascade must have candidates that give their answers a score of their own", given="none gives any",
            do="have them answer (text, probability), or use --policy select",
        )  # fmt: skip
    curves = learn_latency_curves(tables)
    by = None if curves is None else lengths_of(tables, curves.measure)
    return GradedTable(
        np.where(answered, tables.score(criterion), 0.0),
        answered,
        stated_of,
        np.zeros(len(tables)) if inputs is None else np.log1p(inputs),
        measure,
        tables.candidates,
        tables.latency_ms,
        before_ms,
        tables.sample_ms,
        curves,
        None if curves is None or by is None else curves.of(by),
    )


def _input_lengths(tables: Tables, answers: Floats) -> tuple[str | None, Floats | None]:
    """The measure of the inputs' length that goes best with the lengths of their answers, and the lengths by it."""
    logs = np.log1p(answers)
    mean = np.nanmean(np.where(np.isnan(logs).all(axis=1, keepdims=True), 0.0, logs), axis=1)
    best: tuple[float, str | None, Floats | None] = (-1.0, None, None)
    for measure in domain_of(tables.task).lengths:
        lengths = lengths_of(tables, measure)
        if lengths is None or np.ptp(lengths) == 0:
            continue
        together = float(np.corrcoef(np.log1p(lengths), mean)[0, 1]) if np.ptp(mean) > 0 else 0.0
        if together > best[0]:
            best = together, measure, lengths
    return best[1], best[2]


@dataclass(frozen=True, eq=False)
class GradedStates(States):
    """States of graded answers, with what is known of them.

    Attributes
    ----------
    known:
        float64 (n, 1 + p * PER_ANSWER), standardised, as if all candidates had answered.
    """

    known: Floats

    @property
    def basis(self) -> Floats32:
        """float32 (2 ** p, n, 3 + d): 1, s, s * s, and what is known once the candidates of the set have answered."""
        count = len(self.right).bit_length() - 1
        own = self.known.astype(np.float32)
        some = np.stack([own * of_members(members, count) for members in members_of(count)])
        return np.concatenate([super().basis, some], axis=2)


def of_members(members: Sequence[int], count: int) -> NDArray[np.float32]:
    """float32 (1 + p * PER_ANSWER,): 1 for what is known once these of p candidates have answered, else 0."""
    kept = np.zeros(1 + count * PER_ANSWER, np.float32)
    kept[0] = 1.0
    for j in members:
        kept[1 + j * PER_ANSWER : 1 + (j + 1) * PER_ANSWER] = 1.0
    return kept


@dataclass(frozen=True, eq=False)
class GradedFit:
    """Expected grades of a pool's answers, fitted on training rows.

    Attributes
    ----------
    grades:
        The regressions, of all training rows.
    measure:
        Of the input's length.
    place:
        intp (N,), of the profile's rows: place among the training rows, -1 for others.
    crossed, served:
        float32 and int8 (2 ** p, n), of training rows: expected grade of the answer that each set serves, and its
        candidate, by regressions that were fitted without the row's fold.
    """

    grades: ExpectedGrades
    measure: str | None
    place: Rows
    crossed: Floats32
    served: NDArray[np.int8]

    def states(self, table: GradedTable) -> GradedStates:
        """Every set on every sample: expected grade of the answer it serves, and its grade.

        Of a training row the regressions know the grade: there it is what those expect that were fitted without it.
        """
        n, count = table.correct.shape
        known = self.grades.standardised(table.numbers)
        expected, member = np.zeros((2**count, n), np.float32), np.zeros((2**count, n), np.int8)
        for number, members in enumerate(members_of(count)):
            if members:
                grades = self.grades.of(number, known) * table.answered
                expected[number], member[number] = _best_of(grades[:, list(members)], members)
        place = np.where(table.rows < len(self.place), self.place[np.minimum(table.rows, len(self.place) - 1)], -1)
        own = np.flatnonzero(place >= 0)
        expected[:, own], member[:, own] = self.crossed[:, place[own]], self.served[:, place[own]]
        right = table.correct[np.arange(n), member]
        right[0] = 0.0
        return GradedStates(expected, right.astype(np.float32), right, known)

    def rewards(self, states: States) -> Floats32:
        """float32 (2 ** p, n): the grade itself."""
        return states.teacher

    def reordered(self, order: Sequence[int]) -> GradedFit:
        """The same fit for the pool with candidate `order[j]` at place j."""
        chosen, old = list(order), sets_reordered(order)
        back = np.argsort(np.asarray(order)).astype(np.int8)
        numbers = [0, *(1 + PER_ANSWER * j + k for j in chosen for k in range(PER_ANSWER))]
        grades = ExpectedGrades(
            self.grades.center[numbers],
            self.grades.scale[numbers],
            self.grades.constant[old][:, chosen],
            self.grades.weight[old][:, chosen][:, :, numbers],
        )
        return replace(self, grades=grades, crossed=self.crossed[old], served=back[self.served[old]])


def fit_grades(table: GradedTable, folds: int, seed: int = 0) -> GradedFit:
    """Expected grade of every candidate's answers after every set, by what is known of the set's answers.

    A candidate's answers are expected to have their mean grade, where what is known does not predict the grades of
    samples left out clearly better than that does.

    Parameters
    ----------
    folds, seed:
        Of the cross-fitting: what training decides by are expectations of answers that were left out.
    """
    (n, count), sets = table.correct.shape, 2 ** len(table.names)
    center, scale = _standard(table.numbers)
    grades = ExpectedGrades(center, scale, np.zeros((sets, count)), np.zeros((sets, count, len(center))))
    regressions = GradeRegressions(grades.standardised(table.numbers), table.correct, table.answered, folds, seed)
    crossed, served = np.zeros((sets, n), np.float32), np.zeros((sets, n), np.int8)
    for number, members in enumerate(members_of(count)):
        if members:
            found, own = regressions.of(members), list(members)
            grades.constant[number, own], grades.weight[number, own] = found.constant, found.weight
            crossed[number], served[number] = _best_of(found.left_out, members)
    place = np.full(int(table.rows.max(initial=-1)) + 1, -1, np.intp)
    place[table.rows] = np.arange(n)
    return GradedFit(grades, table.measure, place, crossed, served)


def _standard(numbers: Floats) -> tuple[Floats, Floats]:
    """Mean of each number, and 1 over its standard deviation; 0 where it is not known, or the same everywhere."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, numbers, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, numbers - center, 0.0) ** 2).sum(axis=0) / count)
    return center, np.where(spread > MIN_SPREAD, 1 / np.maximum(spread, MIN_SPREAD), 0.0)


def _best_of(expected: Floats, members: Sequence[int]) -> tuple[Floats, Rows]:
    """(n,) each: the highest expected grade of (n, k), and whose it is."""
    best = expected.argmax(axis=1)
    return np.take_along_axis(expected, best[:, None], axis=1)[:, 0], np.asarray(members)[best]


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
        self._sets: dict[tuple[int, ...], tuple[Floats32, Floats32]] = {}
        known = standardised(table.numbers, *_standard(table.numbers))
        self._known = known.astype(np.float32)
        self._regressions = GradeRegressions(known, table.correct, table.answered, FOLDS, seed)

    def _basis(self, pools: Sequence[tuple[int, ...]], sure: Floats32) -> Floats32:
        """float32 (b, 2 ** p, n, 3 + d), see `GradedStates.basis`."""
        count = len(pools[0])
        basis = np.zeros((*sure.shape, 4 + count * PER_ANSWER), np.float32)
        basis[..., :3] = super()._basis(pools, sure)
        for place, pool in enumerate(pools):
            numbers = [0, *(1 + PER_ANSWER * j + k for j in pool for k in range(PER_ANSWER))]
            for number, members in enumerate(members_of(count)):
                basis[place, number, :, 3:] = self._known[:, numbers] * of_members(members, count)
        return basis

    def _set(self, own: tuple[int, ...]) -> tuple[Floats32, Floats32]:
        """Confidence and reward of one set on all rows."""
        if own not in self._sets:
            expected, member = _best_of(self._regressions.of(own).left_out, own)
            reward = self.table.correct[np.arange(len(self.table)), member]
            self._sets[own] = (logit(expected) / SCALE).astype(np.float32), reward.astype(np.float32)
        return self._sets[own]
