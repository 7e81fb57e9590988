"""The choice among policies, where the right choice is known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import POLICIES
from premodel.training.record import Trained
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import FeatureCosts, Tables
from premodel.training.train import train
from premodel.verdict import too_few_samples
from profiles import make_tables
from telling import noisy_tables, telling_tables

SINGLE = "single"
OUTPUTS = tuple(name for name, one in POLICIES.items() if one.chooses and not one.reads_features)
FEATURES = tuple(name for name, one in POLICIES.items() if one.reads_features)


def without_features(tables: Tables) -> Tables:
    return dataclasses.replace(
        tables, features=np.zeros((len(tables), 0), np.float32), feature_names=(), feature_costs=FeatureCosts()
    )


def auto(tables: Tables, floor: str | None = None, **objective: Any) -> Trained:
    parsed = None if floor is None else Floor.parse(floor)
    return train(tables, TrainOptions(objective=Objective(parsed, **objective)))


def chosen(found: Trained) -> str:
    return str(found.record.to_json()["auto"]["chosen"])


def test_auto_is_the_default() -> None:
    assert TrainOptions().policy == "auto"


def test_a_cascade_is_chosen_where_confidence_tells_everything() -> None:
    small = np.random.default_rng(0).random(300) < 0.7
    tables = without_features(telling_tables(np.stack([small, np.ones(300)], axis=1), latency_ms=(1.0, 4.0)))
    found = auto(tables)
    assert chosen(found) in OUTPUTS
    served = simulate(found.policy, tables)
    assert (served.labels[:, 0] == tables.truth).all()
    assert served.latency_ms.mean() < 3


def test_one_alone_is_chosen_where_nothing_tells() -> None:
    """Confidence states nothing, and the others are hardly cheaper than the best, which is right far more often."""
    rng = np.random.default_rng(1)
    correct = rng.random((300, 3)) < np.asarray([0.5, 0.5, 0.9])
    tables = without_features(telling_tables(correct, sure=0.6, unsure=0.6, latency_ms=(3.5, 3.6, 4.0)))
    found = auto(tables)
    assert chosen(found) == SINGLE
    assert found.policy.kind == "single"
    assert found.policy.candidates[0] == "c2"
    assert "chosen: single, no premodel does better than one candidate alone" in found.summary


def test_one_alone_is_chosen_and_a_policy_named_that_misses_the_floor_by_chance() -> None:
    """The small candidate is wrong on a tenth, and confident of a few of those: too few to tell what is lost."""
    rng = np.random.default_rng(0)
    small = rng.random(300) < 0.9
    confident = np.where(rng.random(300) < 0.04, ~small, small)
    tables = without_features(telling_tables(np.stack([small, np.ones(300)], axis=1), latency_ms=(1.0, 9.0)))
    probabilities = tables.top_probabilities.copy()
    high, low = probabilities[small, 0][0].copy(), probabilities[~small, 0][0].copy()
    probabilities[:, 0] = np.where(confident[:, None], high, low)
    found = auto(dataclasses.replace(tables, top_probabilities=probabilities))
    assert chosen(found) == SINGLE
    assert "the samples cannot decide, --policy cascade-routing takes it" in "\n".join(found.summary)


def test_select_is_chosen_where_a_feature_tells_and_confidence_does_not() -> None:
    """Four groups of inputs, a feature names the group; the cheap candidate is right on all but the last group."""
    rng = np.random.default_rng(2)
    group = rng.integers(0, 4, 400)
    correct = np.stack([group < 3, np.ones(400)], axis=1)
    tables = telling_tables(correct, sure=0.6, unsure=0.6, latency_ms=(1.0, 9.0))
    features = np.stack([group == 3, rng.random(400), rng.random(400)], axis=1).astype(np.float32)
    found = auto(dataclasses.replace(tables, features=features))
    assert chosen(found) in FEATURES
    assert found.policy.features


def test_the_losers_figures_are_kept() -> None:
    found = auto(noisy_tables(150, 3))
    records = {record["policy"]: record for record in found.record.to_json()["auto"]["policies"]}
    assert set(records) == {SINGLE, *OUTPUTS, *FEATURES}
    assert records[SINGLE]["samples"] == 150
    for record in records.values():
        assert (record["samples"] == 150) is (record["given_up"] is None)
        assert 0 <= record["accuracy"] <= 1
    assert found.summary[0].startswith("policies compared on 150 samples in 5 folds")
    assert found.summary[-1].startswith("decides: ")


@pytest.mark.parametrize(
    ("asked", "words"),
    [({}, "clearly slower than single"), ({"max_latency_ms": 4.0}, "clearly less accurate than cascade-routing")],
    ids=["floor", "ceiling"],
)
def test_who_is_given_up_is_told_in_what_it_is_behind(asked: dict[str, float], words: str) -> None:
    found = auto(noisy_tables(150, 3), **asked)
    records = {record["policy"]: record for record in found.record.to_json()["auto"]["policies"]}
    assert records["select"]["given_up"] == f"given up: {words}"


def test_without_features_policies_that_need_them_are_left_out() -> None:
    found = auto(without_features(noisy_tables(100, 3)))
    assert {record["policy"] for record in found.record.to_json()["auto"]["policies"]} == {SINGLE, *OUTPUTS}


def test_a_policy_that_refuses_the_objective_says_why() -> None:
    found = auto(noisy_tables(100, 3), cost_weight=0.02)
    records = {record["policy"]: record for record in found.record.to_json()["auto"]["policies"]}
    assert "policy paper has no cost-weight" in records["paper"]["given_up"]


def test_a_floor_that_no_single_candidate_reaches() -> None:
    """Three that err independently: fused they are right more often than the best of them."""
    correct = np.random.default_rng(3).random((600, 3)) < 0.8
    tables = without_features(telling_tables(correct, sure=0.7, unsure=0.5, noise=0.1, latency_ms=(1.0, 1.1, 1.2)))
    found = auto(tables, floor="best+3pt")
    assert chosen(found) in OUTPUTS
    assert "one candidate alone misses the objective" in found.record.to_json()["auto"]["why"]


def test_of_policies_that_all_miss_a_floor_the_nearest_is_trained_though_it_was_given_up() -> None:
    """A feature tells who is right on nine tenths, and a floor of 0.99 is out of reach: `select` is given up early."""
    rng = np.random.default_rng(1)
    hint = rng.random(300) < 0.5
    right = np.stack([rng.random(300) < np.where(hint, 0.9, 0.3), rng.random(300) < np.where(hint, 0.3, 0.9)], axis=1)
    tables = telling_tables(right, sure=0.6, unsure=0.6, latency_ms=(1.0, 1.2))
    features = np.stack([hint, rng.random(300), rng.random(300)], axis=1).astype(np.float32)
    found = auto(dataclasses.replace(tables, features=features), floor="0.99")
    record = found.record.to_json()["auto"]
    (select,) = [one for one in record["policies"] if one["policy"] == "select"]
    assert select["given_up"] == "given up: clearly below the floor"
    assert (record["chosen"], record["why"]) == ("select", "nothing meets the objective, this comes nearest")


@pytest.mark.parametrize("option", [{"technique": "knn"}, {"labels": "right"}, {"fallback": "c0"}])
def test_options_of_one_policy_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"policy auto has no .*; name a policy that has one"):
        train(noisy_tables(50, 3), TrainOptions(**option))


def test_too_few_samples() -> None:
    with pytest.raises(OptionError, match="too few samples to compare policies; given: 4; allowed: 5 or more"):
        auto(noisy_tables(4, 3))
    tiny = noisy_tables(8, 3)
    assert chosen(auto(tiny)) in {SINGLE, *FEATURES}


def experts(n: int) -> Tables:
    """Two candidates of equal cost, each right on one half of the samples, where it is confident."""
    first = np.arange(n) % 2 == 0
    right = np.stack([first, ~first], axis=1)
    tables = make_tables(right, latency_ms=[4, 4], decode_ms=0)
    top = np.where(right, 0.95, 0.4) + 0.04 * np.random.default_rng(1).random(right.shape)
    others = tables.top_labels.shape[2] - 1
    rest = np.repeat((1 - top)[:, :, None] / others, others, axis=2)
    return dataclasses.replace(
        tables, top_probabilities=np.concatenate([top[:, :, None], rest], axis=2).astype(np.float32)
    )


def test_one_candidate_alone_is_chosen_with_a_word_on_what_accuracy_costs() -> None:
    found = train(experts(200), TrainOptions("auto"))
    (line,) = (line for line in found.summary if line.startswith("for a higher accuracy: "))
    assert "slower than one candidate alone, accuracy higher (+" in line
    assert line.endswith("Ask with --cost-weight 0.")


def test_few_samples_are_named_in_the_words_of_every_command() -> None:
    account = train(experts(40), TrainOptions("auto")).summary
    assert any(line.startswith("chosen: ") and too_few_samples(40) in line for line in account)
    assert not any(line.startswith("for a higher accuracy: ") for line in account)


def failing_tables(n: int = 600) -> Tables:
    """c0 fails on a fifth of the samples, else it is right; c1, which takes four times as long, never fails."""
    rng = np.random.default_rng(3)
    right = np.stack([np.ones(n, bool), rng.random(n) < 0.9], axis=1)
    failed = [(int(row), 0) for row in np.flatnonzero(rng.random(n) < 0.2)]
    right[[row for row, _ in failed], 0] = False
    return without_features(make_tables(right, latency_ms=(1.0, 4.0), failed=failed))


def test_one_alone_is_compared_with_what_its_stand_ins_answer() -> None:
    tables = failing_tables()
    found = auto(tables, max_latency_ms=2.5)
    single = next(one for one in found.record.to_json()["auto"]["policies"] if one["policy"] == SINGLE)
    assert tables.score("top1").mean(axis=0)[0] < 0.83
    assert single["accuracy"] == pytest.approx(served_share(tables), abs=0.005)


def served_share(tables: Tables) -> float:
    """Of c0 with c1 where it fails, by hand."""
    right = tables.score("top1")
    return float(np.where(tables.answered[:, 0], right[:, 0], right[:, 1]).mean())


@pytest.mark.parametrize("policy", ["cascade", "cascade-routing"])
def test_a_cascade_is_estimated_with_what_follows_a_failure(policy: str) -> None:
    tables = failing_tables()
    found = train(tables, TrainOptions(policy, objective=Objective(cost_weight=0.3)))
    assert found.out_of_fold is not None
    served = simulate(found.policy, tables)
    assert served_score(tables, "top1", served).mean() > 0.9
    assert found.out_of_fold.score.mean() == pytest.approx(served_score(tables, "top1", served).mean(), abs=0.01)
    assert found.out_of_fold.latency_ms.mean() == pytest.approx(served.latency_ms.mean(), rel=0.05)
