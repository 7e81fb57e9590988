"""The study of translation as a whole, on drawn profiles."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation.cross_validation import Outcome
from premodel.paper.experiments import TRANSLATION_EXPERIMENTS
from premodel.paper.fit_rules import OF_TRANSLATIONS
from premodel.paper.reproduce import Reproduction, reproduce
from premodel.paper.results import DataTable
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.paper.translation.features import greedy_places
from premodel.paper.translation.premodels import CLASSIFIERS, MAIN, READINGS
from profiles import predictable_tables
from translation_profiles import drawn

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra lab")


@pytest.fixture(scope="module")
def found() -> Reproduction:
    return reproduce(drawn(60, 2), study="tecs19", folds=2)


def table(found: Reproduction, id_: str, name: str) -> DataTable:
    result = next(one for one in found.results if one.id == id_)
    return next(one for one in result.tables if one.name == name)


def test_every_experiment_is_there_and_the_first_line_holds_the_news(found: Reproduction) -> None:
    assert [result.id for result in found.results] == list(TRANSLATION_EXPERIMENTS)
    assert found.verdict.startswith("the premodel of Marco et al. 2020, one naive Bayes over the candidates (")
    assert "the random mix of the same latency" in found.verdict
    assert "Of 16 premodels of the kinds considered there, " in found.verdict
    assert "1.34 times" in found.verdict
    assert "\n" not in found.verdict
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (data["study"], data["criterion"]) == ("tecs19", "bleu")
    for result in found.results:
        for one in result.tables:
            assert all(len(row) == len(one.header) for row in one.rows), (result.id, one.name)


def test_whose_each_number_is(found: Reproduction) -> None:
    side = table(found, "translation", "side-by-side")
    whose = {str(row[0]): row[1] for row in side.rows}
    assert whose["c0"] == "this profile"
    assert whose["gnmt_8"] == whose["AdaBoost"] == "its replication"
    assert ("naive Bayes, one model", "Marco et al. 2020") in {row[:2] for row in side.rows}
    published = [one.published for result in found.results for one in result.comparisons if one.published]
    assert {one.whose for one in published} == {"its replication", "Marco et al. 2020"}
    assert 1.34 in {one.value for one in published}


def test_every_classifier_as_one_model_and_as_a_chain(found: Reproduction) -> None:
    for name in ("against-square-over-time", "against-best-score"):
        rows = table(found, "classifiers", name).rows
        assert [row[0] for row in rows] == list(CLASSIFIERS.values())
    assert sum("one model" in name for name in CLASSIFIERS.values()) == 4
    assert [name for name in CLASSIFIERS.values() if "their choice" in name] == [CLASSIFIERS[MAIN.technique]]


def test_of_two_lengths_that_go_together_one_is_pruned_for_texts() -> None:
    tables = drawn()
    study = Study(tables, criterion="bleu", folds=2, features=None, rules=OF_TRANSLATIONS)
    for fit in study.fits():
        assert fit.selection.pruning.threshold == 0.9
        assert [one.feature for one in fit.selection.pruning.dropped] == ["f2"]
        assert fit.selection.names == ("f0", "f1", "f3"), "what pruning leaves is read"
    assert set(greedy_places(study.fits())) == {"f0", "f1", "f3"}


def test_features_that_tell_on_which_sentence_more_time_pays_beat_the_random_mix() -> None:
    study = Study(drawn(200, 2, tell=True), criterion="bleu", folds=2, features=None, rules=OF_TRANSLATIONS)
    for technique in CLASSIFIERS:
        row = study.served(Recipe(technique, labels=READINGS[0])).row
        assert row.extra["mix_ci"][0] > 0, technique
        blind = study.served(Recipe(technique, labels=READINGS[0], permuted=True)).row
        assert blind.extra["mix_ci"][0] <= 0, technique
    assert greedy_places(study.fits())["f0"] == 1


def test_every_sentence_is_served_by_what_was_fitted_without_it() -> None:
    tables = drawn(60, 2)
    outcome: Outcome = (
        Study(tables, criterion="bleu", folds=3, features=None, rules=OF_TRANSLATIONS).served(MAIN).outcome
    )
    assert (outcome.source >= 0).all()
    assert np.array_equal(outcome.score, tables.score("bleu")[np.arange(60), outcome.source])
    assert sorted(np.unique(outcome.fold, return_counts=True)[1]) == [20, 20, 20]


def test_a_study_that_does_not_fit_the_task_is_refused_both_ways() -> None:
    with pytest.raises(OptionError, match=r"lctes18 must be given answers that are labels.*--study tecs19") as caught:
        reproduce(drawn(60, 2), folds=2)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match=r"tecs19 must be given a store of task translation.*--study lctes18"):
        reproduce(predictable_tables(60, 2), study="tecs19", folds=2)
    with pytest.raises(OptionError, match=r"unknown study.*lctes18, tecs19"):
        reproduce(drawn(60, 2), study="tecs")


def test_criteria_of_the_other_study_and_missing_scores_are_refused() -> None:
    with pytest.raises(OptionError, match=r"criterion must be one of study tecs19.*bleu, rouge, f1"):
        reproduce(drawn(60, 2), study="tecs19", criterion="top1")
    tables = drawn(60, 2)
    with pytest.raises(OptionError, match=r"scores of every criterion.*rouge"):
        reproduce(replace(tables, graded={"bleu": tables.score("bleu"), "f1": tables.score("f1")}), study="tecs19")


@pytest.mark.parametrize("shape", ["one candidate", "all score 0"])
def test_odd_profiles_are_studied_and_shown(shape: str) -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.paper.page import render

    tables = drawn(40, 1) if shape == "one candidate" else drawn(40, 2)
    if shape == "all score 0":
        tables = replace(tables, graded=dict.fromkeys(("bleu", "rouge", "f1"), np.zeros((40, 2))))
    found = reproduce(tables, study="tecs19", folds=2)
    json.dumps(found.to_json(), allow_nan=False)
    page = render(found, shape)
    assert "whose" in page
    assert "the study of TECS 19(1), 2020: translation" in page
