"""Peers beside a premodel."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.evaluation.baselines import FixedChoice
from premodel.evaluation.cross_validation import Method, Outcome, cross_validate
from premodel.evaluation.peer_curves import CEILINGS, PeerCurve, best_peer, peer_curves
from premodel.evaluation.peers.points import Points
from premodel.evaluation.peers.registry import PEERS
from premodel.evaluation.report.text import peers_note
from premodel.training.objective import Objective
from profiles import make_tables, predictable_tables

pytest.importorskip("sklearn")


def served(name: str) -> Outcome:
    """Four samples, all answered by c0 (right on two, 1.25 ms) or c1 (right on three, 5.25 ms)."""
    tables = make_tables([[1, 1], [1, 1], [0, 1], [0, 0]], latency_ms=[1, 5])
    method = Method("premodel", "premodel", "fixed", lambda *_: FixedChoice(name))
    outcome = cross_validate(tables, [method], criterion="top1", folds=2)[0]
    outcome.latency_ms[:] = {"c0": 1.25, "c1": 5.25}[name]  # without the time of decisions, which differs
    return outcome


def curve(name: str, *points: tuple[float, list[int]]) -> PeerCurve:
    right = np.array([answers for _, answers in points], dtype=np.float64)
    latency_ms = np.repeat(np.array([ms for ms, _ in points])[:, None], 4, axis=1)
    return PeerCurve(name, Points(right, latency_ms, tuple(name for _ in points)), ())


def test_between_two_points_a_peer_is_their_mix() -> None:
    # at 5.25 ms: a quarter of the first (right on none), three quarters of the second (right on two)
    peer = curve("p", (2.25, [0, 0, 0, 0]), (6.25, [1, 1, 0, 0]))
    ahead = peer.ahead(served("c1"))
    assert ahead is not None
    assert ahead[0] == pytest.approx(100 * (0.75 - 0.375))
    assert ahead[1][0] <= ahead[0] <= ahead[1][1]


def test_a_peer_that_has_not_begun_says_nothing_and_the_best_is_the_most_accurate_there() -> None:
    late, poor, good = (
        curve("late", (9.0, [1, 1, 1, 1])),
        curve("poor", (1.0, [0, 0, 0, 0])),
        curve("good", (1.0, [1, 1, 1, 1])),
    )
    assert late.ahead(served("c0")) is None
    assert best_peer([late], served("c0")) is None
    best = best_peer([late, poor, good], served("c0"))
    assert best is not None
    assert best[0] is good
    assert best[1] == pytest.approx(-50)


def test_every_peer_has_its_points_by_rising_latency_and_no_point_twice() -> None:
    tables = predictable_tables(90, 3)
    found = peer_curves(tables, "top1", Objective(), folds=3)
    assert [one.name for one in found] == list(PEERS)
    for one in found:
        assert one.points.names[0] == Objective().describe()
        assert len(one.points.names) == 1 + CEILINGS
        latency_ms = [row.latency_ms for row in one.rows]
        assert latency_ms == sorted(latency_ms)
        assert 1 <= len(one.rows) <= 1 + CEILINGS
        assert len({(row.latency_ms, row.accuracy) for row in one.rows}) == len(one.rows)
        assert all(row.kind == "baseline" and row.extra["asked"] in one.points.names for row in one.rows)


@pytest.mark.parametrize(
    ("gain", "bounds", "samples", "word"),
    [
        (2.0, (1.0, 3.0), 500, "is above the best peer"),
        (-2.0, (-3.0, -1.0), 500, "is BELOW the best peer"),
        (0.5, (-1.0, 2.0), 500, "is not distinguishable from the best peer"),
        (-0.04, (-0.06, -0.02), 50_000, "is not distinguishable from the best peer"),
        (2.0, (1.0, 3.0), 20, "is not distinguishable from the best peer"),
    ],
)
def test_a_peer_is_compared_by_the_rule_of_the_verdict(
    gain: float, bounds: tuple[float, float], samples: int, word: str
) -> None:
    peer = curve("good", (1.0, [1, 1, 1, 1]))
    assert word in peers_note("p", (peer, gain, bounds), samples)
    assert peers_note("p", None, samples) == "No peer is as fast as p."
