from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.training.feature_pruning import Dropped, prune_correlated
from premodel.training.feature_selection import SelectionSettings, select_features
from premodel.training.greedy_removal import Importance, remove_greedily
from premodel.training.tables import FeatureCosts
from profiles import make_tables

# Four samples. b = 2a + 1 (correlation 1), c = -a (correlation -1), d is constant, e with a: +0.6 by hand below.
A = [1.0, 2.0, 3.0, 4.0]
E = [2.0, 1.0, 4.0, 3.0]
NAMES = ("a", "b", "c", "d", "e")
FEATURES = np.float32([A, [3, 5, 7, 9], [-1, -2, -3, -4], [7, 7, 7, 7], E]).T


def test_of_very_many_features_those_related_to_who_is_right_are_looked_at() -> None:
    rng = np.random.default_rng(0)
    features = rng.random((300, 150)).astype(np.float32)
    right = np.stack([features[:, 120] < 0.5, features[:, 120] >= 0.3], axis=1)
    tables = make_tables(right, features=features, feature_names=tuple(f"word{k}" for k in range(150)))
    found, _ = select_features(
        tables, right, right, lambda scores: scores.argmax(axis=1), SelectionSettings(target=3, folds=3)
    )
    assert "word120" in found.names
    assert [tables.feature_names[column] for column in found.columns] == list(found.names)
    assert len(found.pruning.kept) + len(found.pruning.dropped) == 64


def test_pruning_by_hand() -> None:
    """Correlation of a and e: deviations (-1.5 -.5 .5 1.5) and (-.5 -1.5 1.5 .5), product 3, both squares 5: 0.6."""
    pruned = prune_correlated(FEATURES, NAMES)
    assert pruned.kept == (0, 4)
    b, c, d = pruned.dropped
    assert (b.feature, b.because_of) == ("b", "a")
    assert b.correlation == pytest.approx(1.0)
    assert (c.feature, c.because_of) == ("c", "a")
    assert c.correlation == pytest.approx(-1.0)
    assert (d.feature, d.because_of) == ("d", None)
    assert math.isnan(d.correlation)
    assert [str(one) for one in pruned.dropped] == [
        "b: correlation +1.00 with a",
        "c: correlation -1.00 with a",
        "d: constant",
    ]


def test_the_threshold_is_on_the_absolute_value_and_must_be_passed() -> None:
    pruned = prune_correlated(FEATURES, NAMES, threshold=0.59)
    assert pruned.kept == (0,)
    assert pruned.dropped[-1] == Dropped("e", "a", pytest.approx(0.6))
    assert prune_correlated(FEATURES, NAMES, threshold=0.61).kept == (0, 4)
    assert prune_correlated(FEATURES, NAMES, threshold=1.0).kept == (0, 1, 2, 4)


def test_of_a_pair_the_cheaper_stays() -> None:
    costs = FeatureCosts({"cheap": 0.01, "dear": 0.1}, {"a": ("dear",), "b": ("cheap", "dear"), "c": ("cheap",)})
    pruned = prune_correlated(FEATURES, NAMES, costs)  # d and e have no cost: 0
    assert pruned.kept == (2, 4)
    assert [(one.feature, one.because_of) for one in pruned.dropped] == [("a", "c"), ("b", "c"), ("d", None)]


def test_a_feature_is_compared_with_kept_ones_only() -> None:
    """b is close to a and to c, a and c are not close: b goes, and so cannot push c out."""
    rng = np.random.default_rng(0)
    a, c = rng.normal(size=(2, 2_000))
    features = np.stack([a, a + c, c], axis=1).astype(np.float32)
    pruned = prune_correlated(features, ("a", "b", "c"), threshold=0.6)
    assert pruned.kept == (0, 2)
    assert pruned.dropped[0].because_of == "a"


def test_the_closest_kept_one_is_reported() -> None:
    rng = np.random.default_rng(1)
    a, c = rng.normal(size=(2, 2_000))
    features = np.stack([a, c, 0.6 * a + c], axis=1).astype(np.float32)
    pruned = prune_correlated(features, ("a", "c", "mix"), threshold=0.4)
    assert pruned.dropped[0].because_of == "c"
    assert pruned.dropped[0].correlation == pytest.approx(1 / math.hypot(1, 0.6), abs=0.03)


def test_huge_and_tiny_features_correlate_without_overflow() -> None:
    features = np.stack([FEATURES[:, 0] * 1e37, FEATURES[:, 0] * 1e-37, FEATURES[:, 4]], axis=1).astype(np.float32)
    assert prune_correlated(features, ("a", "b", "e")).kept == (0, 2)


def test_wrong_pruning_is_refused() -> None:
    for threshold in (0.0, 1.1, float("nan")):
        with pytest.raises(OptionError, match="threshold"):
            prune_correlated(FEATURES, NAMES, threshold=threshold)
    with pytest.raises(OptionError, match="no samples"):
        prune_correlated(FEATURES[:0], NAMES)
    with pytest.raises(OptionError, match="every feature is constant"):
        prune_correlated(FEATURES[:1], NAMES)


class Worth:
    """Accuracy = sum of what the kept columns are worth."""

    def __init__(self, *points: float) -> None:
        self.points = points

    def all_of(self, kept: Sequence[int]) -> float:
        return sum(self.points[column] for column in kept) / 100

    def without_each(self, kept: Sequence[int]) -> NDArray[np.float64]:
        return np.array([self.all_of([one for one in kept if one != left_out]) for left_out in kept])


def test_greedy_removal_by_hand() -> None:
    found = remove_greedily([0, 1, 2, 3, 4], NAMES, Worth(10, 2, 8, -1, 2), target=2)
    assert [one.feature for one in found.rounds] == ["d", "e", "b"]  # of b and e, worth the same, the later goes first
    assert [one.loss_points for one in found.rounds] == pytest.approx([-1, 2, 2])
    assert [one.accuracy_after for one in found.rounds] == pytest.approx([0.22, 0.20, 0.18])
    assert found.kept == (0, 2)
    assert found.accuracy == pytest.approx(0.18)
    assert found.stopped == "the target of 2 features is reached"
    assert found.importance_all.features == NAMES
    assert found.importance_all.loss_points == pytest.approx((10, 2, 8, -1, 2))
    assert found.importance_kept.features == ("a", "c")
    assert found.importance_kept.loss_points == pytest.approx((10, 8))
    assert str(found.rounds[0]) == "d: 22.00 % without it, loss -1.00 points, removed"


class Counted(Worth):
    """Notes how many subsets were scored."""

    scored = 0

    def without_each(self, kept: Sequence[int]) -> NDArray[np.float64]:
        self.scored += len(kept)
        return super().without_each(kept)


def test_of_many_features_a_fifth_is_removed_in_a_round_until_they_are_few() -> None:
    """64, 51 and 40 are scored, then 32 down to 3 one by one; features worth more are kept as before."""
    rng = np.random.default_rng(0)
    worth = rng.permutation(64) / 10
    accuracy = Counted(*worth)
    names = [f"f{k}" for k in range(64)]
    found = remove_greedily(range(64), names, accuracy, target=3)
    assert sorted(worth[list(found.kept)]) == pytest.approx([6.1, 6.2, 6.3])
    assert accuracy.scored == 64 + 51 + 40 + sum(range(3, 33))
    assert len(found.rounds) == 61
    assert all(one.removed for one in found.rounds)
    assert found.accuracy == pytest.approx((6.1 + 6.2 + 6.3) / 100)


def test_with_a_greatest_loss_features_go_one_by_one_however_many_there_are() -> None:
    accuracy = Counted(*([0.0] * 38), 10, 20)
    found = remove_greedily(range(40), [f"f{k}" for k in range(40)], accuracy, target=1, max_loss_points=1)
    assert found.kept == (38, 39)
    assert accuracy.scored == sum(range(2, 41))


@pytest.mark.parametrize(("count", "target"), [(33, 7), (40, 36), (64, 64), (64, 63)])
def test_no_round_goes_below_the_target(count: int, target: int) -> None:
    found = remove_greedily(range(count), [f"f{k}" for k in range(count)], Worth(*range(count)), target)
    assert found.kept == tuple(range(count - target, count))


def test_greedy_removal_stops_at_a_loss_too_great() -> None:
    found = remove_greedily([0, 1, 2, 3, 4], NAMES, Worth(10, 2, 8, -1, 2), target=1, max_loss_points=2.5)
    assert found.kept == (0, 2)
    assert found.rounds[-1].feature == "c"
    assert not found.rounds[-1].removed
    assert found.stopped == "removing c would lose 8.00 points, more than 2.5"


def test_greedy_removal_of_few_features_removes_none() -> None:
    found = remove_greedily([4, 0], NAMES, Worth(10, 2, 8, -1, 2))
    assert found.kept == (0, 4)
    assert found.rounds == ()
    assert "no more than the target of 7" in found.stopped
    assert found.importance_all == found.importance_kept
    single = remove_greedily([4], NAMES, Worth(10, 2, 8, -1, 2), target=1)
    assert single.kept == (4,)
    assert single.importance_all == Importance((), ())


def test_wrong_removal_is_refused() -> None:
    with pytest.raises(OptionError, match="number of features"):
        remove_greedily([0], NAMES, Worth(1), target=0)
    with pytest.raises(OptionError, match="no features"):
        remove_greedily([], NAMES, Worth())


def test_importance_as_in_figure_7() -> None:
    importance = Importance(("a", "b", "c", "d"), (3.0, -1.0, 6.0, 1.0))
    assert importance.top(3) == [("c", 60.0), ("a", 30.0), ("d", 10.0)]
    assert Importance(("a", "b"), (0.0, -1.0)).top() == [("a", 0.0), ("b", 0.0)]
