"""The contract of a policy's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from premodel.training.options import TrainOptions
from premodel.training.record import Trained
from premodel.training.tables import Tables


@dataclass(frozen=True)
class Trainer:
    """How a policy is trained, and what its training needs and gives.

    Attributes
    ----------
    name:
        As users write it after `--policy`.
    summary:
        What the policy does, in some words, for `--help`.
    fit:
        Trains on all samples of the tables, whose candidates each keep the objective's ceilings of memory, energy and
        latency by themselves. It refuses what it has no use for with `TrainOptions.refuse`, and a combination of
        candidates that breaks a ceiling together; equal tables and options give an equal policy.
    reads_features:
        Does the policy read features of the input; it takes no part in `auto` where the profile has none.
    has_operating_points:
        Can the trained policy be served at other cost weights (`Policy.at_cost_weight`), which a guarantee needs.
    chooses:
        Does it choose per input; False for one candidate alone, the reference of every guarantee.
    """

    name: str
    summary: str
    fit: Callable[[Tables, TrainOptions], Trained]
    reads_features: bool = False
    has_operating_points: bool = True
    chooses: bool = True
