"""Training of a policy by name: what holds for every policy stands here, the rest in `training/policies`."""

from __future__ import annotations

from dataclasses import replace

from premodel.errors import OptionError
from premodel.training.ceilings import check_latency, within_ceilings
from premodel.training.class_floors import check_class_floors, train_with_class_floors
from premodel.training.guarantee import check_guarantee, train_guaranteed
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import trainer_of
from premodel.training.record import Trained
from premodel.training.tables import Tables


def train(tables: Tables, options: TrainOptions) -> Trained:
    """Train the policy that the options name, on all samples of these tables.

    Everything is fitted on what is given: cross-validation gives the training folds and nothing else.

    Raises
    ------
    OptionError
        The policy is unknown, an option cannot be met or makes no sense for the policy, or the tables hold too little.
    GuaranteeError
        The samples do not allow the guarantee, or the floors on classes, that were asked for.
    MissingExtraError
        A package that training needs is not installed.
    """
    check_options(options)
    trainer = trainer_of(options.policy)
    if len(tables) == 0:
        raise OptionError("the profile holds no sample with all predictions", given=0, do="profile some images first")
    options = with_slowness(options, tables)
    tables = within_ceilings(tables, options.objective)
    check_latency(tables, options.objective)
    if options.class_floors:
        trained = train_with_class_floors(tables, options, trainer)
    elif options.guarantee is None:
        trained = trainer.fit(tables, options)
    else:
        trained = train_guaranteed(tables, options, options.guarantee, trainer)
    return replace(trained, warnings=_warnings(tables, trained))


def with_slowness(options: TrainOptions, tables: Tables) -> TrainOptions:
    """The options with what single runs take, by these tables, where a deadline asks and nothing is known yet."""
    objective = options.objective
    if objective.deadline_ms is None or objective.slowness:
        return options
    return replace(options, objective=replace(objective, slowness=tables.slowness))


def check_options(options: TrainOptions) -> None:
    """Refuse what cannot be trained, whatever the profile holds: before any work.

    Raises
    ------
    OptionError
        The policy is unknown, or a guarantee or floor makes no sense for it or beside the other options.
    """
    check_guarantee(options, trainer_of(options.policy))
    check_class_floors(options)


def _warnings(tables: Tables, trained: Trained) -> tuple[str, ...]:
    """Which latencies behind the policy are not to be relied on."""
    timings = {name: tables.timings[tables.candidates.index(name)] for name in trained.policy.candidates}
    found = [f"latency of {name} is INVALID: {timing.reason}" for name, timing in timings.items() if not timing.valid]
    if tables.conditions.get("decode_valid") is False:
        found.append("latency of decode is INVALID")
    return tuple(found)
