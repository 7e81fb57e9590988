"""Is an answer as often right as it was said to be: of premodels by their own estimate, of candidates by their own.

The confidence of a candidate is the probability it gives to its label, for criterion top5 to its five labels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.cross_validation import Outcome
from premodel.records import Criterion
from premodel.stats import Reliability, reliability
from premodel.training.tables import Tables, top_n

BINS = 10
DRAWS = 200
BAD, SLIGHT = 0.05, 0.02
"""A calibration error above the first is bad, one up to the second slight, if it is above what chance gives."""


@dataclass(frozen=True)
class Calibration:
    """One premodel or candidate.

    Attributes
    ----------
    name, kind:
        Whose answers.
    samples, silent:
        Answers it said something of, and answers or abstentions without an estimate.
    said, right:
        Mean of what it said, and share that was right, where it said something; NaN of nothing.
    diagram:
        Ten bins of equal width over [0, 1] and the expected calibration error.
    chance:
        The error below which one that is perfectly calibrated stays in 95 of 100 draws of as many samples: bins of few
        samples have an error without anybody's fault.
    """

    name: str
    kind: Literal["premodel", "candidate"]
    samples: int
    silent: int
    said: float
    right: float
    diagram: Reliability
    chance: float

    @property
    def verdict(self) -> str:
        """It in words."""
        if not self.samples:
            return "gives no confidence"
        if self.diagram.error <= self.chance:
            return f"calibrated, as far as {self.samples} samples can tell"
        gap, error = self.said - self.right, self.diagram.error
        way = f"{'over' if gap > 0 else 'under'}confident"
        if abs(gap) < error / 2:
            way = "overconfident in some answers and underconfident in others"
        grade = "BADLY" if error > BAD else "not well" if error > SLIGHT else "nearly"
        return f"{grade} calibrated: {way}, off by {100 * error:.1f} points (calibration error)"


def calibrations(
    tables: Tables, outcomes: Sequence[Outcome], criterion: Criterion, *, seed: int = 0
) -> list[Calibration]:
    """Premodels out of fold, then candidates; failed predictions and abstentions are left out.

    Source: Guo et al., "On calibration of modern neural networks", 2017, equations 2 and 3.
    """
    found = [
        _calibration(one.method.name, "premodel", one.confidence, one.correct(criterion), seed)
        for one in outcomes
        if one.method.kind == "premodel"
    ]
    correct, n = tables.correct(criterion), top_n(criterion, len(tables.label_names))
    for column, name in enumerate(tables.candidates):
        confidence = tables.top_probabilities[:, column, :n].sum(axis=1, dtype=np.float64)
        said = np.where(tables.top_labels[:, column, 0] >= 0, np.minimum(confidence, 1.0), np.nan)
        found.append(_calibration(name, "candidate", said, correct[:, column], seed))
    return found


def _calibration(
    name: str,
    kind: Literal["premodel", "candidate"],
    said: NDArray[np.float64],
    right: NDArray[np.bool_],
    seed: int,
) -> Calibration:
    known = ~np.isnan(said)
    count = int(known.sum())
    return Calibration(
        name=name,
        kind=kind,
        samples=count,
        silent=len(said) - count,
        said=float(said[known].mean()) if count else float("nan"),
        right=float(right[known].mean()) if count else float("nan"),
        diagram=reliability(said, right, BINS),
        chance=chance_error(said[known], seed),
    )


def chance_error(said: NDArray[np.float64], seed: int) -> float:
    """95th percentile of the calibration error if what was said were true; NaN of nothing.

    Parameters
    ----------
    said:
        float64 (n,) in [0, 1].
    """
    if not said.size:
        return float("nan")
    rng = np.random.default_rng(seed)
    bins = np.minimum((said * BINS).astype(np.intp), BINS - 1)
    sums = np.bincount(bins, weights=said, minlength=BINS)
    errors = []
    for _ in range(DRAWS):
        hits = np.bincount(bins[rng.random(said.size) < said], minlength=BINS)
        errors.append(float(np.abs(sums - hits).sum()) / said.size)
    return float(np.quantile(errors, 0.95))
