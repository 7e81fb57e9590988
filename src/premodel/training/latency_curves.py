"""Latency of candidates learned as a function of the length of the input, from the latencies of a profile's samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.domains.registry import domain_of
from premodel.runtime.policies.costs import MAX_MS
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.training.isotonic import curve_points, rising_means
from premodel.training.tables import Tables

POINTS = 12
"""Of a curve, at most: each the mean of an equal share of the samples."""
MIN_SAMPLES = 40
"""Fewer show nothing of how a latency depends on the length."""
CLIP = 0.95
"""Quantile, of the samples of one point, that a latency counts with at most: an interruption is no property of it."""
MIN_EXPLAINED = 0.02
"""Share of the variance that a curve must explain on samples it was not learned from; else the mean stands."""

Floats = NDArray[np.float64]


def learn_latency_curves(tables: Tables) -> LatencyCurves | None:
    """The curves of all candidates of these tables; None where no latency is seen to depend on the length.

    Parameters
    ----------
    tables:
        With a latency for each sample, and the features that state its length (`Domain.lengths`).

    Returns
    -------
    Curves whose mean over these samples is the candidate's mean latency. A candidate whose curve does not predict
    held-out samples better than its mean has that mean at every length.

    Notes
    -----
    Of several measures of length the one is taken that predicts held-out latencies best, all candidates together.
    """
    measures = domain_of(tables.task).lengths
    if tables.sample_ms is None or len(tables) < MIN_SAMPLES:
        return None
    best, most, chosen = None, 0.0, ""
    for measure in measures:
        lengths = lengths_of(tables, measure)
        if lengths is None or not np.isfinite(tables.sample_ms).all() or np.ptp(lengths) == 0:
            continue
        explained = np.array([_explained(lengths, column) for column in tables.sample_ms.T])
        total = float(np.where(explained >= MIN_EXPLAINED, explained, 0.0).sum())
        if total > most:
            best, most, chosen = explained >= MIN_EXPLAINED, total, measure
    lengths = None if best is None else lengths_of(tables, chosen)
    if best is None or lengths is None:
        return None
    points = curve_points(lengths, POINTS)
    rows = []
    for depends, column in zip(best.tolist(), tables.sample_ms.T, strict=True):
        mean_ms = float(column.mean())
        curve = rising_means(lengths, column, points, CLIP) if depends else np.full(len(points), mean_ms)
        curve = curve * (mean_ms / _at(points, curve, lengths).mean()) if depends else curve
        rows.append(tuple(np.clip(curve, 0.0, MAX_MS).tolist()))
    return LatencyCurves(chosen, tuple(points.tolist()), tuple(rows))


def lengths_of(tables: Tables, measure: str) -> Floats | None:
    """float64 (n,), the length of every sample; None where the profile does not hold it."""
    if measure not in tables.feature_names:
        return None
    lengths = tables.features[:, tables.feature_names.index(measure)].astype(np.float64)
    return lengths if np.isfinite(lengths).all() and (lengths >= 0).all() else None


def _explained(lengths: Floats, took_ms: Floats) -> float:
    """Share of the variance that curves explain, each on the half of the samples that it was not learned from."""
    halves = np.arange(len(lengths)) % 2
    errors = spread = 0.0
    for half in (0, 1):
        train, test = halves != half, halves == half
        if np.ptp(lengths[train]) == 0:
            return 0.0
        points = curve_points(lengths[train], POINTS)
        predicted = _at(points, rising_means(lengths[train], took_ms[train], points, CLIP), lengths[test])
        errors += float(((took_ms[test] - predicted) ** 2).sum())
        spread += float(((took_ms[test] - took_ms[train].mean()) ** 2).sum())
    return 1 - errors / spread if spread > 0 else 0.0


def _at(points: Floats, curve: Floats, lengths: Floats) -> Floats:
    """The curve at these lengths."""
    return LatencyCurves("", tuple(points.tolist()), (tuple(curve.tolist()),)).of(lengths)[:, 0]
