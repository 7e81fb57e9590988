"""Frozen records that cross the borders between subpackages.

Arrays in records are never written to after construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TOP_K = 20
"""Labels kept per prediction, in the store and on the device alike, so that both decide by the same numbers."""

MAX_SEED = 2**32 - 1
"""Of NumPy's generators and scikit-learn's alike."""

UNFINISHED = "unfinished: the run was broken off"
"""How the reason of a record begins that was not measured to its end."""

Criterion = str
"""What answers are judged by: one of CRITERIA where they are labels, or a graded criterion of the domain, or such a one
with a threshold, as "chrf>=0.6": an answer is then good enough, or not."""
CRITERIA: tuple[Criterion, ...] = ("top1", "top5")
AT_LEAST = ">="


def split_criterion(criterion: Criterion) -> tuple[str, float | None]:
    """Name of a criterion and its threshold in (0, 1]; None for none, or where what is there is no threshold.

    Examples
    --------
    >>> split_criterion("chrf>=0.6"), split_criterion("chrf"), split_criterion("chrf>=6")
    (('chrf', 0.6), ('chrf', None), ('chrf>=6', None))
    """
    name, _, text = criterion.partition(AT_LEAST)
    if not text:
        return criterion, None
    try:
        threshold = float(text)
    except ValueError:
        return criterion, None
    return (name.strip(), threshold) if 0 < threshold <= 1 else (criterion, None)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one candidate said about one input.

    An outcome that is no label has the one label 0, and its own probability.

    Attributes
    ----------
    labels:
        int32 (k,), zoo labels by falling probability, ties by rising label; k = min(TOP_K, number of labels).
    probabilities:
        float32 (k,), the probabilities of `labels`, each in [0, 1].
    entropy:
        Entropy of the whole distribution in nats, before truncation to k.
    outcome:
        What was answered, where it is no label: a text; else None.
    outcome_length:
        Characters of that text, also where a profile holds no more of it than that; None where it is not known.

    Examples
    --------
    >>> said = Prediction(np.array([3, 0], np.int32), np.array([0.75, 0.25], np.float32), entropy=0.5623)
    >>> int(said.labels[0]), float(said.probabilities[0])
    (3, 0.75)
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    entropy: float
    outcome: str | None = None
    outcome_length: int | None = None

    def __post_init__(self) -> None:
        if self.outcome is not None and self.outcome_length is None:
            object.__setattr__(self, "outcome_length", len(self.outcome))


@dataclass(frozen=True)
class Timing:
    """A timing record (design section 8): a latency never travels without its verdict.

    Attributes
    ----------
    count:
        Runs measured, after warm-up.
    mean_ms, median_ms, p90_ms, p99_ms:
        Over the measured runs.
    ci_low_ms, ci_high_ms:
        95 % confidence interval of the mean.
    valid:
        True if the rule was met: at least 30 runs and 0.5 s, interval within 5 % of the mean.
    reason:
        Why the record is invalid; empty when valid.

    Examples
    --------
    >>> record = Timing(12, 4.1, 4.0, 4.6, 5.2, 3.9, 4.3, valid=False, reason="12 runs, 30 are needed")
    >>> f"{record.mean_ms} ms, " + ("VALID" if record.valid else f"INVALID: {record.reason}")
    '4.1 ms, INVALID: 12 runs, 30 are needed'
    """

    count: int
    mean_ms: float
    median_ms: float
    p90_ms: float
    p99_ms: float
    ci_low_ms: float
    ci_high_ms: float
    valid: bool
    reason: str = ""


@dataclass(frozen=True)
class Footprint:
    """Cost of having a network open; NaN where it could not be measured.

    Attributes
    ----------
    load_ms:
        Opening the file when its runtime is already loaded and the file is in the page cache; digests not checked. Of a
        Python callable with what it imports.
    memory_mb:
        Growth of the resident memory by opening the file and running it once, in 10^6 bytes.
    cold_load_ms:
        Opening the file when it is not in the page cache; NaN where the system kept it there, or does not show it.
    """

    load_ms: float = math.nan
    memory_mb: float = math.nan
    cold_load_ms: float = math.nan


@dataclass(frozen=True)
class EnergyRecord:
    """Energy of one prediction; it never travels without its verdict.

    Attributes
    ----------
    energy_mj:
        Mean over the windows, idle subtracted; None if it cannot be distinguished from idleness, or there is none.
    ci_low_mj, ci_high_mj:
        95 % confidence interval of the mean, by Student's t; None where it has none.
    windows, runs:
        Windows, and predictions in them.
    valid:
        At least 5 windows, and an interval within 5 % of the mean.
    reason:
        Why it is not valid; empty if it is.
    meter:
        Name of the meter.
    """

    energy_mj: float | None
    ci_low_mj: float | None
    ci_high_mj: float | None
    windows: int
    runs: int
    valid: bool
    reason: str
    meter: str

    @property
    def unfinished(self) -> bool:
        """True if the run was broken off while this was measured."""
        return self.reason.startswith(UNFINISHED)


@dataclass(frozen=True)
class Conditions:
    """Where and how something was measured."""

    device: str
    cpu: str
    cores: int
    governor: str
    threads: int
    versions: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    quota: float | None = None
