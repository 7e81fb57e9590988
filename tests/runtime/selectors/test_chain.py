from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from premodel.errors import BundleError, OptionError
from premodel.runtime.selectors.chain import ChainSelector
from premodel.runtime.selectors.neighbours import NeighbourSearch
from premodel.training.selectors import chain, decision_tree, knn, svm

NAMES = ("contrast", "hue1")
RNG = np.random.default_rng(5)
FEATURES = RNG.normal(size=(80, 2)).astype(np.float32)
LABELS = RNG.random((80, 4)) < 0.5
NEW = RNG.normal(size=(30, 2)).astype(np.float32)


def test_each_level_scores_by_its_own_technique() -> None:
    """knn.svm.knn.decision_tree: every column is what that technique alone states of that candidate."""
    selector = chain.fit(FEATURES, LABELS, NAMES, techniques=("knn", "svm", "knn", "decision_tree"))
    assert selector.techniques == ("knn", "svm", "knn", "decision_tree")
    scores = selector.score_batch(NEW)
    by_knn = knn.fit(FEATURES, LABELS, NAMES).score_batch(NEW)
    assert np.array_equal(scores[:, [0, 2]], by_knn[:, [0, 2]])
    assert np.array_equal(scores[:, 1], svm.fit(FEATURES, LABELS[:, 1:2], NAMES).score_batch(NEW)[:, 0])
    assert np.array_equal(scores[:, 3], decision_tree.fit(FEATURES, LABELS[:, 3:], NAMES).score_batch(NEW)[:, 0])


def test_a_pure_knn_chain_searches_once() -> None:
    selector = chain.fit(FEATURES, LABELS, NAMES, techniques=("knn", "knn", "knn", "knn"))
    with patch.object(NeighbourSearch, "nearest", autospec=True, side_effect=NeighbourSearch.nearest) as search:
        scores = selector.score(NEW[0])
    assert search.call_count == 1
    assert np.array_equal(scores, knn.fit(FEATURES, LABELS, NAMES).score(NEW[0]))


def test_the_last_technique_serves_further_levels_and_a_surplus_is_not_used() -> None:
    assert chain.fit(FEATURES, LABELS, NAMES, techniques=("svm", "knn")).techniques == ("svm", "knn", "knn", "knn")
    short = chain.fit(FEATURES, LABELS[:, :2], NAMES, techniques=("svm", "knn", "decision_tree"))
    assert short.techniques == ("svm", "knn")


@pytest.mark.parametrize("techniques", [(), ("multi_class",), ("knn", "forest")])
def test_unknown_techniques_are_refused(techniques: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="technique of a level"):
        chain.fit(FEATURES, LABELS, NAMES, techniques=techniques)


@pytest.mark.parametrize("levels", [[0, 0], [0, 3], [0], "01", [0, "2"]])
def test_levels_that_do_not_fit_together_are_refused(levels: object) -> None:
    selector = chain.fit(FEATURES, LABELS[:, :3], NAMES, techniques=("knn", "svm", "knn"))
    settings = selector.settings()
    settings["groups"][0]["levels"] = levels
    with pytest.raises(BundleError, match="levels"):
        ChainSelector.from_components(settings, selector.arrays())


def test_groups_on_other_features_are_refused() -> None:
    selector = chain.fit(FEATURES, LABELS, NAMES, techniques=("knn", "svm"))
    settings = selector.settings()
    settings["groups"][1]["settings"]["features"] = ["hue1", "contrast"]
    with pytest.raises(BundleError, match="other features"):
        ChainSelector.from_components(settings, selector.arrays())
