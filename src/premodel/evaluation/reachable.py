"""What can be reached on a profile, out of fold, for the doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.evaluation.baselines import fit_max_probability
from premodel.evaluation.complementarity import Points, points_with_interval
from premodel.evaluation.cross_validation import Method, Outcome, cross_validate
from premodel.evaluation.final_test import FOLDS, final_test, train_and_test
from premodel.evaluation.final_test_record import FinalTest
from premodel.evaluation.originals import against, sibling_alone, siblings_of
from premodel.evaluation.rows import Singles
from premodel.evaluation.stand_ins import StoodIn, served_alone, serves_one
from premodel.records import Criterion
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.costs import rounded_up
from premodel.runtime.policies.stopping import Cascade
from premodel.stats import Z_95, paired_bootstrap
from premodel.training.folds import stratified_folds
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import quick_trainer
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.verdict import Verdict

PLAIN = "max-probability cascade"
"""A baseline: no `--policy` trains it, so it is shown and never advised."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reached:
    """What a policy did out of fold.

    Attributes
    ----------
    policy:
        Its name.
    samples:
        It answered.
    accuracy, latency_ms:
        Means, end to end.
    speedup, speedup_ci:
        Latency of the best single candidate by its latency.
    gain, gain_ci:
        Accuracy minus the best single candidate's, in points.
    mix_gain, mix_ci:
        Accuracy minus that of the random mix at equal latency, in points; None where one candidate answered everything.
    beside:
        Where the zoo holds siblings: against the best original and against one sibling alone, by their names.
    stood_in:
        Where the best single candidate fails on some samples: against what it serves with its stand-ins; else None.
    """

    policy: str
    samples: int
    accuracy: float
    latency_ms: float
    speedup: float
    speedup_ci: Points
    gain: float
    gain_ci: Points
    mix_gain: float | None
    mix_ci: Points | None
    beside: Mapping[str, Verdict] = field(default_factory=dict)
    stood_in: StoodIn | None = None

    @property
    def verdict(self) -> Verdict:
        """Against the best single candidate and the random mix."""
        one = self.mix_gain is None
        return Verdict(self.samples, self.speedup, self.gain, self.gain_ci, self.mix_gain, self.mix_ci, serves_one=one)

    @property
    def gain_error(self) -> float:
        """Standard error of the gain in points, by its interval."""
        return (self.gain_ci[1] - self.gain_ci[0]) / (2 * Z_95)

    def __str__(self) -> str:
        beside = "" if self.stood_in is None else f" It is {self.stood_in.sentence}"
        return f"{self.verdict.sentence()} Speed-up [{self.speedup_ci[0]:.2f}, {self.speedup_ci[1]:.2f}].{beside}"


@dataclass(frozen=True)
class Reachable:
    """One policy under three objectives.

    Attributes
    ----------
    no_loss:
        Trained for least latency at the accuracy of the best single candidate.
    equal_time:
        Trained for most accuracy at the mean latency of the best single candidate; None where it was not looked at, or
        no candidate keeps to it in every fold, as latencies may differ by sample.
    most_accurate:
        Trained for most accuracy at any latency; None where it was not looked at.
    packaged:
        What `premodel train` with its default options packages.
    """

    policy: str
    no_loss: Reached
    equal_time: Reached | None
    most_accurate: Reached | None = None
    packaged: bool = False


def reachable(tables: Tables, criterion: Criterion, *, seed: int = 0) -> list[Reachable]:
    """What `premodel train` chooses with its default options, what its quick policy reaches otherwise, and a baseline.

    Parameters
    ----------
    tables:
        The profile.
    seed:
        Of the training and of the cross-validation of the baseline.

    Notes
    -----
    Trained and tested by the very functions of `premodel train`: the same folds, floor and final test, so that both
    rest on one estimate. The baseline is the plain max-probability cascade, cross-validated.
    """
    singles = Singles.of(tables, criterion)
    alone = sibling_alone(singles, siblings_of(tables), seed)
    beside = () if alone is None else (alone.original, alone.name)
    found = []
    _, test = train_and_test(tables, TrainOptions(criterion=criterion, seed=seed), advise=False)
    if test is not None:
        found.append(Reachable(test.policy, _of_test(test, beside), None, packaged=not test.taken_back))
    quick = quick_trainer(graded=criterion in tables.graded, has_features=bool(tables.feature_names))
    if quick is not None:
        asked = TrainOptions(quick.name, criterion, seed=seed)
        same = next((one for one in found if one.policy == quick.name), None)
        no_loss = _tested(tables, asked, beside) if same is None else same.no_loss
        if no_loss is not None:
            found = [one for one in found if one is not same]
            ceiling = Objective(max_latency_ms=float(rounded_up(float(singles.latency_ms[singles.best]))))
            in_time = _in_time(tables, criterion, float(singles.latency_ms[singles.best]), seed)
            equal_time = _tested(tables, replace(asked, objective=ceiling), beside) if in_time else None
            most_accurate = _tested(tables, replace(asked, objective=Objective(cost_weight=0.0)), beside)
            packaged = same is not None and same.packaged
            found.append(Reachable(quick.name, no_loss, equal_time, most_accurate, packaged))

    def plain(train_tables: Tables, seed: int) -> Policy:
        return fit_max_probability(train_tables, seed, criterion=criterion)

    method = Method(PLAIN, "baseline", Cascade.kind, plain)
    (outcome,) = cross_validate(tables, [method], criterion=criterion, folds=FOLDS, seed=seed)
    return [*found, Reachable(PLAIN, _reached(outcome, tables, criterion, singles, beside, seed), None)]


def _tested(tables: Tables, options: TrainOptions, beside: Sequence[str]) -> Reached | None:
    """A policy that is named, trained and tested; None where it cannot be."""
    try:
        return _of_test(final_test(tables, options, train(tables, options)), beside)
    except OptionError:
        return None


def _of_test(test: FinalTest, beside: Sequence[str]) -> Reached:
    verdict = test.verdict
    rivals = {one.name: Verdict(test.samples, one.speedup, one.gain, one.gain_ci) for one in test.rivals}
    return Reached(
        test.policy, test.samples, test.accuracy, test.latency_ms, verdict.speedup, test.speedup_ci, verdict.gain,
        verdict.gain_ci, verdict.mix_gain, verdict.mix_ci, {name: rivals[name] for name in beside}, test.stood_in,
    )  # fmt: skip


def _in_time(tables: Tables, criterion: Criterion, ceiling_ms: float, seed: int) -> bool:
    """Is there a candidate within the ceiling on the training part of every fold."""
    if tables.sample_ms is None:
        return True
    division = stratified_folds(tables.truth, tables.right_counts(criterion), FOLDS, seed)
    return all(tables.take(fold.train).end_to_end_ms().min() <= ceiling_ms for fold in division)


def _reached(
    outcome: Outcome, tables: Tables, criterion: Criterion, singles: Singles, beside: Sequence[str], seed: int
) -> Reached:
    right, best = outcome.score, singles.best
    mean_ms = float(outcome.latency_ms.mean())
    best_ms = float(singles.latency_ms[best])
    gain, gain_ci = points_with_interval(right - singles.correct[:, best], seed)
    alone = served_alone(tables, criterion, best)
    mix_gain, mix_ci = None, None
    if not serves_one(tables, criterion, right, outcome.latency_ms, outcome.parts):
        mix_gain, mix_ci = points_with_interval(right - singles.mix(mean_ms)[0], seed)
    low_ms, high_ms = paired_bootstrap(outcome.latency_ms, seed=seed)
    return Reached(
        outcome.method.name,
        len(right),
        float(right.mean()),
        mean_ms,
        best_ms / mean_ms,
        (best_ms / high_ms, best_ms / low_ms),
        gain,
        gain_ci,
        mix_gain,
        mix_ci,
        {name: against(singles, singles.names.index(name), right, mean_ms, seed) for name in beside},
        None if alone is None else alone.beside(right, mean_ms, seed),
    )
