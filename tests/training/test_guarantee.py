from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from math import comb

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.policies.base import CallOptions
from premodel.training.guarantee import at_cost_weight, certified, loss_p_value, samples_needed, weight_grid
from premodel.training.objective import Floor, Objective
from premodel.training.options import Guarantee, TrainOptions, plain
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

RESAMPLES = 200


def won(n: int, seed: int = 0) -> Tables:
    """A cheap candidate that knows when it is right, and a dear one that is right nearly always."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 2)) < [0.7, 0.95]
    tables = make_tables(right, latency_ms=[1, 10], seed=seed)
    top = np.where(right, 0.95, 0.4) + 0.04 * rng.random(right.shape)
    others = tables.top_labels.shape[2] - 1
    rest = (1 - top)[:, :, None] * np.full(others, 1 / others)
    return replace(tables, top_probabilities=np.concatenate([top[:, :, None], rest], axis=2).astype(np.float32))


@pytest.mark.parametrize(
    ("text", "epsilon", "delta"), [("loss<=1pt@95%", 0.01, 0.05), (" loss <= 0.5 pt @ 99.9 % ", 0.005, 0.001)]
)
def test_a_guarantee_is_read(text: str, epsilon: float, delta: float) -> None:
    read = Guarantee.parse(text)
    assert (read.epsilon, read.delta) == (pytest.approx(epsilon), pytest.approx(delta))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1pt@95%", "loss<=1pt@95%"),
        ("loss<=1@95%", "loss<=1pt@95%"),
        ("loss<=0pt@95%", "more than 0"),
        ("loss<=100pt@95%", "less than 100"),
        ("loss<=1pt@100%", "below 100 %"),
        ("loss<=1pt@50%", "above 50"),
    ],
)
def test_what_is_no_guarantee_is_refused(text: str, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        Guarantee.parse(text)


@pytest.mark.parametrize("delta", [0.2, 0.05])
def test_the_p_value_is_valid_at_the_border(delta: float) -> None:
    """Exact: over all counts of 40 samples whose expected loss is epsilon, P(p <= delta) is at most delta."""
    n, epsilon = 40, 0.05
    for lose in (0.05, 0.15, 0.4):
        gain = lose - epsilon
        chance = 0.0
        for losses, gains in product(range(n + 1), range(n + 1)):
            if losses + gains <= n and loss_p_value(losses, gains, n, epsilon) <= delta:
                ways = comb(n, losses) * comb(n - losses, gains)
                chance += ways * lose**losses * gain**gains * (1 - lose - gain) ** (n - losses - gains)
        assert chance <= delta


def test_the_p_value_falls_with_gains_and_rises_with_losses() -> None:
    assert loss_p_value(0, 0, 0, 0.01) == 1
    assert loss_p_value(10, 20, 500, 0.01) < loss_p_value(10, 10, 500, 0.01) < loss_p_value(20, 10, 500, 0.01)
    assert loss_p_value(50, 0, 500, 0.01) == 1
    # Nothing differs: the largest bet alone grows the wealth by 1 + 0.95 / 99 per sample, and there are 20 of them.
    assert loss_p_value(0, 0, 1000, 0.01) < 20 / (1 + 0.95 / 99) ** 1000 * 1.01


def test_testing_stops_at_the_first_that_fails() -> None:
    assert certified([0, 100, 0], [0, 0, 0], 1000, 0.01, 0.05) == 1
    assert certified([100, 0], [0, 0], 1000, 0.01, 0.05) == 0
    assert certified([0, 0, 0], [0, 0, 0], 1000, 0.01, 0.05) == 3


def resampled(true_loss: np.ndarray, n: int, epsilon: float, differ: float, seed: int) -> tuple[float, float]:
    """Share of 200 calibration sets with the promise kept, and with any point certified."""
    rng = np.random.default_rng(seed)
    kept = given = 0
    for _ in range(RESAMPLES):
        # One uniform number per sample serves all points, as one calibration set does.
        drawn = rng.random(n)[:, None]
        losses = (drawn < (differ + true_loss) / 2).sum(axis=0)
        gains = (drawn > 1 - (differ - true_loss) / 2).sum(axis=0)
        count = certified(losses.tolist(), gains.tolist(), n, epsilon, 0.05)
        given += count > 0
        kept += count == 0 or true_loss[count - 1] <= epsilon
    return kept / RESAMPLES, given / RESAMPLES


def test_the_guarantee_is_kept_in_resamples_with_a_known_truth() -> None:
    """Losses that rise along the points, through what is allowed: kept in at least 95 % of 200 resamples."""
    true_loss = np.linspace(-0.02, 0.05, 15)
    kept, given = resampled(true_loss, 2000, 0.01, 0.10, seed=1)
    assert kept >= 0.95
    assert given > 0.5  # and it is not kept by never giving any


def test_a_loss_just_above_what_is_allowed_is_hardly_ever_certified() -> None:
    kept, given = resampled(np.full(10, 0.0101), 1000, 0.01, 0.12, seed=2)
    assert kept >= 0.95
    assert given <= 0.05


def test_how_many_samples_would_do() -> None:
    needed = samples_needed(6, 8, 100, 0.01, 0.05)
    assert needed is not None
    assert loss_p_value(round(0.06 * needed), round(0.08 * needed), needed, 0.01) <= 0.05
    assert loss_p_value(round(0.06 * needed * 0.9), round(0.08 * needed * 0.9), round(needed * 0.9), 0.01) > 0.05
    assert samples_needed(10, 5, 100, 0.01, 0.05) is None  # 5 points lost where 1 is allowed


def test_the_grid_begins_at_the_safest_point() -> None:
    grid = weight_grid(10.0)
    assert grid[0] == 0
    assert (np.diff(grid) > 0).all()


@pytest.fixture(scope="module")
def tables() -> Tables:
    return won(1200)


def test_a_guaranteed_premodel(tables: Tables) -> None:
    options = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=2pt@90%"))
    trained = train(tables, options)
    promised = trained.evidence["guarantee"]
    assert promised["reference"] == "c1"
    assert promised["calibration_samples"] == promised["fitted_samples"] == 600
    assert (promised["epsilon"], promised["delta"]) == (pytest.approx(0.02), pytest.approx(0.1))
    assert "exchangeable" in promised["caveat"]
    passed = [point for point in promised["tested"] if point["p"] <= promised["delta"]]
    assert promised["cost_weight"] == passed[-1]["cost_weight"]
    json.dumps(plain(trained.evidence), allow_nan=False)
    assert any("at most 2 points of accuracy below c1" in line for line in trained.account)
    # It is what it promises on samples never seen, of which there are many; and it is worth having.
    unseen = won(4000, seed=7)
    served = simulate(trained.policy, unseen)
    right = served.labels[:, 0] == unseen.truth
    assert right.mean() >= unseen.correct("top1")[:, 1].mean() - 0.02
    assert served.latency_ms.mean() < 8


@pytest.mark.parametrize("policy", ["cascade-routing", "select"])
def test_another_trained_point_serves_what_a_call_with_that_weight_does(policy: str) -> None:
    small = won(200)
    trained = train(small, TrainOptions(policy=policy, features=2)).policy
    for weight in weight_grid(10.0)[::9]:
        called = simulate(trained, small, CallOptions(cost_weight=float(weight)))
        assert simulate(at_cost_weight(trained, float(weight)), small).same_decisions(called).all()


def test_too_few_samples_say_how_many_would_do() -> None:
    options = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=0.1pt@99%"))
    with pytest.raises(OptionError, match=r"about \d+ samples in all would do|no number of samples would do"):
        train(won(200), options)


def test_what_contradicts_a_guarantee_is_refused(tables: Tables) -> None:
    promise = Guarantee.parse("loss<=1pt@95%")
    for objective in (Objective(cost_weight=1.0), Objective(max_latency_ms=3.0), Objective(Floor.parse("0.9"))):
        with pytest.raises(OptionError, match="the guarantee chooses"):
            train(tables, TrainOptions(policy="cascade-routing", objective=objective, guarantee=promise))
    with pytest.raises(OptionError, match="no points of operation"):
        train(won(60), TrainOptions(policy="single", guarantee=promise))
