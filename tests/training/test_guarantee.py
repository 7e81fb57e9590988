from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.policies.base import CallOptions
from premodel.training.guarantee import (
    GuaranteeError,
    Measured,
    _too_few,
    certified,
    state_guarantee,
    train_guaranteed,
    weights_to_test,
)
from premodel.training.guarantee import (
    Tested as Judged,  # pytest takes what begins with Test for tests
)
from premodel.training.non_inferiority import least_samples
from premodel.training.objective import Floor, Objective
from premodel.training.options import Guarantee, TrainOptions
from premodel.training.policies.registry import TRAINERS
from premodel.training.record import Trained, plain
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import check_options, train
from premodel.training.trainer import Trainer
from profiles import make_tables

RESAMPLES = 200


def won(n: int, seed: int = 0) -> Tables:
    """A cheap candidate that is sure exactly when it is right, and a dear one that is right nearly always."""
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


def points(losses: list[int], gains: list[int]) -> list[Measured]:
    return [Measured(float(weight), *counts, 1.0) for weight, counts in enumerate(zip(losses, gains, strict=True))]


def test_testing_stops_at_the_first_that_fails() -> None:
    asked = Guarantee.parse("loss<=1pt@95%")
    for losses, passed, tested in (([0, 100, 0], 1, 2), ([100, 0], 0, 1), ([0, 0, 0], 3, 3)):
        count, seen = certified(points(losses, [0] * len(losses)), 1000, asked)
        assert (count, len(seen)) == (passed, tested)
        assert [one.p <= asked.delta for one in seen] == [number < passed for number in range(tested)]


def test_no_point_is_served_after_one_that_fails() -> None:
    def serving() -> Iterator[Measured]:
        yield from points([100], [0])
        raise AssertionError("asked for more")

    assert certified(serving(), 1000, Guarantee.parse("loss<=1pt@95%"))[0] == 0


def resampled(true_loss: np.ndarray, n: int, epsilon: float, differ: float, seed: int) -> tuple[float, float]:
    """Share of 200 calibration sets with the promise kept, and with any point certified."""
    rng = np.random.default_rng(seed)
    kept = given = 0
    for _ in range(RESAMPLES):
        # One uniform number per sample serves all points, as one calibration set does.
        drawn = rng.random(n)[:, None]
        losses = (drawn < (differ + true_loss) / 2).sum(axis=0)
        gains = (drawn > 1 - (differ - true_loss) / 2).sum(axis=0)
        count, _ = certified(points(losses.tolist(), gains.tolist()), n, Guarantee(epsilon, 0.05, ""))
        given += count > 0
        kept += count == 0 or true_loss[count - 1] <= epsilon
    return kept / RESAMPLES, given / RESAMPLES


def test_the_guarantee_is_kept_in_resamples_with_a_known_truth() -> None:
    """Losses that rise along the points, through what is allowed: kept in at least 95 % of 200 resamples."""
    true_loss = np.linspace(-0.04, 0.12, 9)
    kept, given = resampled(true_loss, 300, 0.05, 0.15, seed=1)
    assert kept >= 0.95
    assert given > 0.5  # and it is not kept by never giving any


def test_a_loss_just_above_what_is_allowed_is_hardly_ever_certified() -> None:
    kept, given = resampled(np.full(5, 0.0501), 300, 0.05, 0.12, seed=2)
    assert kept >= 0.95
    assert given <= 0.05


def test_the_grid_begins_at_the_safest_point() -> None:
    grid = weights_to_test(10.0)
    assert grid[0] == 0
    assert (np.diff(grid) > 0).all()


@pytest.fixture(scope="module")
def tables() -> Tables:
    return won(1200)


def test_a_guaranteed_premodel(tables: Tables) -> None:
    options = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=2pt@90%"))
    trained = train(tables, options)
    promised = trained.record.to_json()["guarantee"]
    assert promised["reference"] == "c1"
    assert promised["calibration_samples"] == promised["fitted_samples"] == 600
    assert (promised["epsilon"], promised["delta"]) == (pytest.approx(0.02), pytest.approx(0.1))
    assert "exchangeable" in promised["caveat"]
    passed = [point for point in promised["tested"] if point["p"] <= promised["delta"]]
    assert promised["cost_weight"] == passed[-1]["cost_weight"]
    json.dumps(plain(trained.record.to_json()), allow_nan=False)
    assert any("at most 2 points of accuracy below c1" in line for line in trained.summary)
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
    for weight in weights_to_test(10.0)[::9]:
        called = simulate(trained, small, CallOptions(cost_weight=float(weight)))
        assert simulate(trained.at_cost_weight(float(weight)), small).same_decisions(called).all()


def test_training_decides_by_what_is_tested_here(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=2pt@90%"))
    monkeypatch.setattr("premodel.training.guarantee.certified", lambda points, n, asked: (0, [Judged(0, 9, 0, 1, 1)]))
    with pytest.raises(GuaranteeError, match="cannot be given"):
        train(tables, options)


def test_too_few_samples_say_how_many_would_do() -> None:
    options = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=0.1pt@99.9%"))
    with pytest.raises(GuaranteeError) as caught:
        train(won(60), options)
    said = str(caught.value)
    assert re.search(r"30 calibration samples, 60 in all; .* p = ", said)
    assert re.search(rf"it takes {2 * least_samples(0.001, 0.001)} samples in all where no answer differs", said)
    assert re.search(r"about \d+ samples in all would do|too uncertain to say|no number of samples would do", said)
    assert "--policy single" in said


@pytest.mark.parametrize(
    ("losses", "gains", "reported"),
    [
        (0, 0, "about 598 samples in all would do by these figures"),
        (1, 0, "too uncertain to say how many samples would do"),
        (10, 0, "by these figures no number of samples would do"),
    ],
)
def test_what_the_figures_say_is_told_with_their_uncertainty(losses: int, gains: int, reported: str) -> None:
    """Sixty calibration samples: one that is lost is more than a point, and shows nothing."""
    asked = Guarantee.parse("loss<=1pt@95%")
    said = str(_too_few(Judged(0.0, losses, gains, 1.0, 0.5), 60, asked, "c1"))
    assert reported in said
    assert "it takes 598 samples in all where no answer differs" in said


def test_what_contradicts_a_guarantee_is_refused_before_any_work(tables: Tables) -> None:
    promise = Guarantee.parse("loss<=1pt@95%")
    for objective, named in (
        (Objective(cost_weight=1.0), "a guarantee and cost-weight exclude each other"),
        (Objective(max_latency_ms=3.0), "a guarantee and max-latency-ms exclude each other"),
        (Objective(Floor.parse("0.9")), "a guarantee and min-accuracy exclude each other"),
    ):
        with pytest.raises(OptionError, match=named):
            check_options(TrainOptions(policy="cascade-routing", objective=objective, guarantee=promise))
    with pytest.raises(OptionError, match=r"paper has no operating points"):
        train(won(60), TrainOptions(policy="paper", guarantee=promise))
    with pytest.raises(OptionError, match="more confidence than is tested"):
        check_options(TrainOptions(guarantee=Guarantee.parse("loss<=1pt@99.9999%")))
    check_options(TrainOptions(policy="cascade", objective=Objective(Floor.parse("best")), guarantee=promise))


@pytest.mark.parametrize("policy", [name for name, one in TRAINERS.items() if one.has_operating_points and one.chooses])
def test_a_policy_that_is_said_to_have_operating_points_can_be_served_at_another(policy: str) -> None:
    small = won(200)
    trained = train(small, TrainOptions(policy=policy, features=2)).policy
    served = [simulate(trained.at_cost_weight(weight), small).latency_ms.mean() for weight in (0.0, 1e3)]
    assert served[1] <= served[0]


@pytest.mark.parametrize("policy", ["single", "paper"])
def test_a_policy_without_operating_points_refuses_another(policy: str) -> None:
    trained = train(won(60), TrainOptions(policy=policy, features=2)).policy
    with pytest.raises(OptionError, match=r"has no operating points; given: cost weight 0\.5"):
        trained.at_cost_weight(0.5)


@pytest.mark.parametrize("policy", ["single", "auto"])
def test_one_candidate_alone_loses_nothing(policy: str) -> None:
    """Equal candidates: `auto` finds no premodel worth having, and the reference alone needs no calibration."""
    tables = make_tables(np.random.default_rng(3).random((60, 2)) < [0.3, 0.9], latency_ms=[3, 4], feature_names=())
    trained = train(tables, TrainOptions(policy=policy, guarantee=Guarantee.parse("loss<=1pt@95%")))
    promised = trained.record.to_json()["guarantee"]
    assert trained.policy.kind == "single"
    assert promised["by_construction"]
    assert promised["reference"] == trained.policy.candidates[0] == "c1"
    assert trained.summary[0].startswith("guarantee: no loss of accuracy to c1")
    assert "it states nothing about how accurate c1 is on other inputs" in trained.summary[1]
    assert any("c1: accuracy" in line and "on 60 samples" in line for line in trained.summary)
    assert not any("c1: accuracy" in line and "on 30 samples" in line for line in trained.summary)
    assert ("auto" in trained.record.to_json()) == (policy == "auto")
    json.dumps(plain(trained.record.to_json()), allow_nan=False)


def test_auto_leaves_out_what_cannot_carry_a_guarantee() -> None:
    options = TrainOptions(policy="auto", features=2)
    tables = won(60)
    assert any(line.startswith("  paper: ") for line in train(tables, options).summary)
    with_guarantee = train(tables, replace(options, guarantee=Guarantee.parse("loss<=90pt@51%")))
    assert not any(line.startswith("  paper: ") for line in with_guarantee.summary)


def test_the_account_says_first_what_is_served_and_the_objective_holds_the_guarantee(tables: Tables) -> None:
    asked = TrainOptions(policy="cascade-routing", guarantee=Guarantee.parse("loss<=2pt@90%"))
    trained = train(tables, asked)
    account = list(trained.summary)
    served = f"serves cost weight {trained.record.to_json()['guarantee']['cost_weight']:.6g} per ms"
    first = next(number for number, line in enumerate(account) if "cost weight " in line)
    assert served in account[first]
    (fitted,) = [number for number, line in enumerate(account) if line.startswith("fitted on the other 600 samples")]
    assert all(number > fitted for number, line in enumerate(account) if line.startswith(("cost weight", "objective")))
    assert any("nothing is promised for its answer" in line for line in account)
    assert any(line.startswith("objective: guarantee loss<=2pt@90%") for line in account)
    objective = state_guarantee(asked).objective.to_json()
    assert (objective["guarantee"], objective["min_accuracy"]) == ("loss<=2pt@90%", None)
    assert state_guarantee(TrainOptions()) == TrainOptions()


def test_the_calibration_samples_are_drawn_without_regard_to_what_is_on_them() -> None:
    """A stratified half would be like the other by design, and not independent of what was fitted on it."""
    drawn: list[Tables] = []

    def fit(fitted: Tables, options: TrainOptions) -> Trained:
        drawn.append(fitted)
        return train(fitted, TrainOptions(policy="single"))

    tables = won(200)
    for seed in range(30):
        options = TrainOptions(policy="cascade", seed=seed, guarantee=Guarantee.parse("loss<=1pt@95%"))
        train_guaranteed(tables, options, Guarantee.parse("loss<=1pt@95%"), Trainer("cascade", "", fit))
    counts = [int(half.correct("top1")[:, 0].sum()) for half in drawn]
    assert {len(half) for half in drawn} == {100}
    assert np.std(counts) > 1.5  # drawn at random 3.2, stratified below 1


def test_a_profile_of_three_samples_is_too_small() -> None:
    with pytest.raises(GuaranteeError, match="too few samples for a guarantee; given: 3"):
        train(won(3), TrainOptions(policy="cascade", guarantee=Guarantee.parse("loss<=1pt@95%")))
