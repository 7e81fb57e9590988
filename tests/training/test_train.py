"""Training of whole policies on small profiles."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.policies.select import Select
from premodel.runtime.policies.single import Single
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.registry import TRAINERS
from premodel.training.record import Trained
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables, predictable_tables

TABLES = predictable_tables(n=150, m=4)
"""Accuracy rises with latency: 1.25, 2.25, 4.25 and 8.25 ms end to end."""
each_policy = pytest.mark.parametrize("policy", TRAINERS)


def trained(policy: str, floor: str | None = None, tables: Tables = TABLES, **more: Any) -> Trained:
    own = {name: more.pop(name) for name in ("max_latency_ms", "cost_weight") if name in more}
    return train(
        tables, TrainOptions(policy, objective=Objective(Floor.parse(floor) if floor else None, **own), **more)
    )


def select_policy(policy: str, **more: Any) -> Select:
    found = trained(policy, **more).policy
    assert isinstance(found, Select)
    return found


@each_policy
def test_equal_training_is_equal(policy: str) -> None:
    first, second = trained(policy), trained(policy)
    assert first.policy.settings() == second.policy.settings()
    assert first.summary == second.summary
    assert first.record.to_json() == second.record.to_json()
    assert first.policy.arrays().keys() == second.policy.arrays().keys()
    for name, array in first.policy.arrays().items():
        assert np.array_equal(array, second.policy.arrays()[name])


@each_policy
def test_account_and_evidence_are_plain(policy: str) -> None:
    found = trained(policy)
    assert found.summary
    assert all("\n" not in line for line in found.summary)
    assert sum(line.startswith("decides: ") for line in found.summary) == 1
    json.dumps(found.record.to_json(), allow_nan=False)
    json.dumps(found.policy.settings(), allow_nan=False)


@each_policy
@pytest.mark.parametrize("criterion", ["top1", "top5"])
def test_it_serves_every_sample(policy: str, criterion: Any) -> None:
    served = simulate(trained(policy, criterion=criterion).policy, TABLES)
    assert not served.abstained.any()


def test_single_by_the_objective() -> None:
    accuracy = TABLES.correct("top1").mean(axis=0)
    assert np.argmax(accuracy) == 3
    assert trained("single").policy.candidates[0] == "c3"
    assert trained("single", floor="0.01").policy.candidates[0] == "c0"
    assert trained("single", max_latency_ms=4.3).policy.candidates[0] == "c2"
    assert trained("single", cost_weight=10.0).policy.candidates[0] == "c0"
    policy = trained("single", floor="0.01").policy
    assert isinstance(policy, Single)
    assert policy.candidates == ("c0", "c3", "c2", "c1"), "the others stand in by falling accuracy"
    with pytest.raises(OptionError, match="no single candidate meets the objective"):
        trained("single", floor="0.999")


def test_single_tells_of_stand_ins_only_where_there_are_some() -> None:
    assert trained("single").summary[-1].endswith("the others stand in for it if it fails")
    alone = trained("single", tables=TABLES.take_candidates((3,)))
    assert alone.summary[-1] == "decides: nothing; c3 answers every input"


def test_single_tells_what_is_served_where_others_answer_for_it() -> None:
    """c1 is right on 90 of 100 and failed on the other 10; c0, which takes 1 ms, is right on 4 of those."""
    right = np.zeros((100, 2), dtype=bool)
    right[:90, 1], right[90:94, 0] = True, True
    failed = [(row, 1) for row in range(90, 100)]
    tables = make_tables(right, latency_ms=(1.0, 4.0), decode_ms=0.25, failed=failed)
    found = trained("single", tables=tables)
    assert "accuracy 90.00 %" in found.summary[1]
    assert found.summary[2].startswith("served with the others where it fails: accuracy 94.00 % at 4.350 ms")
    assert found.record.to_json()["with_stand_ins"] == {
        "accuracy": pytest.approx(0.94),
        "latency_ms": pytest.approx(4.35),
    }
    assert "with_stand_ins" not in trained("single").record.to_json()


@pytest.mark.parametrize("options", [{"technique": "knn"}, {"labels": "right"}, {"fallback": "c0"}])
def test_single_refuses_what_means_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="policy single has no"):
        trained("single", **options)


def test_paper_is_the_papers() -> None:
    policy = select_policy("paper")
    assert policy.rule == "first-yes"
    assert policy.meaning == "optimum"
    assert policy.threshold == 0.5
    assert policy.selector.kind == "knn"
    assert policy.fallback == "c3", "the user's preference by default: the most accurate candidate"
    assert policy.chain[0] in TABLES.candidates
    found = trained("paper")
    assert any("Algorithm" in line or "model selection" in line for line in found.summary)
    assert found.summary[-1] == f"decides: the first score above 0.5 of {' -> '.join(policy.chain)}; otherwise c3"


def test_paper_options() -> None:
    assert select_policy("paper", fallback="abstain").fallback is None
    assert select_policy("paper", fallback="c1").fallback == "c1"
    assert select_policy("paper", floor="0.01").fallback == "c0"
    assert select_policy("paper", labels="right").meaning == "right"
    assert select_policy("paper", technique="svm.knn").selector.kind == "chain"
    assert select_policy("paper", technique="multi_class").rule == "highest-class"
    assert len(select_policy("paper", features=1).features) == 1
    assert len(select_policy("paper", theta=50.0).chain) == 1
    ceiling = select_policy("paper", max_latency_ms=4.3)
    assert "c3" not in ceiling.candidates
    assert (simulate(ceiling, TABLES).latency_ms < 4.3 + 1).all()


def test_select_meets_its_objective_in_cross_validation_or_says_not() -> None:
    best = TABLES.correct("top1").mean(axis=0).max()
    found = trained("select", floor="best-5pt")
    point = found.record.to_json()["operating_point"]
    assert point["met"]
    assert point["accuracy"] >= best - 0.05 - 1e-12
    assert point["latency_ms"] < TABLES.end_to_end_ms()[3]
    ceiling = trained("select", max_latency_ms=5.0).record.to_json()["operating_point"]
    assert ceiling["met"]
    assert ceiling["latency_ms"] <= 5.0
    missed = trained("select", floor="0.999")
    assert not missed.record.to_json()["operating_point"]["met"]
    assert any("does NOT meet the objective" in line for line in missed.summary)
    given = trained("select", cost_weight=0.07)
    assert given.record.to_json()["operating_point"]["cost_weight"] == 0.07


def test_select_costs_less_with_a_higher_weight() -> None:
    mean_ms = [simulate(select_policy("select", cost_weight=w), TABLES).latency_ms.mean() for w in (0.0, 0.05, 1.0)]
    assert mean_ms[0] > mean_ms[1] > mean_ms[2]


def test_select_with_a_fallback_asks_for_a_yes() -> None:
    assert select_policy("select").threshold < 0
    assert select_policy("select", fallback="abstain").threshold == 0.5
    hopeless = make_tables(np.zeros((60, 3)), seed=1)
    served = simulate(trained("select", fallback="abstain", tables=hopeless, floor="0").policy, hopeless)
    assert served.abstained.all()


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("guess", {}, "unknown policy; given: guess; allowed: "),
        ("paper", {"cost_weight": 0.1}, "policy paper has no cost-weight"),
        ("paper", {"fallback": "nobody"}, "unknown fallback; given: nobody; allowed: c0, c1, c2, c3, abstain"),
        ("paper", {"technique": "guess"}, "unknown technique"),
        ("paper", {"labels": "guess"}, "unknown label scheme"),
        ("paper", {"features": 0}, "wrong number of features"),
        ("paper", {"theta": -1.0}, "theta"),
        ("paper", {"max_latency_ms": 0.1}, "no candidate keeps max-latency-ms.*cheapest candidate is c0"),
        ("paper", {"technique": "multi_class", "labels": "right"}, "multi_class"),
        ("select", {"technique": "multi_class"}, "use --policy paper"),
        ("select", {"fallback": "nobody"}, "unknown fallback"),
        ("single", {"criterion": "top3"}, "unknown criterion"),
    ],
)
def test_mistakes_are_named(policy: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        trained(policy, **options)


def test_too_few_samples_are_an_error() -> None:
    for policy, enough in (("paper", 10), ("select", 7), ("single", 1)):
        for n in (0, 1, enough - 1):
            if n < enough:
                with pytest.raises(OptionError) as caught:
                    trained(policy, tables=TABLES.take(np.arange(n)))
                assert "\n" not in str(caught.value)
        tables = TABLES.take(np.arange(enough))
        assert len(simulate(trained(policy, tables=tables).policy, tables).source) == enough


def test_an_invalid_latency_is_said() -> None:
    doubtful = [replace(TABLES.timings[0], valid=False, reason="3 runs, 30 needed"), *TABLES.timings[1:]]
    tables = replace(TABLES, timings=tuple(doubtful), conditions={"decode_valid": False})
    for policy in TRAINERS:
        lines = trained(policy, tables=tables).summary[-2:]
        assert lines == ("latency of c0 is INVALID: 3 runs, 30 needed", "latency of decode is INVALID")
