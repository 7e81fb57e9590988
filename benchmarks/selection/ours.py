"""Our own policies, trained in the folds and served from the tables by the device's own loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from points import Points

from premodel.records import Criterion
from premodel.runtime.policies.base import TRAINED, CallOptions, Policy
from premodel.training.folds import Fold
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import Tables, top_n
from premodel.training.train import train

SWEEP = np.geomspace(0.004, 3.0, 25)
"""Cost weights asked at call time, in accuracy per latency of the best single candidate."""


@dataclass(frozen=True)
class Ours:
    """How a policy takes part.

    Attributes
    ----------
    divisions:
        Fold divisions it is run on, of those asked for.
    objectives:
        Is it trained for every objective; else for no loss alone.
    curve:
        Is it trained for each ceiling of mean latency ("ceilings"), is the one trained for no loss asked for each cost
        weight at call time ("calls"), or has it no knob ("none").
    """

    divisions: int
    objectives: bool
    curve: str


POLICIES = {
    "cascade-routing": Ours(99, True, "ceilings"),
    "cascade": Ours(1, True, "none"),
    "auto": Ours(1, False, "none"),
    "select": Ours(1, False, "calls"),
    "paper": Ours(1, False, "none"),
}
"""Training `select`, `paper` and `auto` takes many times as long, so these get less; what is left out is not shown."""


def run_policy(
    name: str,
    tables: Tables,
    criterion: Criterion,
    folds: Sequence[Fold],
    objectives: Sequence[tuple[str, Objective]],
    ceilings: Sequence[tuple[str, Objective]],
    base_ms: float,
) -> dict[str, Points]:
    """Out-of-fold results at the points trained for the objectives ("chosen"), and along the curve ("curve").

    Parameters
    ----------
    ceilings:
        Objectives of the curve; empty for no curve.
    base_ms:
        Latency of the best single candidate: the unit of cost weights.
    """
    plan = POLICIES[name]
    wanted = list(objectives) if plan.objectives else list(objectives[:1])
    found = {"chosen": _empty([one for one, _ in wanted], len(tables))}
    if ceilings and plan.curve == "ceilings":
        found["curve"] = _empty([one for one, _ in ceilings], len(tables))
    elif ceilings and plan.curve == "calls":
        found["curve"] = _empty([f"cost weight {weight:.4g}" for weight in SWEEP], len(tables))
    for fold in folds:
        seen, unseen = tables.take(fold.train), tables.take(fold.test)
        policies = [_fit(name, seen, criterion, objective) for _, objective in wanted]
        for position, policy in enumerate(policies):
            _serve(policy, unseen, criterion, found["chosen"], position, fold)
        if "curve" not in found:
            continue
        if plan.curve == "ceilings":
            for position, (_, objective) in enumerate(ceilings):
                _serve(_fit(name, seen, criterion, objective), unseen, criterion, found["curve"], position, fold)
        else:
            for position, weight in enumerate(SWEEP):
                options = CallOptions(cost_weight=weight / base_ms)
                _serve(policies[0], unseen, criterion, found["curve"], position, fold, options)
    return found


def _serve(
    policy: Policy,
    unseen: Tables,
    criterion: Criterion,
    points: Points,
    position: int,
    fold: Fold,
    options: CallOptions = TRAINED,
) -> None:
    """Serve a fold's test samples, and write what came of it into one of the points."""
    served = simulate(policy, unseen, options)
    n = top_n(criterion, len(unseen.label_names))
    points.right[position, fold.test] = ~served.abstained & (served.labels[:, :n] == unseen.truth[:, None]).any(axis=1)
    points.latency_ms[position, fold.test] = served.latency_ms


def _fit(name: str, tables: Tables, criterion: Criterion, objective: Objective) -> Policy:
    return train(tables, TrainOptions(policy=name, criterion=criterion, objective=objective)).policy


def _empty(names: Sequence[str], n: int) -> Points:
    return Points(np.empty((len(names), n)), np.empty((len(names), n)), tuple(names))
