"""A weak and a strong candidate in the terms of RouteLLM: accuracy over the share of strong calls, and its area.

Source: Ong et al., "RouteLLM: Learning to route LLMs with preference data", 2024, section 2: the performance gap
recovered (PGR) is what of the difference of accuracy between both is reached, and its average (APGR) that over all
shares of strong calls. A random choice has an APGR of 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.training.folds import stratified_folds
from premodel.training.labels import make_labels
from premodel.training.selectors.logistic import fit
from premodel.training.tables import Tables

RESAMPLES = 500
SHARES = 11
"""Points of the curve that are shown, from no strong call to all."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Routing:
    """A choice between two candidates by features alone, fitted out of fold.

    Attributes
    ----------
    weak, strong:
        Their names; the strong one is the more accurate.
    apgr, apgr_ci:
        Average performance gap recovered, with its 95 % bootstrap interval; 0.5 is that of a random choice.
    shares, accuracy:
        Shares of strong calls, and the accuracy at each.
    """

    weak: str
    strong: str
    apgr: float
    apgr_ci: tuple[float, float]
    shares: tuple[float, ...]
    accuracy: tuple[float, ...]

    def __str__(self) -> str:
        low, high = self.apgr_ci
        at = ", ".join(f"{100 * s:.0f} %: {100 * a:.1f}" for s, a in zip(self.shares, self.accuracy, strict=True))
        return (
            f"{self.strong} against {self.weak} by features alone: APGR {self.apgr:.3f} [{low:.3f}, {high:.3f}], "
            f"random 0.500; accuracy in % by share of calls to {self.strong}: {at}"
        )


def routing_curve(tables: Tables, criterion: Criterion, *, folds: int, seed: int) -> Routing | None:
    """The curve of two candidates; None if there are more or fewer, no features, or both are equally accurate."""
    score = tables.score(criterion)
    if len(tables.candidates) != 2 or not tables.feature_names:
        return None
    weak, strong = np.argsort(score.mean(axis=0), kind="stable").tolist()
    if score[:, weak].mean() == score[:, strong].mean():
        return None
    gain = np.empty(len(tables))
    for fold in stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed):
        labels = make_labels("right", score[fold.train], tables.latency_ms)
        selector = fit(tables.features[fold.train], labels, tables.feature_names)
        expected = selector.score_batch(tables.features[fold.test])
        gain[fold.test] = expected[:, strong] - expected[:, weak]
    first = np.argsort(-gain, kind="stable")  # the samples that are sent to the strong one first
    ordered, rng = score[first], np.random.default_rng(seed)
    n = len(first)
    drawn = [np.sort(rng.integers(0, n, n)) for _ in range(RESAMPLES)]
    areas = [_apgr(ordered[rows, weak], ordered[rows, strong]) for rows in drawn]
    low, high = np.quantile(areas, (0.025, 0.975))
    curve = _curve(ordered[:, weak], ordered[:, strong])
    at = np.round(np.linspace(0, n, SHARES)).astype(np.intp)
    return Routing(
        tables.candidates[weak],
        tables.candidates[strong],
        _apgr(ordered[:, weak], ordered[:, strong]),
        (float(low), float(high)),
        tuple((at / n).tolist()),
        tuple(curve[at].tolist()),
    )


def _curve(weak: Floats, strong: Floats) -> Floats:
    """float64 (n + 1,): accuracy where the first 0 to n samples are sent to the strong one."""
    return np.asarray((weak.sum() + np.concatenate([[0.0], np.cumsum(strong - weak)])) / len(weak))


def _apgr(weak: Floats, strong: Floats) -> float:
    """The area by the trapezium rule; 0.5 where both are equally accurate."""
    curve = _curve(weak, strong)
    gap = curve[-1] - curve[0]
    if gap == 0:
        return 0.5
    recovered = (curve - curve[0]) / gap
    return float((recovered[1:] + recovered[:-1]).mean() / 2)
