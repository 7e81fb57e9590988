"""Is a sibling worth a place in the zoo: compared with its original in accuracy and in speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.errors import RunError
from premodel.runtime.candidate import OpenedCandidate
from premodel.stats import median_interval, paired_bootstrap

WARMUP_ROUNDS = 3
MIN_ROUNDS, MAX_ROUNDS = 40, 200
MIN_MEASURING_MS = 3_000.0
"""Measuring ends after MIN_ROUNDS once it has taken so long."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Accuracy:
    """A sibling's answers beside its original's, on the same images.

    Attributes
    ----------
    accuracy, original:
        Shares of right answers.
    difference_ci:
        95 % interval of their difference.
    agrees:
        Share of images that both give the same answer.
    constant:
        It gives one answer to all images, and the original does not.
    images:
        How many.
    """

    accuracy: float
    original: float
    difference_ci: Interval
    agrees: float
    constant: bool
    images: int

    def fault(self, max_loss: float) -> str:
        """Why it is left out; empty if it is not. `max_loss` is in [0, 1]."""
        if self.constant:
            return f"broken: the same answer to all {self.images} images"
        if self.difference_ci[1] < -max_loss:
            low, high = (100 * bound for bound in self.difference_ci)
            return (
                f"accuracy collapsed: {100 * self.accuracy:.1f} % after {100 * self.original:.1f} % "
                f"[{low:+.1f}, {high:+.1f}]"
            )
        return ""


def compare_answers(
    answers: Sequence[int], original: Sequence[int], labels: Sequence[int] | NDArray[np.int32]
) -> Accuracy:
    """Compare answers to the same images."""
    ours, theirs, truth = np.asarray(answers), np.asarray(original), np.asarray(labels)
    right, before = ours == truth, theirs == truth
    difference = right.astype(np.float64) - before
    constant = len(ours) > 1 and len(np.unique(ours)) == 1 and len(np.unique(theirs)) > 1
    return Accuracy(
        float(right.mean()), float(before.mean()), paired_bootstrap(difference), float((ours == theirs).mean()),
        constant, len(truth),
    )  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """How much faster than its original: the median of the ratios within rounds, and its 95 % interval."""

    ratio: float
    ratio_ci: Interval
    median_ms: float

    @property
    def fault(self) -> str:
        """Why it is left out; empty if it is not."""
        if self.ratio_ci[0] > 1:
            return ""
        return f"no faster than its original here: {self.ratio:.2f}x [{self.ratio_ci[0]:.2f}, {self.ratio_ci[1]:.2f}]"


def measure(opened: Sequence[OpenedCandidate], images: Sequence[object], seed: int = 0) -> NDArray[np.float64]:
    """float64 (rounds, candidates): ms of preprocessing and run; in each round one image and a random order.

    Raises
    ------
    RunError
        One fails.
    """
    rng = np.random.default_rng(seed)
    rows: list[list[float]] = []
    start_ms = math.inf
    for number in range(WARMUP_ROUNDS + MAX_ROUNDS):
        if number == WARMUP_ROUNDS:
            start_ms = now_ms()
        image = images[int(rng.integers(len(images)))]
        spent = [0.0] * len(opened)
        for index in rng.permutation(len(opened)):
            begun_ms = now_ms()
            opened[index].predict(image)
            spent[index] = now_ms() - begun_ms
        if number >= WARMUP_ROUNDS:
            rows.append(spent)
        if len(rows) >= MIN_ROUNDS and now_ms() - start_ms > MIN_MEASURING_MS:
            break
    return np.array(rows)


def compare_speed(original_ms: NDArray[np.float64], sibling_ms: NDArray[np.float64]) -> Speed:
    """Compare what was measured in the same rounds."""
    ratios = original_ms / sibling_ms
    return Speed(float(np.median(ratios)), median_interval(ratios), float(np.median(sibling_ms)))


def answers_of(opened: OpenedCandidate, image: object, shared: object) -> int:
    """The answer to one image; -1 where the candidate fails."""
    try:
        return int(opened.predict(image, shared).labels[0])
    except RunError:
        return -1
