"""Cascades over graded answers: what a candidate states of its own answer becomes the grade expected of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.records import Prediction
from premodel.runtime.policies.base import CallOptions, Policy
from premodel.runtime.policies.expected_grades import statement, statements
from premodel.runtime.policies.graded_stopping import GradedCascade, GradedStopping
from premodel.training.objective import Floor, Objective
from premodel.training.options import TrainOptions
from premodel.training.policies.graded import fit_grades, graded_table
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables

N = 600


def translators(seed: int = 0, *, informative: bool = True) -> Tables:
    """A quick translator whose grades lie around what it states, and a slow one that is good on the average.

    What the third, slower still, states is on another scale and tells nothing.
    """
    rng = np.random.default_rng(seed)
    stated = np.stack([rng.uniform(0.1, 0.9, N), rng.uniform(0.1, 0.9, N), rng.uniform(0, 0.01, N)], axis=1)
    if not informative:
        stated[:] = 1.0
    quick = np.clip(stated[:, 0] + rng.normal(0, 0.1, N), 0, 1)
    slow = np.clip(0.55 + 0.3 * stated[:, 1] + rng.normal(0, 0.1, N), 0, 1)
    grade = np.stack([quick, slow, np.clip(rng.normal(0.72, 0.1, N), 0, 1)], axis=1)
    tables = make_tables(np.ones((N, 3), bool), latency_ms=(1.0, 8.0, 9.0), names=("quick", "slow", "slower"))
    return replace(
        tables,
        task="translation",
        label_names=(),
        truth=np.full(N, -1, np.int32),
        top_labels=np.zeros((N, 3, 1), np.int32),
        top_probabilities=stated[:, :, None].astype(np.float32),
        graded={"chrf": grade},
    )


def trained(tables: Tables, policy: str = "cascade", **objective: Any) -> GradedStopping:
    found = train(tables, TrainOptions(policy, criterion="chrf", objective=Objective(**objective))).policy
    assert isinstance(found, GradedStopping)
    return found


@pytest.mark.parametrize("policy", ["cascade", "cascade-routing"])
def test_it_beats_the_random_mix_on_sentences_not_trained_on(policy: str) -> None:
    tables, unseen = translators(), translators(seed=1)
    served = simulate(trained(tables, policy, cost_weight=0.02), unseen)
    score, spent = (
        served_score(unseen, "chrf", served),
        served.ran @ np.array([1.0, 8.0, 9.0])[[unseen.candidates.index(name) for name in served.candidates]],
    )
    means = unseen.score("chrf").mean(axis=0)
    share = (spent.mean() - 1.0) / 7.0
    assert 0.1 < share < 0.95
    assert score.mean() > means[0] + share * (means[1] - means[0]) + 0.03


def test_it_goes_on_where_the_first_is_expected_to_be_bad_and_serves_the_best_of_what_ran() -> None:
    tables = translators()
    policy = trained(tables, cost_weight=0.01)
    assert isinstance(policy, GradedCascade)
    assert policy.candidates[0] == "quick"
    served = simulate(policy, tables)
    stated = tables.top_probabilities[:, 0, 0]
    went_on = served.ran.sum(axis=1) > 1
    assert stated[went_on].max() < stated[~went_on].min() + 0.05
    columns = [tables.candidates.index(name) for name in policy.candidates]
    for row in range(0, N, 7):
        had = {j: tables.prediction(row, columns[j]) for j in np.flatnonzero(served.ran[row]).tolist()}
        known = policy.grades.known({j: one for j, one in had.items() if one is not None}, None)
        expected = policy.grades.of(sum(1 << j for j in had), known)
        best = max(had, key=expected.__getitem__)
        assert (served.source[row], served.confidence[row]) == (best, pytest.approx(expected[best]))
    assert np.abs(served.confidence.mean() - served_score(tables, "chrf", served).mean()) < 0.03


def guessers(n: int, seed: int) -> Tables:
    """Three translators of one mean grade; what they state is drawn at random."""
    rng = np.random.default_rng(seed)
    tables = make_tables(np.ones((n, 3), bool), latency_ms=(1.0, 2.0, 3.0), names=("a", "b", "c"))
    return replace(
        tables,
        task="translation",
        label_names=(),
        truth=np.full(n, -1, np.int32),
        top_labels=np.zeros((n, 3, 1), np.int32),
        top_probabilities=rng.uniform(0.1, 0.9, (n, 3, 1)).astype(np.float32),
        graded={"chrf": rng.uniform(0.2, 1.0, (n, 3))},
    )


def test_training_does_not_believe_in_what_is_only_noise() -> None:
    """By curves that had seen the grade, the best of three answers would be worth points more than the best one's."""
    more = []
    for seed in range(10):
        table = graded_table(guessers(80, seed), "chrf", 0.0)
        fit = fit_grades(table, 5)
        more.append(float(fit.rewards(fit.states(table))[-1].mean() - table.correct.mean(axis=0).max()))
    assert np.mean(more) < 0.004


def test_nobody_is_asked_a_second_time_for_noise() -> None:
    runs = []
    for seed in range(5):
        unseen = guessers(300, seed + 100)
        runs.append(simulate(trained(guessers(80, seed), cost_weight=0.01), unseen).ran.sum(axis=1).mean())
    assert np.mean(runs) < 1.2


def test_a_training_row_is_judged_by_regressions_of_the_others() -> None:
    table = graded_table(translators(), "chrf", 0.0)
    fit = fit_grades(table, 5)
    some = np.array([3, 500, 7])
    changed = replace(table, correct=np.where(np.arange(N)[:, None] == 3, 1 - table.correct, table.correct))
    other = fit_grades(changed, 5)
    own = other.states(changed.take(some)).top_probability
    assert own[1, 0] == fit.states(table.take(some)).top_probability[1, 0]
    assert (other.grades.weight != fit.grades.weight).any()
    swapped = fit.reordered([1, 0, 2])
    turned = swapped.states(table.take_candidates([1, 0, 2]))
    straight = fit.states(table)
    assert (turned.top_probability[0b001] == straight.top_probability[0b010]).all()
    assert (turned.basis[0b101, :, 4:7] == straight.basis[0b110, :, 7:10]).all()
    assert (swapped.rewards(turned)[0b101] == fit.rewards(straight)[0b110]).all()
    unseen = graded_table(translators(1), "chrf", 0.0)
    unseen = replace(unseen, rows=unseen.rows + N)
    turned = swapped.states(unseen.take_candidates([1, 0, 2]))
    assert turned.top_probability[0b101] == pytest.approx(fit.states(unseen).top_probability[0b110])
    assert (turned.right[0b101] == fit.states(unseen).right[0b110]).all()


def test_expected_grades_follow_what_is_stated_and_are_the_mean_where_nothing_is_stated() -> None:
    tables = translators()
    policy = trained(tables, "cascade-routing", cost_weight=0.0)
    quick = policy.candidates.index("quick")
    for stated in (0.3, 0.5, 0.7):
        said = Prediction(np.zeros(1, np.int32), np.array([stated], np.float32), 0.0)
        expected = policy.grades.of(1 << quick, policy.grades.known({quick: said}, None))
        assert expected[quick] == pytest.approx(stated, abs=0.07)
    if "slower" in policy.candidates:
        slower = policy.candidates.index("slower")
        assert (policy.grades.weight[1 << slower, slower] == 0).all()


def with_lengths(tables: Tables, lengths: np.ndarray[Any, Any], inputs: np.ndarray[Any, Any]) -> Tables:
    return replace(
        tables,
        outcome_length=lengths.astype(np.int32),
        feature_names=("n_chars",),
        features=inputs[:, None].astype(np.float32),
    )


def breaking_off(seed: int = 0) -> Tables:
    """Translators that state nothing and break off now and then: what they left out is all that is wrong."""
    rng = np.random.default_rng(seed)
    inputs = rng.integers(20, 120, N)
    kept = np.where(rng.random((N, 3)) < (0.35, 0.2, 0.2), rng.uniform(0.3, 0.7, (N, 3)), 1.0)
    tables = translators(seed, informative=False)
    tables = replace(tables, graded={"chrf": np.clip(0.8 * kept + rng.normal(0, 0.05, (N, 3)), 0, 1)})
    return with_lengths(tables, np.rint(1.1 * inputs[:, None] * kept), inputs)


@pytest.mark.parametrize("policy", ["cascade", "cascade-routing"])
def test_an_answer_that_broke_off_is_seen_by_its_length(policy: str) -> None:
    tables, unseen = breaking_off(), breaking_off(seed=1)
    found = trained(tables, policy, cost_weight=0.005)
    assert found.length_measure == "n_chars"
    served = simulate(found, unseen)
    score, means = served_score(unseen, "chrf", served).mean(), unseen.score("chrf").mean(axis=0)
    share = (served.ran.sum(axis=1) > 1).mean()
    assert 0.15 < share < 0.6
    assert score > means.max() + 0.03


def test_of_two_answers_in_hand_the_one_that_did_not_break_off_is_served() -> None:
    tables = breaking_off()
    fit = fit_grades(graded_table(tables, "chrf", 0.0), 5)
    states = fit.states(replace(graded_table(breaking_off(2), "chrf", 0.0), rows=np.arange(N) + N))
    grade = states.right
    assert grade[0b011].mean() > max(grade[0b001].mean(), grade[0b010].mean()) + 0.03


def test_lengths_count_as_they_are_where_those_of_the_inputs_are_not_known() -> None:
    tables = breaking_off()
    bare = replace(tables, feature_names=(), features=tables.features[:, :0])
    assert trained(bare, cost_weight=0.005).length_measure is None


def test_a_statement_is_the_same_for_one_answer_as_for_many() -> None:
    probability, lengths, inputs = np.array([0.0, 0.3, 1.0]), np.array([0.0, 12.0, np.nan]), np.array([4.0, 9.0, 2.0])
    many = statements(probability, lengths, inputs)
    for row, (p, a, i) in enumerate(zip(probability, lengths, inputs, strict=True)):
        one = statement(p, None if np.isnan(a) else a, i)
        assert many[row] == pytest.approx(one, nan_ok=True)


def test_what_training_estimates_is_what_the_policy_does() -> None:
    tables = translators()
    options = TrainOptions("cascade", criterion="chrf", objective=Objective(Floor.parse("best-2pt")))
    found = train(tables, options)
    assert found.out_of_fold is not None
    served = simulate(found.policy, tables)
    assert served_score(tables, "chrf", served).mean() == pytest.approx(found.out_of_fold.score.mean(), abs=0.01)
    assert "serves the answer of the highest expected grade" in "\n".join(found.summary)
    within = simulate(found.policy, tables, CallOptions(max_latency_ms=7.0))
    assert within.order.max(axis=1).max() >= 0
    assert (within.ran[:, found.policy.candidates.index("quick")]).all()


def test_a_threshold_makes_the_grade_a_probability_of_being_good_enough() -> None:
    tables = translators()
    options = TrainOptions("cascade", criterion="chrf>=0.6", objective=Objective(cost_weight=0.01))
    served = simulate(train(tables, options).policy, tables)
    assert served_score(tables, "chrf>=0.6", served).mean() == pytest.approx(served.confidence.mean(), abs=0.04)


@pytest.mark.parametrize("policy", ["cascade", "cascade-routing"])
def test_candidates_without_a_score_of_their_own_are_refused_in_one_line(policy: str) -> None:
    with pytest.raises(OptionError, match=r"candidates that give their answers a score of their own.*--policy select"):
        trained(translators(informative=False), policy)


def test_auto_compares_it_and_takes_part_without_features() -> None:
    tables = translators()
    bare = replace(tables, feature_names=(), features=tables.features[:, :0])
    found = train(bare, TrainOptions("auto", criterion="chrf", objective=Objective(cost_weight=0.02)))
    assert isinstance(found.policy, GradedStopping)


def test_it_has_no_form_in_c() -> None:
    assert trained(translators(), cost_weight=0.01).decision_tables() is None
    assert GradedCascade.decision_tables is Policy.decision_tables, "what has one is what export proposes"


def test_regressions_that_are_none_are_refused() -> None:
    policy = trained(translators(), cost_weight=0.01)
    arrays = dict(policy.arrays())
    for name, change in (
        ("weight", arrays["weight"][:, :, :-1]),
        ("constant", arrays["constant"][:1]),
        ("center", np.where(arrays["center"] > 0.5, np.nan, arrays["center"])),
        ("scale", -arrays["scale"]),
        ("weight", arrays["weight"].astype(np.float32)),
        ("slopes", arrays["slopes"][:, :, :, 1:]),
        ("slopes", np.full_like(arrays["slopes"], np.inf)),
    ):
        with pytest.raises(BundleError, match="graded-cascade is incomplete"):
            GradedCascade.from_components(policy.settings(), {**arrays, name: change})
    again = GradedCascade.from_components(policy.settings(), arrays)
    assert simulate(again, translators(1)).same_decisions(simulate(policy, translators(1))).all()
