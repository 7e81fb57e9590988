"""Training a policy by name. A new policy is one file of `training/policies` and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

from premodel.errors import OptionError
from premodel.runtime.policies.select import Select
from premodel.training.ceilings import check_latency, check_together, within_ceilings
from premodel.training.guarantee import train_guaranteed
from premodel.training.options import Trained, TrainOptions
from premodel.training.tables import Tables

TRAINERS: dict[str, tuple[str, str]] = {
    "auto": ("premodel.training.policies.auto", "train"),
    "paper": ("premodel.training.policies.select", "train_paper"),
    "select": ("premodel.training.policies.select", "train_select"),
    "cascade": ("premodel.training.policies.cascade_routing", "train_cascade"),
    "cascade-routing": ("premodel.training.policies.cascade_routing", "train"),
    "single": ("premodel.training.policies.single", "train"),
}
"""Name -> module and function, (Tables, TrainOptions) -> Trained; loaded when first asked for."""


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train the policy that the options name, on all samples of these tables.

    Everything is fitted on what is given: cross-validation gives the training folds and nothing else.

    Raises
    ------
    OptionError
        The policy is unknown, an option cannot be met or makes no sense for the policy, or the tables hold too little.
    MissingExtraError
        A package that training needs is not installed.
    """
    if options.policy not in TRAINERS:
        raise OptionError("unknown policy", given=options.policy, allowed=", ".join(TRAINERS))
    if len(tables) == 0:
        raise OptionError("the profile holds no sample with all predictions", given=0, do="profile some images first")
    module, name = TRAINERS[options.policy]
    trainer: Callable[[Tables, TrainOptions], Trained] = getattr(import_module(module), name)
    tables = within_ceilings(tables, options.objective)
    check_latency(tables, options.objective)
    if options.guarantee is None:
        trained = trainer(tables, options)
    else:
        trained = train_guaranteed(tables, options, options.guarantee, trainer)
    if isinstance(trained.policy, Select):
        check_together(tables, options.objective, trained.policy.candidates, options.policy)
    doubts = [doubt for doubt in _doubts(tables, trained) if doubt not in trained.account]
    return replace(trained, account=(*trained.account, *doubts))


def _doubts(tables: Tables, trained: Trained) -> list[str]:
    """Which latencies behind the policy are not to be relied on."""
    timings = {name: tables.timings[tables.candidates.index(name)] for name in trained.policy.candidates}
    doubts = [f"latency of {name} is INVALID: {timing.reason}" for name, timing in timings.items() if not timing.valid]
    if tables.conditions.get("decode_valid") is False:
        doubts.append("latency of decode is INVALID")
    return doubts
