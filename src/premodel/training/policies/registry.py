"""Every policy that can be trained. A new one is one file of this package and one line here."""

from __future__ import annotations

from premodel.errors import OptionError
from premodel.training.policies import auto, cascade_routing, paper, select, single
from premodel.training.trainer import Trainer

POLICIES: dict[str, Trainer] = {
    trainer.name: trainer
    for trainer in (
        cascade_routing.TRAINER,
        cascade_routing.CASCADE_TRAINER,
        select.TRAINER,
        paper.TRAINER,
        single.TRAINER,
    )
}
"""Name -> trainer of each policy; `auto` compares them in this order."""

TRAINERS: dict[str, Trainer] = {trainer.name: trainer for trainer in (auto.trainer(POLICIES), *POLICIES.values())}
"""The same and `auto`, the choice among them."""


def register(trainer: Trainer) -> None:
    """Let users train a policy that another package brings, by name and as one that `auto` compares.

    Raises
    ------
    OptionError
        There is one of that name.
    """
    if trainer.name in TRAINERS:
        raise OptionError("name of a policy must be a new one", given=trainer.name, allowed="a name of its own")
    POLICIES[trainer.name] = TRAINERS[trainer.name] = trainer


def quick_trainer(*, graded: bool = False, has_features: bool = True) -> Trainer | None:
    """The policy that is asked first what can be reached: the first that chooses and is quick to train.

    Parameters
    ----------
    graded:
        Of a graded criterion: one that reads features is taken.
    has_features:
        Does the profile hold features.

    Returns
    -------
    None where there is none.
    """
    if graded and not has_features:
        return None
    return next((one for one in POLICIES.values() if one.chooses and one.reads_features == graded), None)


def trainer_of(name: str) -> Trainer:
    """The trainer of that name.

    Raises
    ------
    OptionError
        It is unknown.
    """
    if name not in TRAINERS:
        raise OptionError("unknown policy", given=name, allowed=", ".join(TRAINERS))
    return TRAINERS[name]
