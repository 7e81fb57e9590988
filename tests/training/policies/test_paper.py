"""The paper's premodel, fitted whole on a profile where the right answers are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Run
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Select
from premodel.training.labels import optimum
from premodel.training.policies.paper import PaperSettings, first_yes, fit_paper
from premodel.training.tables import FeatureCosts, Tables
from profiles import make_tables

NAMES = ("telling", "copy", "noise", "flat", "other")
SMALL = PaperSettings(target=2, folds=4)


def profile(n: int = 240, seed: int = 0) -> Tables:
    """Three candidates; feature `telling` states whether `small` is right. `middle` is right only where `small` is."""
    rng = np.random.default_rng(seed)
    telling = rng.random(n)
    small = telling < 0.6
    middle = telling < 0.5
    large = rng.random(n) < 0.9
    noise, other = rng.random((2, n))
    copy = 2 * telling + 0.01 * rng.random(n)
    features = np.stack([telling, copy, noise, np.ones(n), other], axis=1)
    tables = make_tables(
        np.stack([small, middle, large], axis=1),
        latency_ms=[1.0, 2.0, 9.0],
        features=features,
        feature_names=NAMES,
        names=("small", "middle", "large"),
        seed=seed,
    )
    return replace(tables, feature_costs=FeatureCosts())


def test_chooses_candidates_and_features_that_help() -> None:
    tables = profile()
    fitted = fit_paper(tables, "top1", SMALL)
    assert fitted.candidates == (0, 2)
    assert fitted.names == ("small", "large")
    assert "telling" in fitted.summary.kept
    assert len(fitted.summary.kept) == 2
    assert tuple(tables.feature_names[column] for column in fitted.features) == fitted.selector.features
    assert fitted.summary.kept == fitted.selector.features
    selection = fitted.summary.features
    assert selection is not None
    assert {one.feature for one in selection.pruning.dropped} == {"copy", "flat"}
    assert selection.scored_on == len(tables)
    assert selection.removal.importance_all.top(1)[0][0] == "telling"


def test_serves_better_than_either_candidate_on_samples_it_never_saw() -> None:
    fitted = fit_paper(profile(), "top1", SMALL)
    new = profile(seed=1)
    correct = new.correct("top1")
    scores = fitted.selector.score_batch(new.features[:, fitted.features])
    served = first_yes(scores, list(fitted.candidates), 2)
    accuracy = correct[np.arange(len(new)), served].mean()
    assert accuracy > correct.mean(axis=0).max()
    assert accuracy <= correct.any(axis=1).mean()


def test_the_selector_is_taught_the_optimum_of_the_chosen_candidates() -> None:
    tables = profile()
    fitted = fit_paper(tables, "top1", replace(SMALL, labels="optimum"))
    correct = tables.correct("top1")[:, [0, 2]]
    taught = fitted.selector.arrays()["labels"]
    assert np.array_equal(taught, optimum(correct, np.float64([1, 9])))
    right = fit_paper(tables, "top1", replace(SMALL, labels="right"))
    assert np.array_equal(right.selector.arrays()["labels"], correct)


def test_settings_are_obeyed() -> None:
    tables = profile()
    assert fit_paper(tables, "top1", replace(SMALL, limit=1)).names == ("small",)
    assert fit_paper(tables, "top1", replace(SMALL, theta=90.0)).names == ("small",)
    whole = fit_paper(tables, "top1", replace(SMALL, select_features=False))
    assert whole.selector.features == NAMES
    assert whole.summary.features is None
    assert whole.summary.to_json()["scored_on"] == 0
    chain = fit_paper(tables, "top1", replace(SMALL, technique="knn.svm"))
    assert chain.selector.settings()["groups"][1]["kind"] == "svm"
    few = fit_paper(tables, "top1", replace(SMALL, subsample=100)).summary.features
    assert few is not None
    assert few.scored_on == 100
    strict = fit_paper(tables, "top1", replace(SMALL, target=1, max_loss_points=-100.0))
    assert strict.summary.features is not None
    assert not strict.summary.features.removal.rounds[0].removed
    top5 = fit_paper(tables, "top5", SMALL)
    assert top5.summary.models.steps[0].coverage_after > 0.6


def test_equal_rows_give_an_equal_premodel() -> None:
    first, again = (fit_paper(profile(), "top1", SMALL) for _ in range(2))
    assert first.summary.to_json() == again.summary.to_json()
    assert first.candidates == again.candidates
    new = profile(seed=3).features[:, first.features]
    assert np.array_equal(first.selector.score_batch(new), again.selector.score_batch(new))


def test_the_account_is_plain_words_and_json() -> None:
    account = fit_paper(profile(), "top1", SMALL).summary
    lines = "\n".join(account.lines())
    assert "small: right on" in lines
    assert "flat: constant" in lines
    assert "features kept: " in lines
    plain = json.loads(json.dumps(account.to_json(), allow_nan=False))
    assert plain["models"]["steps"][0]["candidate"] == "small"
    assert plain["pruning"]["dropped"][1] == {"feature": "flat", "because_of": None, "correlation": None}
    assert plain["settings"]["target"] == 2


def test_first_yes_by_hand() -> None:
    scores = np.float64([[0.6, 0.9], [0.4, 0.6], [0.5, 0.5], [0.2, 0.1]])
    assert first_yes(scores, [3, 1], None).tolist() == [3, 1, -1, -1]
    assert first_yes(scores, [3, 1], 0).tolist() == [3, 1, 0, 0]


@pytest.mark.parametrize("fallback", [None, "middle", "large"])
def test_features_are_scored_by_the_rule_that_is_deployed(fallback: str | None) -> None:
    tables = profile()
    column = None if fallback is None else tables.candidates.index(fallback)
    fitted = fit_paper(tables, "top1", SMALL, column)
    in_use = (*fitted.names, *(() if fallback in (None, *fitted.names) else (fallback,)))
    latency = tuple(float(tables.latency_ms[tables.candidates.index(name)]) for name in in_use)
    policy = Select(
        fitted.names, fitted.selector, rule="first-yes", costs=Costs(latency, 0.2, 0.1, 0.03), fallback=fallback
    )
    served = first_yes(fitted.selector.score_batch(tables.features[:, fitted.features]), [0, 2], column)
    for row in range(60):
        step = policy.next(AnswersSoFar(features=tables.features[row, fitted.features]), CallOptions())
        deployed = tables.candidates.index(policy.candidates[step.candidate]) if isinstance(step, Run) else -1
        assert deployed == served[row]


def test_too_few_samples_or_a_wrong_setting_are_refused() -> None:
    tables = profile()
    with pytest.raises(OptionError, match="fewer samples than folds"):
        fit_paper(tables.take(np.arange(3)), "top1", SMALL)
    with pytest.raises(OptionError, match="no samples"):
        fit_paper(tables.take(np.arange(0)), "top1", SMALL)
    with pytest.raises(OptionError, match="unknown technique"):
        fit_paper(tables, "top1", replace(SMALL, technique="forest"))
    with pytest.raises(OptionError, match="criterion"):
        fit_paper(tables, "top3", SMALL)  # type: ignore[arg-type]
