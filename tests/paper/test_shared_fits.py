"""Shared work is the same work: what is shared equals what `train` and `fit_paper` give."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.paper.shared_fits import Recipe, SharedFits
from premodel.paper.study import Study
from premodel.training.options import TrainOptions
from premodel.training.policies.paper import PaperSettings, fit_paper
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train
from profiles import make_tables


@pytest.fixture(scope="module")
def wide() -> Tables:
    """More features than are kept; the first tells something."""
    rng = np.random.default_rng(5)
    hardness = rng.random(160)
    correct = hardness[:, None] + rng.normal(0, 0.1, (160, 4)) < np.linspace(0.4, 0.9, 4)
    features = np.concatenate([hardness[:, None], rng.random((160, 5))], axis=1)
    return make_tables(correct, features=features, feature_names=tuple("abcdef"))


@pytest.mark.parametrize(
    ("recipe", "technique"),
    [(Recipe(), "knn"), (Recipe("svm"), "svm"), (Recipe("multi_class"), "multi_class")],
)
def test_the_shared_premodel_is_the_trained_one(wide: Tables, recipe: Recipe, technique: str) -> None:
    shared = SharedFits("top1", 0, target=3).policy(wide, recipe)
    trained = train(wide, TrainOptions("paper", features=3, technique=technique)).policy
    assert shared.candidates == trained.candidates
    assert shared.features == trained.features
    assert simulate(shared, wide).same_decisions(simulate(trained, wide)).all()


def test_a_chain_of_shared_groups_is_the_fitted_chain(wide: Tables) -> None:
    shared = SharedFits("top1", 0, target=3)
    for technique in ("knn.svm.knn", "svm.knn.decision_tree"):
        chain = shared.policy(wide, Recipe(technique))
        trained = train(wide, TrainOptions("paper", features=3, technique=technique)).policy
        assert simulate(chain, wide).same_decisions(simulate(trained, wide)).all()


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_fewer_and_more_features_are_those_of_greedy_removal(wide: Tables, count: int) -> None:
    fits = SharedFits("top1", 0, target=3).of(wide)
    settings = PaperSettings(target=count)
    assert fits.columns(count) == fit_paper(wide, "top1", settings, fallback=fits.fallback).features


def test_fits_are_made_once_for_the_same_rows(wide: Tables) -> None:
    shared = SharedFits("top1", 0)
    rows = np.arange(100)
    assert shared.of(wide.take(rows)) is shared.of(wide.take(rows))
    assert shared.of(wide.take(rows)) is not shared.of(wide.take(rows[:99]))


def test_levels_follow_algorithm_1(wide: Tables) -> None:
    fits = SharedFits("top1", 0).of(wide)
    assert fits.chosen(Recipe(levels=1)) == fits.models.chosen[:1]
    assert fits.chosen(Recipe(levels=2)) == fits.order[:2]
    assert fits.chosen(Recipe(at_most=2)) == fits.models.chosen[:2]


def test_skipping_serves_the_same_where_a_level_says_yes_and_nothing_else(wide: Tables) -> None:
    study = Study(wide, folds=3, features=3)
    answering, skipping = (study.served(Recipe(fallback=one)).outcome for one in (True, False))
    served = skipping.label >= 0
    assert 0 < served.sum() < len(wide)
    assert np.array_equal(answering.label[served], skipping.label[served])
    assert (answering.label >= 0).all()


def test_scores_of_levels_are_of_the_test_rows(wide: Tables) -> None:
    study = Study(wide, folds=4, features=3)
    scores = study.level_scores(Recipe(fallback=False))
    assert sorted(row for one in scores for row in one.rows) == list(range(len(wide)))
    refused = np.concatenate([one.rows[(one.scores <= 0.5).all(axis=1)] for one in scores])
    skipped = study.served(Recipe(fallback=False)).outcome.label < 0
    assert sorted(refused) == np.flatnonzero(skipped).tolist()
