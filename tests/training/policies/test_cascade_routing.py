"""Trained cascades on profiles where the best policy is known, and what must hold on any."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.policies.base import TRAINED, CallOptions
from premodel.runtime.policies.stopping import Cascade, CascadeRouting
from premodel.training.objective import Floor, Objective
from premodel.training.operating_point import OperatingPoint
from premodel.training.options import TrainOptions
from premodel.training.policies.cascade_routing import _better
from premodel.training.record import Trained
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables
from telling import noisy_tables, telling_tables

TABLES = noisy_tables(600, 4)
each_policy = pytest.mark.parametrize("policy", ["cascade", "cascade-routing"])


def trained(policy: str, tables: Tables = TABLES, floor: str | None = None, **objective: Any) -> Trained:
    parsed = None if floor is None else Floor.parse(floor)
    criterion = objective.pop("criterion", "top1")
    return train(tables, TrainOptions(policy, criterion=criterion, objective=Objective(parsed, **objective)))


def accuracy(served: Any, tables: Tables, top_n: int = 1) -> float:
    return float((served.labels[:, :top_n] == tables.truth[:, None]).any(axis=1).mean())


@each_policy
def test_a_floor_beside_a_cost_weight_is_kept_where_it_can_be(policy: str) -> None:
    """However much a millisecond is worth: the weight decides among the points that keep the floor."""
    plain = trained(policy, floor="best").record.to_json()["operating_point"]
    assert plain["met"]
    for weight in (0.001, 5.0):
        point = trained(policy, floor="best", cost_weight=weight).record.to_json()["operating_point"]
        assert point["met"], weight
        assert point["accuracy"] >= point["best_single_accuracy"]


@each_policy
def test_the_known_best_policy_is_found(policy: str) -> None:
    """The small one shows exactly when it is right, the large one always is: run it where the small one is unsure."""
    small = np.random.default_rng(0).random(600) < 0.7
    tables = telling_tables(np.stack([small, np.ones(600)], axis=1), latency_ms=(1.0, 4.0))
    found = trained(policy, tables)
    served = simulate(found.policy, tables)
    assert found.policy.candidates == ("c0", "c1")
    assert served.ran[:, 0].all()
    assert np.array_equal(served.ran[:, 1], ~small)
    assert accuracy(served, tables) == 1.0
    point = found.record.to_json()["operating_point"]
    assert point["accuracy"] == 1.0
    # 0.25 decode + 0.03 decisions + 1 + the share of unsure ones * 4
    assert point["latency_ms"] == pytest.approx(1.28 + 4 * (1 - small.mean()), abs=0.01)


@each_policy
def test_what_was_cross_fitted_comes_out_on_other_samples(policy: str) -> None:
    tables = noisy_tables(3000, 3, seed=7)
    own, other = tables.take(np.arange(1500)), tables.take(np.arange(1500, 3000))
    found = trained(policy, own)
    point = found.record.to_json()["operating_point"]
    served = simulate(found.policy, other)
    assert accuracy(served, other) == pytest.approx(point["accuracy"], abs=0.03)
    ran_ms = served.latency_ms - served.select_ms + 0.03
    assert ran_ms.mean() == pytest.approx(point["latency_ms"], rel=0.1)


@each_policy
def test_a_higher_weight_costs_less(policy: str) -> None:
    found = trained(policy)
    mean_ms = [
        served.latency_ms.mean() - served.select_ms  # which is measured, and not the same twice
        for weight in (0.0, 0.01, 0.1, 1.0, 100.0)
        for served in [simulate(found.policy, TABLES, CallOptions(cost_weight=weight))]
    ]
    assert all(a >= b - 0.05 for a, b in pairwise(mean_ms))
    assert mean_ms[-1] < 1.5, "only the cheapest"


@each_policy
def test_objectives(policy: str) -> None:
    best = TABLES.correct("top1").mean(axis=0).max()
    floor = trained(policy, floor="best-10pt").record.to_json()["operating_point"]
    assert floor["met"]
    assert floor["accuracy"] >= best - 0.1
    assert floor["latency_ms"] <= trained(policy).record.to_json()["operating_point"]["latency_ms"]
    ceiling = trained(policy, max_latency_ms=3.0)
    assert ceiling.record.to_json()["operating_point"]["latency_ms"] <= 3.0
    assert simulate(ceiling.policy, TABLES).latency_ms.mean() < 3.2
    weight = trained(policy, cost_weight=0.05)
    assert weight.record.to_json()["operating_point"]["cost_weight"] == 0.05
    missed = trained(policy, floor="1.0")
    assert not missed.record.to_json()["operating_point"]["met"]
    assert any("does NOT meet the objective" in line for line in missed.summary)


@each_policy
def test_a_budget_is_kept_by_every_answer(policy: str) -> None:
    rule = trained(policy).policy
    assert isinstance(rule, CascadeRouting | Cascade)
    costs = rule.costs
    cheapest = min(costs.latency_ms)
    for budget in (*(costs.before_ms + ms for ms in costs.latency_ms), costs.before_ms + sum(costs.latency_ms)):
        served = simulate(rule, TABLES, CallOptions(max_latency_ms=budget))
        ran_ms = np.where(served.ran, costs.latency_ms, 0).sum(axis=1)
        assert (costs.before_ms + ran_ms <= budget + 1e-9).all()
    with pytest.raises(OptionError, match="the cheapest candidate is"):
        simulate(rule, TABLES, CallOptions(max_latency_ms=costs.before_ms + cheapest - 1e-6))


def test_a_larger_budget_is_not_less_accurate() -> None:
    rule = trained("cascade-routing", floor="best+2pt").policy
    shares = [accuracy(simulate(rule, TABLES, CallOptions(max_latency_ms=ms)), TABLES) for ms in (1.3, 2.3, 4.3, 8.3)]
    assert all(b >= a - 0.02 for a, b in pairwise(shares))


@each_policy
def test_top_five_needs_no_other_code(policy: str) -> None:
    tables = noisy_tables(400, 3, seed=2, n_labels=30)
    found = trained(policy, tables, criterion="top5")
    assert isinstance(found.policy, CascadeRouting | Cascade)
    assert found.policy.top_n == 5
    served = simulate(found.policy, tables)
    point = found.record.to_json()["operating_point"]
    assert accuracy(served, tables, 5) == pytest.approx(point["accuracy"], abs=0.04)
    assert point["accuracy"] >= tables.correct("top5").mean(axis=0).max() - 1e-9


def test_a_cascade_runs_in_its_order() -> None:
    rule = trained("cascade").policy
    served = simulate(rule, TABLES)
    for row in served.order:
        ran = row[row >= 0].tolist()
        assert ran == sorted(ran)


def test_routing_is_worth_at_least_the_cascade() -> None:
    """In training every order is open to it: the value it was searched by cannot be less."""
    values = [trained(policy).record.to_json()["pool"]["value"] for policy in ("cascade", "cascade-routing")]
    assert values[1] >= values[0] - 1e-9


def test_failed_predictions_in_the_profile() -> None:
    tables = noisy_tables(300, 3)
    tables.top_labels[::7, 1], tables.top_probabilities[::7, 1] = -1, 0
    tables.rank[::7, 1] = 12
    served = simulate(trained("cascade-routing", tables).policy, tables)
    assert not served.abstained.any()


def test_one_candidate_alone() -> None:
    tables = TABLES.take_candidates([2])
    found = trained("cascade-routing", tables)
    served = simulate(found.policy, tables)
    assert (served.source == 0).all()
    assert np.array_equal(served.labels, tables.top_labels[:, 0])


@pytest.mark.parametrize("option", [{"technique": "knn"}, {"labels": "right"}, {"fallback": "c0"}])
@each_policy
def test_options_that_mean_nothing_are_refused(policy: str, option: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"policy {policy} has no"):
        train(TABLES, TrainOptions(policy, **option))


@each_policy
def test_too_few_samples(policy: str) -> None:
    with pytest.raises(OptionError, match="too few samples to cross-fit a cascade; given: 9; allowed: 10 or more"):
        trained(policy, TABLES.take(np.arange(9)))
    few = TABLES.take(np.arange(10))
    assert not simulate(trained(policy, few).policy, few).abstained.any()


def test_the_estimate_counts_the_choice_of_the_pool() -> None:
    """Of twelve alike candidates some look better on few samples; what is promised must hold on others."""
    rng = np.random.default_rng(11)
    correct = rng.random((3300, 12)) < 0.75
    latency_ms = np.linspace(1.0, 2.0, 12).tolist()
    tables = telling_tables(correct, sure=0.7, unsure=0.55, noise=0.12, latency_ms=latency_ms)
    own, other = tables.take(np.arange(300)), tables.take(np.arange(300, 3300))
    found = trained("cascade-routing", own, cost_weight=0.05)
    point = found.record.to_json()["operating_point"]
    served = accuracy(simulate(found.policy, other), other)
    assert point["accuracy_as_counted"] <= served + 0.05


@each_policy
@pytest.mark.parametrize("share", [0.2, 0.35, 0.5])
def test_a_ceiling_is_used_up(policy: str, share: float) -> None:
    """What the small one states tells little, so a slightly lower cost weight runs the large one far more often."""
    hardness = np.random.default_rng(5).random(1200)
    correct = hardness[:, None] + np.random.default_rng(6).normal(0, 0.25, (1200, 2)) < np.array([0.5, 0.95])
    tables = telling_tables(correct, sure=0.62, unsure=0.5, noise=0.3, seed=5)
    ceiling = float(tables.decode_ms + tables.latency_ms[0] + 0.03 + share * tables.latency_ms[1])
    found = trained(policy, tables, max_latency_ms=ceiling)
    point = found.record.to_json()["operating_point"]
    assert point["met"]
    assert max(point["latency_ms"], mean_ms(found, tables)) <= 0.99 * ceiling
    assert mean_ms(found, tables, CallOptions(cost_weight=0.9 * point["cost_weight"])) > 0.85 * ceiling


def mean_ms(found: Trained, tables: Tables, options: CallOptions = TRAINED) -> float:
    """Of the policy itself, with the 0.03 ms that training counts for its decisions."""
    served = simulate(found.policy, tables, options)
    return float((served.latency_ms - served.select_ms + 0.03).mean())


@each_policy
@pytest.mark.parametrize(("m", "seed", "share"), [(3, 2, 0.5), (2, 4, 0.9), (2, 2, 0.5)])
def test_the_policy_itself_keeps_a_ceiling_on_what_it_was_fitted_on(
    policy: str, m: int, seed: int, share: float
) -> None:
    """Those of cross-fitting may keep it where the one that is served does not."""
    tables = noisy_tables(200, m, seed=seed)
    ceiling = float(tables.decode_ms + 0.03 + share * tables.latency_ms.sum())
    assert mean_ms(trained(policy, tables, max_latency_ms=ceiling), tables) <= 0.99 * ceiling


def test_a_pool_whose_point_misses_the_ceiling_takes_no_other_ones_place() -> None:
    options = TrainOptions("cascade-routing", objective=Objective(max_latency_ms=5.0))
    keeps = OperatingPoint(3, 0.02, 0.80, 0.80, 4.8, True, 0.75)
    misses = OperatingPoint(
        2, 0.01, 0.82, 0.82, 4.9, False, 0.75
    )  # its cross-fitted mean keeps it, its own walk does not
    assert not _better(misses, keeps, options)
    assert _better(keeps, misses, options)
    assert _better(OperatingPoint(2, 0.01, 0.82, 0.82, 4.9, True, 0.75), keeps, options)


def overconfident_tables(seed: int) -> Tables:
    """A fast candidate that is sure of everything and right on three of four, and a timid one that is always right."""
    rng = np.random.default_rng(seed)
    right = np.stack([rng.random(144) < 0.77, np.ones(144, bool)], axis=1)
    tables = make_tables(right, latency_ms=[1.0, 4.0], n_labels=12, seed=seed)
    top = np.stack([np.full(144, 0.9999), rng.uniform(0.18, 0.22, 144)], axis=1)
    rest = (1 - top)[:, :, None] * rng.dirichlet(np.full(11, 3.0), (144, 2))
    rest = -np.sort(-np.minimum(rest, 0.98 * top[:, :, None]), axis=2)
    return replace(tables, top_probabilities=np.concatenate([top[:, :, None], rest], axis=2).astype(np.float32))


@each_policy
def test_an_overconfident_candidate_does_not_stop_a_cascade_that_accuracy_alone_counts_for(policy: str) -> None:
    found = trained(policy, overconfident_tables(0), cost_weight=0.0)
    assert found.out_of_fold is not None
    assert found.out_of_fold.score.mean() > 0.97
