"""One candidate fails on half of the inputs and others answer there: every command counts it alike.

By hand: c0 (1 ms, decode 0.25 ms) answers 50 of 100 inputs, each right, and fails on the other 50. c1 (4 ms) is right
on 40 inputs, 20 of which are among those 50. So c0 alone is right on 50 % in 1.25 ms; with c1 where it fails
(50 + 20) / 100 = 70 % are right, in 0.25 + 1 + 0.5 * 4 = 3.25 ms. A cascade cannot do better than that: where c0
answers it is right.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from c_programs import write_policy
from premodel.evaluation.diagnosis import format_diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.final_test import final_test, train_and_test
from premodel.evaluation.reachable import PLAIN
from premodel.evaluation.stand_ins import served_alone, serves_one
from premodel.evaluation.update import update
from premodel.runtime.bundle import read_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training import simulate
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from premodel.training.train import train
from premodel.verdict import SERVES_ONE
from profiles import make_tables

ACCURACY, LATENCY_MS = 0.7, 3.25


def half_failing(n: int = 100) -> Tables:
    """As above, once for every hundred."""
    row = np.arange(n)
    failed = row % 2 == 1
    tables = make_tables(
        np.stack([~failed, row % 5 < 2], axis=1),
        latency_ms=[1.0, 4.0],
        decode_ms=0.25,
        failed=[(int(one), 0) for one in np.flatnonzero(failed)],
    )
    return dataclasses.replace(tables, features=np.zeros((n, 0), np.float32), feature_names=())


@pytest.fixture(autouse=True)
def decisions_that_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else `evaluate` would add what they took just now."""
    monkeypatch.setattr(simulate, "_select_ms", lambda *_: 0.0)


def test_by_hand() -> None:
    found = served_alone(half_failing(), "top1", 0)
    assert found is not None
    assert found.score.sum() == 70
    assert sorted(np.unique(found.latency_ms)) == [1.25, 5.25]
    assert (found.figures.accuracy, found.figures.latency_ms) == pytest.approx((ACCURACY, LATENCY_MS))


def test_one_that_never_fails_serves_what_it_answers() -> None:
    assert served_alone(half_failing(), "top1", 1) is None


def test_train_doctor_and_evaluate_state_the_same() -> None:
    tables = half_failing()
    alone = train(tables, TrainOptions("single")).record.to_json()["with_stand_ins"]
    assert alone == pytest.approx({"accuracy": ACCURACY, "latency_ms": LATENCY_MS})
    auto = train(tables, TrainOptions("auto")).record.to_json()["auto"]["policies"]
    entrant = next(one for one in auto if one["policy"] == "single")
    assert (entrant["accuracy"], entrant["latency_ms"]) == pytest.approx((ACCURACY, LATENCY_MS))
    found = diagnose(tables)
    assert found.stood_in is not None
    assert (found.stood_in.accuracy, found.stood_in.latency_ms) == pytest.approx((ACCURACY, LATENCY_MS))
    rows = evaluate(tables, {"one": TrainOptions("single")}, folds=5).rows
    (row,) = (one for one in rows if one.kind == "premodel")
    assert (row.accuracy, row.latency_ms) == pytest.approx((ACCURACY, LATENCY_MS))


def test_doctor_advises_no_policy_that_the_stand_ins_match() -> None:
    """A cascade with a cost weight of 0 runs both on every input, and gains 15 points to c0 alone, none to this."""
    found = diagnose(half_failing(400))
    text = "\n".join(format_diagnosis(found))
    assert (found.policy, found.use) == ("single", "c0")
    assert re.match(
        r"use policy single, c0 with the others where it fails \(70\.0 % at 3\.25 ms\): \+20\.0 points "
        r"\[\+1\d\.\d, \+2\d\.\d\] to c0 alone \(50\.0 % at 1\.25 ms\); no policy is shown to be better than that\. ",
        found.advice,
    )
    assert "best single candidate c0: 50.0 % at 1.25 ms, end to end; with the others where it fails 70.0 %" in text
    assert found.to_json()["stood_in"]["latency_ms"] == pytest.approx(LATENCY_MS)


def test_doctor_calls_it_worth_it_where_stand_ins_gain_and_not_where_they_do_not() -> None:
    """Every candidate takes less than the engine with its decisions would cost beside it."""
    quick = dataclasses.replace(half_failing(400), latency_ms=np.array([0.1, 0.4]), decode_ms=0.01)
    found = diagnose(quick)
    assert found.doubts == ()
    assert found.advice.startswith("use policy single, c0 with the others where it fails (70.0 % at 0.31 ms): +20.0")
    never_fails = make_tables(
        np.stack([np.arange(400) % 2 == 0, np.arange(400) % 5 < 2], axis=1), latency_ms=[0.1, 0.4], decode_ms=0.01
    )
    (doubt,) = diagnose(never_fails).doubts
    assert doubt.startswith("premodel is hardly worth it here")


def test_train_points_to_no_policy_that_the_stand_ins_match() -> None:
    trained, test = train_and_test(half_failing(400), TrainOptions())
    assert test is None
    assert not any(line.startswith("for the highest accuracy") for line in trained.summary)


def test_the_final_test_compares_with_the_stand_ins_too() -> None:
    tables = half_failing(400)
    options = TrainOptions("cascade-routing", objective=Objective(cost_weight=0.0))
    test = final_test(tables, options, train(tables, options))
    assert test.verdict.accuracy == "higher"
    assert test.stood_in is not None
    assert test.stood_in.verdict is not None
    assert (test.stood_in.accuracy, test.stood_in.latency_ms) == pytest.approx((ACCURACY, LATENCY_MS))
    assert test.stood_in.verdict.gain == pytest.approx(test.verdict.gain - 20)
    assert any("than c0 with its stand-ins (70.0 % at 3.25 ms)" in line for line in test.lines())


def test_an_update_counts_what_stands_in_and_the_engine_for_both(tmp_path: Path) -> None:
    tables = dataclasses.replace(half_failing(), conditions={"device": "test", "engine_ms": 0.5})
    policy = Single(("c0", "c1"), (0.5, 0.4), Costs((1.0, 4.0), 0.25))
    read = read_bundle(write_policy(tmp_path / "old.premodel", policy, tables))
    old = dataclasses.replace(
        read, training_record={"policy": "single", "seed": 0, "training": {}}, objective={"min_accuracy": "best"}
    )
    found = update(old, tables, TrainOptions("single"))
    assert (found.old_accuracy, found.new_accuracy) == pytest.approx((ACCURACY, ACCURACY))
    assert (found.old_ms, found.new_ms) == pytest.approx((LATENCY_MS + 0.5, LATENCY_MS + 0.5))


def test_evaluate_finds_no_choice_per_input_where_others_only_stand_in() -> None:
    tables = half_failing()
    found = evaluate(tables, {"one": TrainOptions("single"), "auto": TrainOptions("auto")}, folds=5)
    assert found.headline.count(SERVES_ONE) == 2
    assert "The choice per input" not in found.headline
    (one, _) = (row for row in found.rows if row.kind == "premodel")
    assert one.comparison is not None
    assert (one.comparison.choice, one.chooses, one.share["c1"]) == (None, False, 0.5)


def test_the_final_test_and_doctor_find_none_in_a_cascade_of_one_candidate() -> None:
    """By hand: c0 and c1 are right on the same 80 of 100 inputs, c1 takes four times as long: only c0 ever runs."""
    right = np.repeat((np.arange(100) % 5 > 0)[:, None], 2, axis=1)
    tables = make_tables(right, latency_ms=[1.0, 4.0])
    options = TrainOptions("cascade", objective=Objective(cost_weight=1.0))
    text = "\n".join(final_test(tables, options, train(tables, options)).lines())
    assert SERVES_ONE in text
    assert "The choice per input" not in text
    plain = next(one.no_loss for one in diagnose(tables).reachable if one.policy == PLAIN)
    assert (plain.mix_gain, plain.mix_ci) == (None, None)
    assert SERVES_ONE in str(plain)


def test_what_runs_two_candidates_chooses() -> None:
    tables = half_failing()
    every = tables.decode_ms + tables.latency()
    score = tables.score("top1")
    assert serves_one(tables, "top1", score[:, 1], every[:, 1] + 0.1)
    half = np.arange(100) < 50
    assert not serves_one(tables, "top1", np.where(half, score[:, 1], score[:, 0]), every[:, 1])
    assert not serves_one(tables, "top1", score[:, 1], np.where(half, every[:, 0], every[:, 1]))
    parts = [np.flatnonzero(half), np.flatnonzero(~half)]
    assert serves_one(tables, "top1", score[:, 1], every[:, 1] + np.where(half, 0.1, 0.2), parts)
