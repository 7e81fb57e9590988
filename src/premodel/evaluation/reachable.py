"""What a policy reaches on a profile by cross-validation, for the doctor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.baselines import fit_max_probability
from premodel.evaluation.complementarity import Points, points_with_interval
from premodel.evaluation.cross_validation import Method, Outcome, cross_validate, premodel_method
from premodel.evaluation.rows import Singles
from premodel.records import Criterion
from premodel.runtime.policies.base import Policy
from premodel.runtime.policies.stopping import Cascade
from premodel.stats import Z_95, paired_bootstrap
from premodel.training.folds import stratified_folds
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import quick_trainer
from premodel.training.tables import Tables
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
        Accuracy minus that of the random mix at equal latency, in points.
    """

    policy: str
    samples: int
    accuracy: float
    latency_ms: float
    speedup: float
    speedup_ci: Points
    gain: float
    gain_ci: Points
    mix_gain: float
    mix_ci: Points

    @property
    def verdict(self) -> Verdict:
        """Against the best single candidate and the random mix."""
        return Verdict(self.samples, self.speedup, self.gain, self.gain_ci, self.mix_gain, self.mix_ci)

    @property
    def gain_error(self) -> float:
        """Standard error of the gain in points, by its interval."""
        return (self.gain_ci[1] - self.gain_ci[0]) / (2 * Z_95)

    def __str__(self) -> str:
        return f"{self.verdict.sentence()} Speed-up [{self.speedup_ci[0]:.2f}, {self.speedup_ci[1]:.2f}]."


@dataclass(frozen=True)
class Reachable:
    """One policy under three objectives.

    Attributes
    ----------
    no_loss:
        Trained for least latency at the accuracy of the best single candidate.
    equal_time:
        Trained for most accuracy at the mean latency of the best single candidate; None for the plain cascade, which
        has no such option, and where no candidate keeps to it in every fold, as latencies may differ by sample.
    most_accurate:
        Trained for most accuracy at any latency; None for the plain cascade.
    """

    policy: str
    no_loss: Reached
    equal_time: Reached | None
    most_accurate: Reached | None = None


def reachable(tables: Tables, criterion: Criterion, *, best: int, folds: int, seed: int) -> list[Reachable]:
    """Cross-validate the first policy that reads no features, and the plain max-probability cascade, on the same folds.

    Parameters
    ----------
    tables:
        The profile, or a subsample of it.
    best:
        Column of the best single candidate of the whole profile, which need not be the best of the subsample.
    folds, seed:
        Of the cross-validation.
    """
    singles = Singles.of(tables, criterion)
    best_ms = float(singles.latency_ms[best])
    objectives = {
        "no loss": Objective(Floor.parse("best")),
        "equal time": Objective(max_latency_ms=best_ms),
        "most accurate": Objective(cost_weight=0.0),
    }
    in_time = _in_time(tables, criterion, best_ms, folds, seed)
    if not in_time:
        del objectives["equal time"]
    quick = quick_trainer(graded=criterion in tables.graded, has_features=bool(tables.feature_names))
    policies = [] if quick is None else [quick.name]
    methods = [
        premodel_method(f"{policy}, {name}", TrainOptions(policy, criterion, objective, seed=seed))
        for policy in policies
        for name, objective in objectives.items()
    ]

    def plain(train_tables: Tables, seed: int) -> Policy:
        return fit_max_probability(train_tables, seed, criterion=criterion)

    methods.append(Method(PLAIN, "baseline", Cascade.kind, plain))
    outcomes = cross_validate(tables, methods, criterion=criterion, folds=folds, seed=seed)
    reached = {one.method.name: _reached(one, singles, best, seed) for one in outcomes}
    found = [
        Reachable(
            policy,
            replace(reached[f"{policy}, no loss"], policy=policy),
            replace(reached[f"{policy}, equal time"], policy=policy) if in_time else None,
            replace(reached[f"{policy}, most accurate"], policy=policy),
        )
        for policy in policies
    ]
    return [*found, Reachable(PLAIN, reached[PLAIN], None)]


def _in_time(tables: Tables, criterion: Criterion, ceiling_ms: float, folds: int, seed: int) -> bool:
    """Is there a candidate within the ceiling on the training part of every fold."""
    if tables.sample_ms is None:
        return True
    division = stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed)
    return all(tables.take(fold.train).end_to_end_ms().min() <= ceiling_ms for fold in division)


def _reached(outcome: Outcome, singles: Singles, best: int, seed: int) -> Reached:
    right = outcome.score
    mean_ms = float(outcome.latency_ms.mean())
    best_ms = float(singles.latency_ms[best])
    gain, gain_ci = points_with_interval(right - singles.correct[:, best], seed)
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
    )
