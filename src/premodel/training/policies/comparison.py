"""What `auto` compares, and the record of the comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.training.record import Trained, TrainingRecord, plain
from premodel.training.trainer import Trainer

FOLDS = 5
"""That policies are compared in."""

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Entrant:
    """One policy in the comparison.

    Attributes
    ----------
    trainer:
        Of the policy.
    right, latency_ms:
        Of each sample served so far, out of fold, fold by fold.
    given_up:
        Why it left the comparison; empty if it did not.
    trained:
        On all samples that policies are compared on; None where only parts of them were trained on.
    """

    trainer: Trainer
    right: list[Floats] = field(default_factory=list)
    latency_ms: list[Floats] = field(default_factory=list)
    given_up: str = ""
    trained: Trained | None = None

    @property
    def name(self) -> str:
        """Of the policy."""
        return self.trainer.name

    @property
    def samples(self) -> int:
        """Samples served."""
        return sum(len(part) for part in self.right)


@dataclass(frozen=True)
class EntrantRecord:
    """What one policy reached out of fold.

    Attributes
    ----------
    policy:
        Its name.
    samples:
        It served; the figures are None where there are none.
    accuracy, latency_ms:
        Means, latency end to end.
    gain_points_vs_single, gain_error_points:
        Accuracy minus that of the single candidate on the same samples, in points, and its standard error.
    keeps_objective:
        Does it keep floor and ceiling, within the tolerance.
    given_up:
        Why it left the comparison; None if it did not.
    """

    policy: str
    samples: int
    accuracy: float | None = None
    latency_ms: float | None = None
    gain_points_vs_single: float | None = None
    gain_error_points: float | None = None
    keeps_objective: bool | None = None
    given_up: str | None = None

    def line(self, *, is_single: bool) -> str:
        """In plain words."""
        if self.accuracy is None:
            return f"{self.policy}: {self.given_up or ''}"
        line = f"{self.policy}: {100 * self.accuracy:.2f} % at {self.latency_ms:.3f} ms"
        if not is_single:
            line += f", {self.gain_points_vs_single:+.2f} points to single, standard error {self.gain_error_points:.2f}"
        return line + (f" (on {self.samples} samples; {self.given_up})" if self.given_up else "")

    def to_json(self) -> dict[str, Any]:
        """Figures only where there are any."""
        found: dict[str, Any] = plain(self)
        return {name: value for name, value in found.items() if value is not None or name == "given_up"}


@dataclass(frozen=True, eq=False)
class AutoRecord(TrainingRecord):
    """The comparison, and the record of the policy chosen.

    Attributes
    ----------
    objective:
        In words.
    samples:
        That policies were compared on.
    entrants:
        Figures of each; the first is the single candidate.
    chosen, why:
        Name of the policy chosen, and the reason.
    more_accurate:
        Where one candidate alone is chosen: a policy shown to be more accurate, and what that costs; else None.
    inner:
        The record of the policy chosen, trained on all samples.
    """

    objective: str
    samples: int
    entrants: tuple[EntrantRecord, ...]
    chosen: str
    why: str
    more_accurate: str | None
    inner: TrainingRecord

    def comparison(self) -> list[str]:
        """What was compared and chosen, in plain words."""
        return [
            f"policies compared on {self.samples} samples in {FOLDS} folds inside them, for {self.objective}",
            *(f"  {one.line(is_single=one is self.entrants[0])}" for one in self.entrants),
            f"chosen: {self.chosen}, {self.why}",
            *([] if self.more_accurate is None else [self.more_accurate]),
        ]

    def lines(self) -> list[str]:
        """See `TrainingRecord.lines`."""
        return [*self.comparison(), *self.inner.lines()]

    def to_json(self) -> dict[str, Any]:
        """See `TrainingRecord.to_json`."""
        return {
            **self.inner.to_json(),
            "auto": {
                "chosen": self.chosen,
                "why": self.why,
                "folds": FOLDS,
                "samples": self.samples,
                "policies": [one.to_json() for one in self.entrants],
            },
        }
