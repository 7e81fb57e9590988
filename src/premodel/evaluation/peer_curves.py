"""Peers as curves of accuracy against latency, to stand beside a premodel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from premodel.evaluation.cross_validation import Outcome
from premodel.evaluation.peers.choice import Objectives
from premodel.evaluation.peers.points import Floats, Points
from premodel.evaluation.peers.registry import run_peers
from premodel.evaluation.rows import Row, Singles, compare
from premodel.records import Criterion
from premodel.stats import mix_at, paired_bootstrap
from premodel.training.folds import stratified_folds
from premodel.training.objective import Objective
from premodel.training.tables import Tables

CEILINGS = 8
SAME_LATENCY = 0.01
LOWEST = 1.1
"""Ceilings of mean latency go from 1.1 of the cheapest single candidate to the dearest."""


@dataclass(frozen=True, eq=False)
class PeerCurve:
    """One peer at several operating points.

    Attributes
    ----------
    name:
        Of the peer.
    points:
        Out-of-fold results: at the premodels' own objective first, then at ceilings of mean latency.
    rows:
        The same as rows, by latency, equal ones once; what each was asked for is `extra["asked"]`.
    """

    name: str
    points: Points
    rows: tuple[Row, ...]

    def ahead(self, outcome: Outcome, *, seed: int = 0) -> tuple[float, tuple[float, float]] | None:
        """Points of accuracy that an outcome is above this curve at the same mean latency, with their interval.

        Between two points the curve is the random mix of both. None where the curve has not begun: the outcome is
        faster than every point. A point within 1 % of the latency counts by itself: decisions are measured anew for
        each outcome.
        """
        at_ms = float(outcome.latency_ms.mean())
        latency_ms, accuracy = self.points.latency_ms.mean(axis=1), self.points.right.mean(axis=1)
        if at_ms < latency_ms.min():
            return None
        a, b, share = mix_at(latency_ms, accuracy, at_ms)
        near = np.flatnonzero(np.abs(latency_ms - at_ms) <= SAME_LATENCY * at_ms)
        if near.size:
            a, b, share = int(near[np.argmax(accuracy[near])]), 0, 0.0
        expected = (1 - share) * self.points.right[a] + share * self.points.right[b]
        difference = outcome.score - expected
        low, high = paired_bootstrap(difference, seed=seed)
        return 100 * float(difference.mean()), (100 * low, 100 * high)


def peer_curves(
    tables: Tables, criterion: Criterion, objective: Objective, *, folds: int = 10, seed: int = 0
) -> list[PeerCurve]:
    """Every peer on the folds of a cross-validation with the same seed.

    Parameters
    ----------
    objective:
        That of the premodels.
    """
    singles = Singles.of(tables, criterion)
    division = stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed)
    targets = np.geomspace(LOWEST * singles.latency_ms.min(), singles.latency_ms.max(), CEILINGS)
    asked: Objectives = [
        (objective.describe(), objective),
        *((f"at most {target:.2f} ms", Objective(max_latency_ms=float(target))) for target in targets),
    ]
    found = run_peers(tables, criterion, division, asked, seed)
    return [PeerCurve(name, points, _rows(name, points, singles, seed)) for name, points in found.items()]


def _rows(name: str, points: Points, singles: Singles, seed: int) -> tuple[Row, ...]:
    seen: dict[tuple[bytes, bytes], Row] = {}
    for asked, right, latency_ms in zip(points.names, points.right, points.latency_ms, strict=True):
        key = right.tobytes(), latency_ms.tobytes()
        if key not in seen:
            seen[key] = _row(name, asked, right, latency_ms, singles, seed)
    return tuple(sorted(seen.values(), key=lambda row: row.latency_ms))


def _row(name: str, asked: str, right: Floats, latency_ms: Floats, singles: Singles, seed: int) -> Row:
    figures = compare(name, "baseline", "peer", right, latency_ms, singles, seed=seed)
    figures["extra"] |= {"asked": asked}
    return Row(**figures, coverage=1.0, share={})


def best_peer(curves: Sequence[PeerCurve], outcome: Outcome) -> tuple[PeerCurve, float, tuple[float, float]] | None:
    """The peer that is the most accurate at an outcome's latency, and how far the outcome is above it."""
    found = [(curve, ahead) for curve in curves if (ahead := curve.ahead(outcome)) is not None]
    if not found:
        return None
    curve, (gain, interval) = min(found, key=lambda one: one[1][0])
    return curve, gain, interval
