"""Fusion of predictions: worked examples by hand, and what must hold for any predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from premodel.records import Prediction
from premodel.runtime.fusion import (
    FLOOR,
    fused_distribution,
    fused_prediction,
    fused_top_probability,
    log_scores,
    own_top_probability,
)

LABELS = 30


def said(labels: list[int], shares: list[float]) -> Prediction:
    return Prediction(np.asarray(labels, np.int32), np.asarray(shares, np.float32), 0.0)


def fuse(predictions: list[Prediction], weights: list[float], n_labels: int = LABELS) -> np.ndarray:
    return fused_distribution(
        [one.labels for one in predictions], [log_scores(one.probabilities) for one in predictions], weights, n_labels
    )


@st.composite
def prediction(draw: st.DrawFn) -> Prediction:
    k = draw(st.integers(1, 20))
    labels = draw(st.permutations(range(LABELS)))[:k]
    raw = draw(st.lists(st.sampled_from([0.0, 1e-6, 0.01, 0.3, 1.0]) | st.floats(0, 1), min_size=k, max_size=k))
    total = max(1.0, sum(raw))
    return said(labels, sorted((share / total for share in raw), reverse=True))


weight = st.sampled_from([0.0, 4.0]) | st.floats(0, 4)


def test_two_of_three_labels_by_hand() -> None:
    """With p + 0.0001 = 0.01, 0.001 and 0.0001, weights 1 and 2: log(100 * 100), log(10), 0 relative to the floor."""
    first = said([0, 1], [0.0099, 0.0009])
    second = said([0], [0.0009])
    # label 0: (0.01 / 0.0001) * (0.001 / 0.0001) ** 2 = 100 * 100; label 1: 10; label 2: 1
    shares = fuse([first, second], [1.0, 2.0], 3)
    assert shares.tolist() == pytest.approx([10000 / 10011, 10 / 10011, 1 / 10011], rel=1e-5)


def test_agreement_makes_sure_and_disagreement_unsure() -> None:
    one, same, other = said([3], [0.6]), said([3], [0.6]), said([4], [0.6])
    alone = fuse([one], [1.0])
    assert fuse([one, same], [1.0, 1.0])[3] > alone[3]
    disagreed = fuse([one, other], [1.0, 1.0])
    assert disagreed[3] == disagreed[4] < 0.5


@given(st.lists(st.tuples(prediction(), weight), min_size=1, max_size=5))
def test_it_is_a_distribution_whatever_is_said(members: list[tuple[Prediction, float]]) -> None:
    shares = fuse([one for one, _ in members], [w for _, w in members])
    assert np.isfinite(shares).all()
    assert (shares >= 0).all()
    assert float(shares.sum()) == pytest.approx(1, abs=1e-4)
    assert 0 < fused_top_probability(shares, 1) <= fused_top_probability(shares, 5) <= 1 + 1e-5


@given(st.lists(st.tuples(prediction(), weight), min_size=2, max_size=4), st.randoms())
def test_the_order_of_members_does_not_matter(members: list[tuple[Prediction, float]], random: object) -> None:
    turned = list(members)
    random.shuffle(turned)  # type: ignore[attr-defined]
    first = fuse([one for one, _ in members], [w for _, w in members])
    second = fuse([one for one, _ in turned], [w for _, w in turned])
    assert np.allclose(first, second, rtol=1e-3, atol=1e-7)


@given(st.lists(st.tuples(prediction(), weight), min_size=1, max_size=4), prediction())
def test_a_member_without_weight_changes_nothing(members: list[tuple[Prediction, float]], other: Prediction) -> None:
    own, weights = [one for one, _ in members], [w for _, w in members]
    assert np.allclose(fuse(own, weights), fuse([*own, other], [*weights, 0.0]), atol=1e-7)


@given(prediction(), st.floats(0.05, 4))
def test_one_member_keeps_its_order_and_its_mass_is_found_without_writing_out(one: Prediction, w: float) -> None:
    shares = fuse([one], [w])
    assert (np.diff(shares[one.labels]) <= 1e-7).all()
    for top_n in (1, 5):
        top_probability = own_top_probability(log_scores(one.probabilities), w, LABELS, top_n)
        listed = float(shares[one.labels[:top_n]].sum())
        assert top_probability == pytest.approx(listed, rel=1e-4)


@given(st.lists(prediction(), min_size=1, max_size=4))
def test_what_is_served_is_the_top_of_the_distribution(members: list[Prediction]) -> None:
    shares = fuse(members, [1.0] * len(members))
    served = fused_prediction(shares, [one.labels for one in members])
    listed = {int(label) for one in members for label in one.labels}
    expected = sorted(range(LABELS), key=lambda label: (-shares[label], label))
    k = len(served.labels)
    assert k == min(20, max(len(listed), k))
    if len(listed) >= 20 and shares[list(listed)].min() > shares.min():  # else what was listed goes first
        assert served.labels.tolist() == expected[:20]
    assert served.probabilities.tolist() == shares[served.labels].tolist()
    exact = -sum(float(p) * math.log(p) for p in shares.tolist() if p > 0)
    assert served.entropy == pytest.approx(exact, abs=1e-3)


def test_ties_go_to_the_lower_label() -> None:
    one, other = said([7, 2], [0.5, 0.5]), said([2, 7], [0.5, 0.5])
    served = fused_prediction(fuse([one, other], [1.0, 1.0]), [one.labels, other.labels])
    assert served.labels[:2].tolist() == [2, 7]


def test_nothing_but_zeros_is_uniform() -> None:
    one = said(list(range(20)), [0.0] * 20)
    shares = fuse([one, one], [1.0, 1.0])
    assert np.allclose(shares, 1 / LABELS)
    served = fused_prediction(shares, [one.labels, one.labels])
    assert served.labels.tolist() == list(range(20))
    assert served.entropy == pytest.approx(math.log(LABELS), rel=1e-5)


def test_evidence_of_the_floor_is_nothing() -> None:
    assert log_scores(np.zeros(3, np.float32)).tolist() == [0, 0, 0]
    assert float(log_scores(np.asarray([FLOOR * 9], np.float32))[0]) == pytest.approx(math.log(10), rel=1e-5)


def test_heavy_weights_do_not_overflow() -> None:
    sure = said([1, 2], [1.0, 0.0])
    shares = fuse([sure] * 8, [4.0] * 8)
    assert np.isfinite(shares).all()
    assert shares[1] == pytest.approx(1)


@pytest.mark.parametrize("weight", [8.0, 8.1, 9.6, 100.0, 1e4])
def test_one_member_of_any_weight_has_a_probability(weight: float) -> None:
    one = said([3, 1, 2], [0.6, 0.3, 0.1])
    found = own_top_probability(log_scores(one.probabilities), weight, LABELS, 1)
    assert found == pytest.approx(float(fuse([one], [weight]).max()), rel=1e-5)
