"""Siblings beside the best original: what compression gives, what choosing adds, and when it adds little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from premodel.evaluation.cross_validation import cross_validate, premodel_method
from premodel.evaluation.diagnosis import format_diagnosis
from premodel.evaluation.doctor import diagnose, not_worth
from premodel.evaluation.final_test import train_and_test
from premodel.evaluation.originals import beside_original, best_original, sibling_alone, siblings_of
from premodel.evaluation.rows import Singles
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from profiles import make_tables
from telling import telling_tables


def zoo(n: int = 400) -> Tables:
    """A small and a large original, an int8 sibling of the large one that is as accurate at half the time."""
    rng = np.random.default_rng(0)
    hard = rng.random(n)
    correct = np.stack([hard < 0.7, hard < 0.9, hard < 0.9], axis=1)
    tables = telling_tables(correct, latency_ms=(1.0, 20.0, 9.0))
    tables = replace(tables, candidates=("small", "large", "large-int8"))
    return replace(tables, conditions={**tables.conditions, "siblings": {"large-int8": "int8"}})


def test_without_siblings_nothing_is_said() -> None:
    plain = replace(zoo(), conditions={"device": "test"})
    assert siblings_of(plain) == {}
    assert beside_original(Singles.of(plain, "top1"), siblings_of(plain), {}) == ()
    everything = replace(zoo(), conditions={"siblings": dict.fromkeys(zoo().candidates, "int8")})
    assert siblings_of(everything) == {}


def test_the_best_original_is_no_sibling() -> None:
    tables = zoo()
    singles = Singles.of(tables, "top1")
    assert tables.candidates[singles.best] == "large-int8"
    assert tables.candidates[best_original(singles, siblings_of(tables))] == "large"
    alone = sibling_alone(singles, siblings_of(tables))
    assert alone is not None
    assert (alone.name, alone.kind, alone.original) == ("large-int8", "int8", "large")
    assert alone.verdict.outcome == "better"
    assert round(alone.verdict.speedup, 2) == round(20.25 / 9.25, 2)


def test_a_sibling_that_loses_accuracy_is_not_called_the_one_that_does_it() -> None:
    tables = zoo()
    rank, labels = tables.rank.copy(), tables.top_labels.copy()
    rank[:200, 2] = 5
    labels[:200, 2, 0] = (tables.truth[:200] + 1) % len(tables.label_names)
    worse = replace(tables, rank=rank, top_labels=labels)
    alone = sibling_alone(Singles.of(worse, "top1"), siblings_of(worse))
    assert alone is not None
    assert alone.verdict.accuracy == "lower"


def test_compression_and_choosing_are_told_separately() -> None:
    tables = zoo()
    outcomes = cross_validate(
        tables, [premodel_method("routing", TrainOptions("cascade-routing"))], criterion="top1", folds=4
    )
    (one,) = outcomes
    served = {"routing": (one.score, float(one.latency_ms.mean()))}
    alone, whole, beyond = beside_original(Singles.of(tables, "top1"), siblings_of(tables), served)
    assert alone.startswith("large-int8 alone (int8): 2.19x faster than the best original large (")
    assert whole.startswith("routing: ")
    assert "faster than the best original large (" in whole
    assert beyond.startswith("  beyond large-int8 alone: ")
    assert "than large-int8 (" in beyond


def test_doctor_says_when_one_sibling_alone_does_it() -> None:
    tables = zoo()
    flat = replace(tables, top_probabilities=np.full_like(tables.top_probabilities, 1 / 12))
    found = diagnose(flat)
    assert any(line.startswith("int8 alone does it: large-int8 is 2.19x faster than the best original") for line in
               found.doubts)  # fmt: skip
    assert format_diagnosis(found)[0] == found.doubts[0], "what is not worth it stands first"
    chosen = diagnose(tables)
    assert not any("does it" in line for line in chosen.doubts), "choosing is twice as fast again"
    assert chosen.originals[0].startswith("large-int8 alone (int8): 2.19x faster than the best original large (87.5 %")
    policy = chosen.reachable[0]
    assert set(policy.no_loss.beside) == {"large", "large-int8"}
    whole = next(line for line in chosen.originals if line.startswith(f"{policy.policy}: "))
    assert f"{policy.no_loss.beside['large'].speedup:.2f}x faster than the best original large (" in whole
    printed = format_diagnosis(chosen)
    assert printed[printed.index("for no loss, against the best original") + 1] == f"  {chosen.originals[0]}"
    written = chosen.to_json()["reachable"][0]["no_loss"]["beside"]["large"]
    assert written["speedup"] == policy.no_loss.beside["large"].speedup


def test_the_final_test_names_the_best_original_too() -> None:
    tables = zoo()
    _, found = train_and_test(tables, TrainOptions("cascade-routing"))
    assert found is not None
    _, best, original, alone = found.lines()[:4]
    assert "than the best single candidate large-int8 (" in best
    assert "than the best original large (87.5 % at 20.25 ms)" in original
    assert alone.startswith("  large-int8 alone (int8): 2.19x faster than the best original large (")
    assert found.to_json()["alone"]["name"] == "large-int8"


def test_doctor_says_that_networks_below_a_millisecond_leave_little_to_win() -> None:
    rng = np.random.default_rng(0)
    tables = make_tables(rng.random((100, 2)) < [0.6, 0.9], latency_ms=[0.1, 0.3])
    (line,) = not_worth(tables, Singles.of(tables, "top1"), "single", ())
    assert line.startswith("premodel is hardly worth it here: c1 alone answers in 0.55 ms")
    measured = replace(tables, conditions={"engine_ms": 0.04})
    assert "costs about 0.16 ms of every answer" in not_worth(measured, Singles.of(measured, "top1"), "single", ())[0]
    slow = make_tables(rng.random((100, 2)) < [0.6, 0.9], latency_ms=[1, 3])
    assert not_worth(slow, Singles.of(slow, "top1"), "single", ()) == ()


def test_with_a_single_candidate_doctor_proposes_siblings() -> None:
    found = diagnose(make_tables(np.random.default_rng(0).random((80, 1)) < 0.7))
    assert "premodel zoo expand makes cheaper siblings of it" in found.advice
