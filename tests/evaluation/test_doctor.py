from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation import doctor
from premodel.evaluation.complementarity import better_views, complementary_pairs, dominated_candidates
from premodel.evaluation.diagnosis import Diagnosis, format_diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.reachable import PLAIN, Reachable, Reached
from premodel.evaluation.rows import Singles
from premodel.evaluation.signal import confidence_signals, feature_signals
from premodel.records import Timing
from premodel.training.folds import stratified_subsample
from premodel.training.tables import Tables
from profiles import make_tables


def sure_where_right(tables: Tables, right_at: float = 0.95, wrong_at: float = 0.4) -> Tables:
    """The same tables with a confidence that tells."""
    correct = tables.correct("top1")
    rng = np.random.default_rng(1)
    top = np.where(correct, right_at, wrong_at) + 0.04 * rng.random(correct.shape)
    rest = (1 - top)[:, :, None] * np.full(tables.top_labels.shape[2] - 1, 1 / (tables.top_labels.shape[2] - 1))
    return replace(tables, top_probabilities=np.concatenate([top[:, :, None], rest], axis=2).astype(np.float32))


def drawn(n: int, shares: list[float], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, len(shares))) < np.asarray(shares)


def test_a_perfectly_complementary_pair() -> None:
    first = np.arange(60) < 36
    tables = make_tables(np.stack([~first, first, np.zeros(60, bool)], axis=1))
    pair = complementary_pairs(tables, tables.correct("top1"), 0)[0]
    assert pair.names == ("c1", "c0")  # the more accurate first
    assert (pair.double_fault, pair.only_first, pair.only_second) == (0.0, 0.6, 0.4)
    assert pair.union_gain == pytest.approx(40)
    assert 20 < pair.union_gain_ci[0] < 40 < pair.union_gain_ci[1] < 60


def test_a_dominated_candidate_and_one_that_is_only_slower() -> None:
    # c0 right on 70, c1 (slower) on 40 of these, c2 (slower still) on 70, one of which nobody else has
    right = np.zeros((100, 3), bool)
    right[:70, 0] = True
    right[:40, 1] = True
    right[1:70, 2] = True
    right[99, 2] = True
    tables = make_tables(right, latency_ms=[1, 2, 4])
    found = {one.name: one for one in dominated_candidates(tables, right, 0)}
    assert set(found) == {"c1", "c2"}
    assert found["c1"].by == found["c2"].by == "c0"
    assert found["c1"].shown
    assert found["c1"].gain == pytest.approx(30)
    assert found["c1"].alone_right == 0
    assert not found["c2"].shown
    assert found["c2"].gain == 0
    assert found["c2"].alone_right == 0.01


def test_the_best_of_many_rivals_must_be_surer_than_one() -> None:
    # c0 is right on 24 where c5 is not, c5 on 10: enough where c0 is the only rival, not for the best of five
    right = np.zeros((200, 6), bool)
    right[:100, 5] = True
    right[10:124, 0] = True
    tables = make_tables(right, latency_ms=[1, 1.2, 1.4, 1.6, 1.8, 4])
    alone = tables.take_candidates([0, 5])
    (of_one,) = dominated_candidates(alone, right[:, [0, 5]], 0)
    of_five = dominated_candidates(tables, right, 0)[-1]
    assert (of_one.name, of_one.by, of_one.shown) == ("c5", "c0", True)
    assert (of_five.name, of_five.by, of_five.shown) == ("c5", "c0", False)
    assert of_five.gain == of_one.gain


def test_dominated_is_said_of_a_run_alone_with_latencies_end_to_end() -> None:
    right = np.zeros((100, 2), bool)
    right[:70, 0], right[:40, 1] = True, True
    found = diagnose(make_tables(right, latency_ms=[1, 2], decode_ms=0.5))
    text = "\n".join(format_diagnosis(found))
    assert "dominated where each is run alone, end to end; a cascade may still gain by fusing their answers" in text
    assert "c1 (2.50 ms): slower and less accurate than c0 (1.50 ms" in text
    assert (found.dominated[0].latency_ms, found.dominated[0].by_latency_ms) == (2.0, 1.0)  # in JSON without decode


def test_timings_that_overlap_dominate_nobody() -> None:
    right = np.zeros((100, 2), bool)
    right[:70, 0], right[:40, 1] = True, True
    tables = make_tables(right, latency_ms=[1, 1.1])
    wide = [Timing(30, t, t, t, t, t - 0.2, t + 0.2, True) for t in (1.0, 1.1)]
    assert dominated_candidates(replace(tables, timings=tuple(wide)), right, 0) == []


def test_a_better_view_of_the_same_network() -> None:
    right = np.zeros((200, 3), bool)
    right[:100, 0], right[:120, 1], right[:150, 2] = True, True, True
    tables = replace(make_tables(right, latency_ms=[1, 1.01, 1]), networks=("a", "a", "b"))
    (found,) = better_views(tables, right, 0)
    assert (found.name, found.view) == ("c0", "c1")
    assert found.gain == pytest.approx(10)
    dearer = replace(tables, latency_ms=np.array([1.0, 1.2, 1.0]))
    assert better_views(dearer, right, 0) == []


def test_confidence_that_tells_and_confidence_that_does_not() -> None:
    blind = make_tables(drawn(300, [0.5, 0.7]))
    telling = sure_where_right(blind)
    assert [round(one.auc, 3) for one in confidence_signals(telling, "top1", 0)] == [1.0, 1.0]
    assert all(one.informative for one in confidence_signals(telling, "top1", 0))
    for one in confidence_signals(telling, "top1", 0):
        assert one.control[0] < 0.5 < one.control[1]


def test_features_that_tell_and_features_that_do_not() -> None:
    right = drawn(300, [0.5, 0.7])
    noise = np.random.default_rng(3).normal(size=(300, 3))
    about_first = noise.copy()
    about_first[:, 1] += 3 * right[:, 0]
    first, second = feature_signals(make_tables(right, features=about_first), "top1", 0)
    assert first.informative
    assert first.auc > 0.9
    assert second.auc < 0.65
    assert not any(one.informative for one in feature_signals(make_tables(right, features=noise), "top1", 0))
    without = replace(make_tables(right), features=np.zeros((300, 0), np.float32), feature_names=())
    assert feature_signals(without, "top1", 0) == []


def test_many_candidates_find_no_more_by_chance() -> None:
    tables = make_tables(drawn(100, [0.7] * 40))
    signals = [*feature_signals(tables, "top1", 0), *confidence_signals(tables, "top1", 0)]
    assert not any(one.informative for one in signals)
    assert {one.permutations for one in signals} == {199}
    for one in signals:
        assert one.control[0] < 0.5 < one.control[1]


def test_the_area_where_features_tell_is_that_of_a_logistic_score() -> None:
    right = drawn(400, [0.5, 0.8])
    features = np.random.default_rng(3).normal(size=(400, 3)) + right[:, [0]]
    # three features shifted by 1: a score sum / sqrt(3) shifted by sqrt(3), so the area is Phi(sqrt(3 / 2))
    first, second = feature_signals(make_tables(right, features=features), "top1", 0)
    assert first.auc == pytest.approx(0.890, abs=0.025)
    assert first.informative
    assert not second.informative


def test_always_right_says_nothing() -> None:
    right = drawn(100, [0.5, 0.5])
    right[:, 1] = True
    signal = confidence_signals(make_tables(right), "top1", 0)[1]
    assert np.isnan(signal.auc)
    assert not signal.informative
    assert "always or never" in str(signal)
    (alone,) = confidence_signals(make_tables(right[:, 1:]), "top1", 0)
    assert np.isnan(alone.auc)
    assert not alone.informative


@pytest.fixture(scope="module")
def won() -> Diagnosis:
    """A cheap candidate that is sure exactly when it is right, and a dear one that is right nearly always."""
    return diagnose(sure_where_right(make_tables(drawn(600, [0.7, 0.95]), latency_ms=[1, 10])), seed=0)


def test_a_cascade_is_advised_where_confidence_tells(won: Diagnosis) -> None:
    assert won.policy != "single"
    assert won.use is None
    assert won.advice.startswith("use ")
    assert won.reachable[0].no_loss.speedup_ci[0] > 1.5
    assert won.sample_size is not None
    assert won.sample_size.samples == 600
    assert won.sample_size.needed == pytest.approx(600 * won.sample_size.width**2, abs=1)
    assert won.sample_size.suffice == (won.sample_size.needed <= 600)


def test_one_alone_is_advised_where_nothing_tells() -> None:
    found = diagnose(make_tables(drawn(200, [0.5, 0.95]), latency_ms=[9, 10]), seed=0)
    assert found.policy == "single"
    assert found.use == "c1"
    assert found.advice.startswith("use c1 alone")


def reached(speedup: float, *, gain: float = 0.0, mix: float = 1.0) -> Reached:
    """Intervals of 0.02 and 0.2 points to either side."""
    around = (gain - 0.2, gain + 0.2), (mix - 0.2, mix + 0.2)
    return Reached("p", 600, 0.9, 1.0, speedup, (speedup - 0.02, speedup + 0.02), gain, around[0], mix, around[1])


def test_what_no_option_trains_is_shown_and_not_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = make_tables(drawn(100, [0.5, 0.9]))
    routing, plain = "cascade-routing", Reachable(PLAIN, reached(1.5), None)
    monkeypatch.setattr(
        doctor, "reachable", lambda *_, **__: [Reachable(routing, reached(1.2), reached(1), packaged=True), plain]
    )
    both = diagnose(tables)
    assert both.policy == routing
    assert f"The baseline {PLAIN} is faster: 1.50x faster" in both.advice
    assert f"  baseline {PLAIN}, fitted for no loss: 1.50x" in "\n".join(format_diagnosis(both))
    lost = Reachable(routing, reached(0.9), reached(0.9, gain=-1))
    monkeypatch.setattr(doctor, "reachable", lambda *_, **__: [lost, plain])
    only_plain = diagnose(tables)
    assert (only_plain.policy, only_plain.use) == ("single", "c1")
    assert "The nearest is cascade-routing" in only_plain.advice
    assert f"The baseline {PLAIN} is faster: 1.50x faster" in only_plain.advice
    slower = Reachable(PLAIN, reached(1.1), None)
    monkeypatch.setattr(
        doctor, "reachable", lambda *_, **__: [Reachable(routing, reached(1.2), None, packaged=True), slower]
    )
    assert PLAIN not in diagnose(tables).advice


def test_two_experts_of_equal_cost_are_not_replaced_by_one_alone() -> None:
    """Each is right and sure on one half, and no policy is faster or as fast: accuracy has its price, and pays."""
    first = np.arange(400) % 2 == 0
    right = np.stack([first, ~first], axis=1)
    found = diagnose(sure_where_right(make_tables(right, latency_ms=[4, 4], decode_ms=0)))
    assert found.policy == "cascade-routing"
    assert found.use is None
    assert found.reachable[0].most_accurate is not None
    assert found.reachable[0].most_accurate.accuracy > 0.95
    assert found.advice.startswith("for the highest accuracy use policy cascade-routing with --cost-weight 0: ")
    assert "slower than the best single candidate c0 (50.0 % at 4.00 ms), accuracy higher (+" in found.advice
    assert "For the lowest latency" in found.advice


def test_a_subsample_for_signals_changes_neither_the_best_candidate_nor_what_is_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = sure_where_right(make_tables(drawn(600, [0.80, 0.80], 5), latency_ms=[1, 10], decode_ms=0))
    monkeypatch.setattr(doctor, "MAX_SAMPLES", 100)
    correct = tables.correct("top1")
    best = Singles.of(tables, "top1").best
    seed = next(
        seed
        for seed in range(100)
        if Singles.of(tables.take(stratified_subsample(tables.truth, correct.sum(1), 100, seed)), "top1").best != best
    )
    found = diagnose(tables, seed=seed)
    assert (found.best, found.used) == (f"c{best}", 100)
    for one in found.reachable:
        assert one.no_loss.samples == 600
        assert one.no_loss.speedup == pytest.approx(tables.latency_ms[best] / one.no_loss.latency_ms)
        gain = 100 * (one.no_loss.accuracy - correct[:, best].mean())
        assert one.no_loss.gain == pytest.approx(gain)


def test_a_single_candidate_has_no_rival() -> None:
    found = diagnose(make_tables(drawn(100, [0.5])))
    assert found.advice.startswith("use c0 alone")
    assert "nothing to select; premodel zoo expand" in found.advice
    text = "\n".join(format_diagnosis(found))
    assert "1 candidate," in text
    for absent in ("oracle", "nobody", "cross-validation", "all candidates"):
        assert absent not in text
    assert found.reachable == ()
    assert found.sample_size is None
    assert format_diagnosis(found)[0] == found.advice


def test_the_oracle_gap() -> None:
    right = np.zeros((100, 2), bool)
    right[:60, 0], right[20:100, 1] = True, True  # 60 %, 80 %, union 100 %
    found = diagnose(make_tables(right, latency_ms=[1, 3], decode_ms=1))
    assert found.best == "c1"
    assert found.oracle.union == 1.0
    assert found.oracle.gain == pytest.approx(20)
    assert found.oracle.latency_ms == pytest.approx(0.6 * 2 + 0.4 * 4)
    assert found.oracle.speedup == pytest.approx(4 / 2.8)
    assert found.oracle.speedup_ci[0] < 4 / 2.8 < found.oracle.speedup_ci[1]


def test_json_and_text(won: Diagnosis) -> None:
    data = json.loads(json.dumps(won.to_json(), allow_nan=False))
    keys = {
        "advice", "policy", "use", "criterion", "samples", "used", "best", "candidates", "oracle", "pairs", "dominated",
        "better_views", "reachable", "sample_size", "invalid", "conditions", "memory", "warnings", "doubts",
        "originals", "stood_in",
    }  # fmt: skip
    assert set(data) == keys
    assert set(data["reachable"][0]) == {"policy", "no_loss", "equal_time", "most_accurate", "packaged"}
    assert {"speedup", "speedup_ci", "gain", "gain_ci", "mix_gain", "mix_ci"} <= set(data["reachable"][0]["no_loss"])
    lines = format_diagnosis(won)
    assert lines[0] == won.advice
    text = "\n".join(lines)
    for word in ("oracle", "random mix", "own confidence", "image features", "samples", "95 % of 199 permutations"):
        assert word in text


def test_invalid_timings_are_named() -> None:
    tables = sure_where_right(make_tables(drawn(200, [0.7, 0.95]), latency_ms=[1, 10]))
    bad = replace(tables.timings[1], valid=False, reason="too noisy")
    found = diagnose(replace(tables, timings=(tables.timings[0], bad), conditions={"decode_valid": False}))
    assert found.invalid == ("c1: too noisy", "decode")
    assert found.advice.endswith(
        " The latencies rest on INVALID timings (c1, decode): measure them again with premodel profile --retime "
        "on an idle machine; on one that is as busy as before the verdict will be the same."
    )
    assert "INVALID timing of c1: too noisy" in format_diagnosis(found)
    busy = replace(found, conditions={**found.conditions, "other_cores": 1.0})
    assert sum("--retime" in line for line in format_diagnosis(busy)) == 1, "the advice is said once"
    (line,) = [one for one in format_diagnosis(replace(busy, invalid=(), advice="")) if "--retime" in one]
    assert line.startswith("other programs kept 1.0 cores busy")


def test_too_few_samples_and_a_criterion_that_is_always_met() -> None:
    with pytest.raises(OptionError, match="too few samples"):
        diagnose(make_tables(drawn(49, [0.5, 0.5])))
    with pytest.raises(OptionError, match="top5 is always met"):
        diagnose(make_tables(drawn(60, [0.5, 0.5]), n_labels=4), "top5")
