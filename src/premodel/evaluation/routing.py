"""A weak and a strong candidate in the terms of RouteLLM: accuracy over the share of strong calls, and its area.

Source: Ong et al., "RouteLLM: Learning to route LLMs with preference data", 2024, section 2: the performance gap
recovered (PGR) is what of the difference of accuracy between both is reached, and its average (APGR) that over all
shares of strong calls; the call-performance threshold CPT(q) is the least share of strong calls that recovers q of it.
A random choice has an APGR of 0.5 and a CPT(q) of q.

Notes
-----
That paper takes thresholds of a router's score at some ten shares, and the area under the curve by the trapezium rule;
here every sample is a threshold. Its routers are trained on other data; here all is fitted out of fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.selectors.base import Features
from premodel.training.folds import stratified_folds
from premodel.training.product import product
from premodel.training.tables import Tables

RESAMPLES = 500
SHARES = 11
"""Points of the curve that are shown, from no strong call to all."""
QUALITIES = (0.2, 0.5, 0.8)
"""Of the gap, for which the share of strong calls is stated."""
PENALTIES = np.geomspace(1e-4, 1e2, 25)
"""Of the ridge regression, per sample."""

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
    random:
        Accuracy of a random choice at each of these shares.
    calls:
        Least share of strong calls that recovers 20, 50 and 80 % of the gap: CPT.
    features:
        How many features the choice reads.
    """

    weak: str
    strong: str
    apgr: float
    apgr_ci: tuple[float, float]
    shares: tuple[float, ...]
    accuracy: tuple[float, ...]
    random: tuple[float, ...] = ()
    calls: tuple[float, ...] = ()
    features: int = 0

    def __str__(self) -> str:
        low, high = self.apgr_ci
        points = zip(self.shares, self.accuracy, self.random, strict=True)
        at = ", ".join(f"{100 * s:.0f} %: {100 * a:.1f} (random {100 * r:.1f})" for s, a, r in points)
        calls = ", ".join(f"{100 * q:.0f} %: {100 * share:.0f}" for q, share in zip(QUALITIES, self.calls, strict=True))
        return (
            f"{self.strong} against {self.weak} by {self.features} features alone: APGR {self.apgr:.3f} "
            f"[{low:.3f}, {high:.3f}], random 0.500; accuracy in % by share of calls to {self.strong}: {at}; share of "
            f"calls in % by what is recovered of the gap (CPT): {calls}"
        )


def routing_curve(tables: Tables, criterion: Criterion, *, folds: int, seed: int) -> Routing | None:
    """The curve of two candidates; None if there are more or fewer, no features, or both are equally accurate.

    What the strong one gains on a sample is learned by ridge regression on the features and their logarithms, without
    the fold of that sample; the penalty is chosen on the same training rows by generalised cross-validation (Golub,
    Heath and Wahba, "Generalized cross-validation as a method for choosing a good ridge parameter", 1979).
    """
    score = tables.score(criterion)
    if len(tables.candidates) != 2 or not tables.feature_names:
        return None
    weak, strong = np.argsort(score.mean(axis=0), kind="stable").tolist()
    if score[:, weak].mean() == score[:, strong].mean():
        return None
    gain = np.empty(len(tables))
    for fold in stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed):
        gained = score[fold.train, strong] - score[fold.train, weak]
        gain[fold.test] = _ridge(tables.features[fold.train], gained, tables.features[fold.test])
    first = np.argsort(-gain, kind="stable")  # the samples that are sent to the strong one first
    ordered, rng = score[first], np.random.default_rng(seed)
    n = len(first)
    drawn = [np.sort(rng.integers(0, n, n)) for _ in range(RESAMPLES)]
    areas = [_apgr(ordered[rows, weak], ordered[rows, strong]) for rows in drawn]
    low, high = np.quantile(areas, (0.025, 0.975))
    curve = _curve(ordered[:, weak], ordered[:, strong])
    at = np.round(np.linspace(0, n, SHARES)).astype(np.intp)
    gap = curve[-1] - curve[0]
    wanted = curve[0] + np.array(QUALITIES) * gap
    calls = [float(np.flatnonzero(curve >= one - 1e-12)[0]) / n for one in wanted]
    return Routing(
        tables.candidates[weak],
        tables.candidates[strong],
        _apgr(ordered[:, weak], ordered[:, strong]),
        (float(low), float(high)),
        tuple((at / n).tolist()),
        tuple(curve[at].tolist()),
        tuple((curve[0] + gap * at / n).tolist()),
        tuple(calls),
        len(tables.feature_names),
    )


def _ridge(train: Features, gained: Floats, test: Features) -> Floats:
    """Expected gains of the test rows, by ridge regression on the training rows; see `routing_curve`."""
    both = [np.concatenate([one, np.sign(one) * np.log1p(np.abs(one))], axis=1).astype(np.float64)
            for one in (train, test)]  # fmt: skip
    mean, spread = both[0].mean(axis=0), both[0].std(axis=0)
    known, asked = ((one[:, spread > 0] - mean[spread > 0]) / spread[spread > 0] for one in both)
    rest, n = gained - gained.mean(), len(known)
    values, vectors = np.linalg.eigh(product(known.T, known))
    values = np.maximum(values, 0.0)
    along = product(vectors.T, product(known.T, rest[:, None]))[:, 0]
    total, best, least = float(rest @ rest), np.zeros(len(values)), np.inf
    for penalty in (PENALTIES * n).tolist():
        weights = along / (values + penalty)
        error = total - 2 * float(weights @ along) + float(weights**2 @ values)
        freedom = float((values / (values + penalty)).sum())
        score = n * error / max(n - freedom, 1e-9) ** 2
        if score < least:
            best, least = weights, score
    return np.asarray(product(asked, product(vectors, best[:, None]))[:, 0] + gained.mean())


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
