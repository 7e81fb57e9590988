"""Cross-validation of whole methods: everything a method fits is fitted on the training folds (design section 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from premodel.errors import PremodelError
from premodel.profiling.workers.workers import run_job
from premodel.records import Criterion
from premodel.runtime.policies.base import FUSED, Policy
from premodel.training.folds import Fold, stratified_folds
from premodel.training.guarantee import GuaranteeError, reference_alone
from premodel.training.options import TrainOptions
from premodel.training.simulate import NOBODY, Simulation, served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train

Kind = Literal["single", "baseline", "premodel"]


@dataclass(frozen=True)
class Method:
    """Something to be cross-validated.

    Attributes
    ----------
    name:
        How it is called in tables.
    kind:
        What it is: a single candidate, a baseline, or a premodel.
    policy:
        Kind of its policy.
    fit:
        Training rows and a seed -> policy; picklable, for more than one worker.
    permute_features:
        Fit and run on features that belong to other samples: what the method does with zero information.
    instead:
        As `fit`: what serves where the samples do not allow the guarantee asked for; None if none is asked for.
    """

    name: str
    kind: Kind
    policy: str
    fit: Callable[[Tables, int], Policy]
    permute_features: bool = False
    instead: Callable[[Tables, int], Policy] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method did out of fold, for each of n samples.

    Attributes
    ----------
    method:
        The method.
    fold:
        int (n,), the fold in which the sample was tested.
    label:
        int32 (n,), the label served, -1 for an abstention.
    top1, top5:
        bool (n,), was the answer right; an abstention is wrong. None is where outcomes are no labels.
    score:
        float64 (n,) by the criterion that was asked for, how good the answer was; 0 or 1 of labels.
    union:
        float64 (n,) by the criterion, the best score of the candidates that the fold's policy may run.
    latency_ms:
        float64 (n,), end to end.
    ran:
        bool (n, m), which candidates ran.
    source:
        int (n,), candidate whose answer was served, FUSED or NOBODY.
    confidence:
        float64 (n,), the policy's own estimate that its answer is right; NaN where it estimates none.
    reads_features:
        Did any fold's policy read image features.
    candidates:
        For each fold, the candidates its policy may run.
    unguaranteed:
        Folds whose samples did not allow the guarantee asked for: the best single candidate of their training rows
        served them alone.
    fixed:
        Each fold's policy serves one candidate, others only where it fails.
    """

    method: Method
    fold: NDArray[np.intp]
    label: NDArray[np.int32]
    top1: NDArray[np.bool_]
    top5: NDArray[np.bool_]
    score: NDArray[np.float64]
    union: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    ran: NDArray[np.bool_]
    source: NDArray[np.intp]
    confidence: NDArray[np.float64]
    reads_features: bool
    candidates: tuple[tuple[str, ...], ...]
    unguaranteed: tuple[int, ...] = ()
    fixed: bool = False

    @property
    def parts(self) -> list[NDArray[np.intp]]:
        """The samples of each fold."""
        return [np.flatnonzero(self.fold == number) for number in range(int(self.fold.max()) + 1)]

    def correct(self, criterion: Criterion) -> NDArray[np.bool_]:
        """bool (n,) by a criterion of labels; `score` holds any other."""
        return self.top1 if criterion == "top1" else self.top5


def _trained_policy(tables: Tables, options: TrainOptions) -> Policy:
    return train(tables, options).policy


def premodel_method(
    name: str, options: TrainOptions, policy: Callable[[Tables, TrainOptions], Policy] = _trained_policy
) -> Method:
    """A premodel to be cross-validated: `train` with these options, on the training folds alone.

    Parameters
    ----------
    policy:
        Gives the policy of a fold's training rows; picklable. By default what `train` trains.
    """
    promised = options.guarantee is not None or options.class_floors
    instead = partial(_fit_alone, options=options) if promised else None
    return Method(name, "premodel", options.policy, partial(_fit, options=options, policy=policy), instead=instead)


def _fit_alone(tables: Tables, seed: int, *, options: TrainOptions) -> Policy:
    del seed
    return reference_alone(tables, options).policy


def _fit(
    tables: Tables, seed: int, *, options: TrainOptions, policy: Callable[[Tables, TrainOptions], Policy]
) -> Policy:
    del seed  # the options carry it
    return policy(tables, options)


@dataclass(frozen=True, eq=False)
class _Served:
    """What came of a method on one fold.

    Attributes
    ----------
    fold, position:
        Of the fold and of the method.
    result:
        How the test part was served, or what was refused.
    guaranteed:
        False if the guarantee asked for could not be given, and one candidate alone served.
    fixed:
        The policy serves one candidate, others only where it fails.
    """

    fold: int
    position: int
    result: Simulation | PremodelError
    guaranteed: bool = True
    fixed: bool = False


@dataclass(eq=False)
class _Fits:
    """Fitting and serving methods on folds, as a job of workers.

    Attributes
    ----------
    tables, shuffled:
        The profile, and the same with permuted features.
    division:
        The folds.
    methods:
        What is fitted.
    seed:
        Of the fits.
    _seen:
        Training rows of the last task, with its fold and whether features are permuted.
    """

    tables: Tables
    shuffled: Tables
    division: Sequence[Fold]
    methods: Sequence[Method]
    seed: int
    _seen: tuple[tuple[int, bool], Tables] | None = None

    def open(self) -> None:
        """Nothing to open."""

    def work(self, task: tuple[int, int]) -> Iterator[_Served]:
        """Fit a method on a fold and serve its test part; what it refuses is part of the result."""
        number, position = task
        part, method = self.division[number], self.methods[position]
        data = self.shuffled if method.permute_features else self.tables
        key = (number, method.permute_features)
        if self._seen is None or self._seen[0] != key:
            # Kept for the next method: what one computes from these very tables serves the other.
            self._seen = key, data.take(part.train)
        try:
            policy, guaranteed = _fit_or_alone(method, self._seen[1], self.seed)
            fixed = policy.fixed_candidate is not None
            yield _Served(number, position, simulate(policy, data.take(part.test)), guaranteed, fixed)
        except PremodelError as error:
            yield _Served(number, position, error)

    def rest(self, task: tuple[int, int], result: object) -> None:
        """Nothing: a task has one result."""

    def close(self) -> None:
        """Nothing to close."""


def _fit_or_alone(method: Method, tables: Tables, seed: int) -> tuple[Policy, bool]:
    """The method's policy, or the reference alone where its guarantee cannot be given; and could it be given."""
    try:
        return method.fit(tables, seed), True
    except GuaranteeError:
        if method.instead is None:
            raise
        return method.instead(tables, seed), False


def cross_validate(
    tables: Tables,
    methods: Sequence[Method],
    *,
    criterion: Criterion,
    folds: int = 10,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Outcome]:
    """Fit every method on the training folds and serve the test fold, for each of the folds.

    Parameters
    ----------
    workers:
        Processes; the outcome is the same for any number, but for the time that decisions took.
    progress:
        Called with (done, total, name) after each fit and simulation.

    Raises
    ------
    OptionError
        Fewer samples than folds, or a criterion that the labels do not allow.
    RunError
        A worker died.
    """
    score = tables.score(criterion)
    division = stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed)
    fold = np.empty(len(tables), dtype=np.intp)
    for number, part in enumerate(division):
        fold[part.test] = number
    job = _Fits(tables, permuted_features(tables, seed), division, methods, seed)
    tasks = [(number, position) for number in range(len(division)) for position in range(len(methods))]
    served: dict[tuple[int, int], Simulation] = {}
    unguaranteed: set[tuple[int, int]] = set()
    choosing: set[int] = set()
    for one in run_job(job, tasks, min(workers, len(tasks))):
        if isinstance(one.result, PremodelError):
            raise one.result
        served[one.fold, one.position] = one.result
        if not one.guaranteed:
            unguaranteed.add((one.fold, one.position))
        if not one.fixed:
            choosing.add(one.position)
        if progress is not None:
            progress(len(served), len(tasks), methods[one.position].name)
    outcomes = [_empty(method, tables, fold) for method in methods]
    for number, position in tasks:
        rows = division[number].test
        outcomes[position] = _record(outcomes[position], tables, criterion, score, rows, served[number, position])
        if (number, position) in unguaranteed:
            outcomes[position] = replace(outcomes[position], unguaranteed=(*outcomes[position].unguaranteed, number))
    outcomes = [replace(one, fixed=position not in choosing) for position, one in enumerate(outcomes)]
    for outcome in outcomes:
        _check(outcome, tables, criterion)
    return [_one_alone(outcome, tables) for outcome in outcomes]


def _one_alone(outcome: Outcome, tables: Tables) -> Outcome:
    """Where one candidate answered everything by itself, its latency: there was no decision that could differ."""
    first = outcome.ran[0]
    if outcome.reads_features or first.sum() != 1 or (outcome.ran != first).any():
        return outcome
    return replace(outcome, latency_ms=tables.decode_ms + tables.latency()[:, int(first.argmax())])


def permuted_features(tables: Tables, seed: int) -> Tables:
    """The same profile with every sample's features taken from another: they hold zero information."""
    return replace(tables, features=tables.features[np.random.default_rng(seed).permutation(len(tables))])


def _empty(method: Method, tables: Tables, fold: NDArray[np.intp]) -> Outcome:
    n, m = len(tables), len(tables.candidates)
    false = np.zeros(n, dtype=np.bool_)
    return Outcome(
        method=method,
        fold=fold,
        label=np.full(n, -1, dtype=np.int32),
        top1=false.copy(),
        top5=false.copy(),
        score=np.zeros(n),
        union=np.zeros(n),
        latency_ms=np.zeros(n),
        ran=np.zeros((n, m), dtype=np.bool_),
        source=np.full(n, NOBODY, dtype=np.intp),
        confidence=np.full(n, np.nan),
        reads_features=False,
        candidates=(),
    )


def _record(
    outcome: Outcome,
    tables: Tables,
    criterion: Criterion,
    score: NDArray[np.float64],
    rows: NDArray[np.intp],
    served: Simulation,
) -> Outcome:
    """Write one fold's simulation into the outcome's arrays; candidates are joined by name."""
    columns = np.asarray([tables.candidates.index(name) for name in served.candidates], dtype=np.intp)
    truth = tables.truth[rows, None]
    outcome.label[rows] = np.where(served.abstained, -1, served.labels[:, 0])
    if tables.label_names:
        outcome.top1[rows] = ~served.abstained & (served.labels[:, :1] == truth).any(axis=1)
        outcome.top5[rows] = ~served.abstained & (served.labels[:, :5] == truth).any(axis=1)
    outcome.score[rows] = served_score(tables.take(rows), criterion, served)
    outcome.union[rows] = score[np.ix_(rows, columns)].max(axis=1)
    outcome.latency_ms[rows] = served.latency_ms
    outcome.ran[np.ix_(rows, columns)] = served.ran
    named = served.source >= 0
    outcome.source[rows[named]] = columns[served.source[named]]
    outcome.source[rows[~named]] = np.where(served.abstained[~named], NOBODY, FUSED)
    outcome.confidence[rows] = served.confidence
    reads = outcome.reads_features or bool(served.features_used.any())
    return replace(outcome, reads_features=reads, candidates=(*outcome.candidates, served.candidates))


def _check(outcome: Outcome, tables: Tables, criterion: Criterion) -> None:
    """An answer of one candidate is right exactly when the profile states that candidate was right on that sample."""
    single = np.flatnonzero(outcome.source >= 0)
    expected = tables.score(criterion)[single, outcome.source[single]]
    if not np.array_equal(outcome.score[single], expected):
        raise AssertionError(f"{outcome.method.name}: served answers and the profile disagree")
    alone = ~np.any(outcome.source == FUSED)
    if alone and outcome.score.mean() > outcome.union.mean() + 1e-12:
        raise AssertionError(f"{outcome.method.name}: accuracy above the union of its candidates")
