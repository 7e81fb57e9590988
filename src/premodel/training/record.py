"""What training gives back: the policy, and a record of how it came about, for people and for the bundle."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.base import Policy
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables


class TrainingRecord(ABC):
    """How a policy came about; each policy's training has a dataclass of its own."""

    @abstractmethod
    def lines(self) -> list[str]:
        """The record in plain words, a line each; one begins with "decides: " and states how the policy decides."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The record for the bundle.

        Nothing in it depends on the time or speed of training, so that the same training gives the same bundle.
        """


@dataclass(frozen=True)
class TrainedOn:
    """What a policy was trained on and for.

    Attributes
    ----------
    samples, candidates:
        How many.
    criterion:
        What "right" means.
    objective:
        In words.
    """

    samples: int
    candidates: int
    criterion: str
    objective: str

    @classmethod
    def of(cls, tables: Tables, options: TrainOptions) -> TrainedOn:
        """Of these tables and options."""
        return cls(len(tables), len(tables.candidates), options.criterion, options.objective.describe())

    def lines(self) -> list[str]:
        """In plain words."""
        return [
            f"profile: {self.samples} samples, {self.candidates} candidates, criterion {self.criterion}",
            f"objective: {self.objective}",
        ]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What a policy does on samples that it was not fitted on, its operating point chosen without them too.

    Attributes
    ----------
    score:
        float64 (n,) by the criterion, in the order of the tables.
    latency_ms:
        float64 (n,), end to end, decisions with their estimate.
    """

    score: NDArray[np.float64]
    latency_ms: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained policy.

    Attributes
    ----------
    policy:
        Ready to decide.
    record:
        How it came about.
    out_of_fold:
        What it does on each sample of the tables, by the cross-fit of its own training; None where that has none.
    warnings:
        Which latencies behind it are not to be relied on.
    """

    policy: Policy
    record: TrainingRecord
    out_of_fold: OutOfFold | None = None
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> tuple[str, ...]:
        """The training summary: record and warnings in plain words, a line each."""
        return (*self.record.lines(), *self.warnings)


def plain(value: Any) -> Any:
    """Records, tuples and numpy numbers as plain JSON types; numbers that are not finite become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
