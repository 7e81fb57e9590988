"""A premodel trained anew on newer samples, beside the one it is to replace: is it no worse on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.evaluation.final_test import beyond_candidates_ms, trained_in_folds, whole_answers_ms
from premodel.runtime.bundle import Bundle
from premodel.stats import paired_bootstrap
from premodel.training.class_floor import ClassFloor
from premodel.training.cost_matrix import COST
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.record import Trained
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.verdict import Verdict, points

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Update:
    """What came of it.

    Attributes
    ----------
    trained:
        The new policy, trained on all samples.
    old_accuracy, new_accuracy:
        On the samples; of the new one out of fold, of the old one as it is.
    old_ms, new_ms:
        Mean latency of whole answers, by the profile.
    verdict:
        On the new one against the old one.
    margin:
        Points that the accuracy may be lower at most, as was asked for; None where it must only not be shown lower.
    from_records:
        The samples are records of a server, few of them labelled: one that is slower need not be shown to be more
        accurate, but must be expected to.
    """

    trained: Trained
    old_accuracy: float
    new_accuracy: float
    old_ms: float
    new_ms: float
    verdict: Verdict
    margin: float | None
    from_records: bool = False

    @property
    def refused(self) -> str:
        """Why the new one is not to take the place of the old one; empty if it may."""
        verdict = self.verdict
        if verdict.too_few:
            return verdict.short
        if verdict.accuracy == "lower":
            return "its accuracy is shown to be lower"
        if self.from_records and verdict.pace == "slower" and verdict.gain <= 0:
            return "it is slower, and not expected to be more accurate"
        if verdict.outcome == "worse" and not self.from_records:
            return "it is slower, and not shown to be more accurate"
        if self.margin is not None and verdict.margin > self.margin:
            return f"it may be {verdict.margin:.1f} points less accurate, and {self.margin:g} are allowed"
        return ""

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        new = f"the new premodel ({100 * self.new_accuracy:.1f} % at {self.new_ms:.2f} ms, out of fold)"
        old = f"the old one ({100 * self.old_accuracy:.1f} % at {self.old_ms:.2f} ms)"
        return f"{new}: {self.verdict.sentence(old)}"

    def to_json(self) -> dict[str, Any]:
        """For the bundle and `--json`."""
        return {
            "lines": [self.sentence],
            "update": {
                "old_accuracy": self.old_accuracy,
                "new_accuracy": self.new_accuracy,
                "margin_points": self.margin,
                "comparison": self.verdict.to_json(),
            },
        }


NUMBERS = ("max_latency_ms", "cost_weight", "max_memory_mb", "max_energy_mj", "deadline_ms")
"""Of an objective, as a bundle states it."""


def options_of(bundle: Bundle) -> TrainOptions:
    """The choices that a bundle was trained by.

    Raises
    ------
    OptionError
        It was given a guarantee, which is about samples used for nothing else, was trained by a cost matrix, or holds
        no choices.
    """
    record, wanted = bundle.training_record, bundle.objective
    training = record.get("training")
    if "guarantee" in wanted:
        raise OptionError(
            "a premodel with a guarantee cannot be updated", given=wanted["guarantee"],
            do="train it anew: premodel train STORE --guarantee",
        )  # fmt: skip
    if record.get("criterion") == COST:
        raise OptionError(
            "a premodel trained by a cost matrix cannot be updated: the bundle does not hold the matrix",
            do="train it anew: premodel train STORE --cost-matrix FILE",
        )
    floor = wanted.get("min_accuracy")
    try:
        numbers: dict[str, Any] = {name: wanted.get(name) for name in NUMBERS}
        objective = Objective(None if floor is None else Floor.parse(str(floor)), **numbers)
        return TrainOptions(
            str(record["policy"]), bundle.criterion, objective, seed=int(record["seed"]), class_floors=_floors(training)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError("the bundle does not state how it was trained", given=error, do="train it anew") from error


def _floors(training: Any) -> tuple[ClassFloor, ...]:
    found = training.get("class_floors") if isinstance(training, Mapping) else None
    floors = found.get("floors", ()) if isinstance(found, Mapping) else ()
    return tuple(ClassFloor(one["measure"], str(one["name"]), float(one["least"])) for one in floors)


def update(
    old: Bundle,
    tables: Tables,
    options: TrainOptions,
    *,
    margin: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> Update:
    """Train a policy on the samples of a profile and compare it, sample by sample, with an older premodel.

    Parameters
    ----------
    old:
        Trained on other samples: on those that it was trained on it looks better than it is.
    tables:
        A profile of newer samples, with the candidates of the old premodel among its own.
    options:
        Of the training.
    margin:
        Points that the accuracy may be lower at most, by the 95 % interval.
    tell:
        Called with what is being done.

    Raises
    ------
    OptionError
        The profile is of other labels or candidates, or nothing can be trained on it.

    Notes
    -----
    Every sample is answered by a new policy that was not fitted on it: in the cross-fit of its own training, else in
    five folds. The old policy is asked as it is, at the new profile's latencies, which favours neither.
    """
    if old.label_names != tables.label_names:
        raise OptionError(
            "the profile must be of the premodel's labels", given=f"{len(tables.label_names)} labels",
            allowed=f"its {len(old.label_names)}, in their order",
        )  # fmt: skip
    if tell is not None:
        tell(f"training {options.policy} on {len(tables)} samples")
    trained = train(tables, options)
    served = simulate(old.policy, tables)
    old_score, old_ms = served_score(tables, options.criterion, served), whole_answers_ms(old.policy, tables, served)
    if tell is not None:
        tell("comparing it with the old premodel, sample by sample")
    new_score, new_ms = _out_of_fold(tables, options, trained)
    difference = new_score - old_score
    low, high = paired_bootstrap(difference, seed=options.seed)
    verdict = Verdict(
        len(tables), float(old_ms.mean() / new_ms.mean()), 100 * float(difference.mean()), (100 * low, 100 * high)
    )
    return Update(
        trained, float(old_score.mean()), float(new_score.mean()), float(old_ms.mean()), float(new_ms.mean()), verdict,
        margin,
    )  # fmt: skip


def _out_of_fold(tables: Tables, options: TrainOptions, trained: Trained) -> tuple[Floats, Floats]:
    """Score and latency of each sample, by policies that were not fitted on it."""
    known, policy = trained.out_of_fold, trained.policy
    if known is not None and len(known.score) == len(tables):
        return known.score, known.latency_ms - policy.costs.select_ms + beyond_candidates_ms(policy, tables)
    found = trained_in_folds(tables, options)
    return found.score, found.latency_ms


def refusal(found: Update) -> OptionError:
    """The error for an update that is not to be packaged."""
    verdict = found.verdict
    return OptionError(
        f"the new premodel is not packaged: {found.refused}",
        given=f"{points(verdict.gain)} points of accuracy, {verdict.speedup:.2f}x the speed, {verdict.samples} samples",
        do="the old one stays; label more samples, or make one regardless: premodel train",
    )
