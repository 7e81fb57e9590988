"""Raw outputs -> probabilities -> predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from premodel.backends.base import TensorSpec
from premodel.errors import RunError
from premodel.records import TOP_K
from premodel.runtime.prediction import rank_of, to_distribution, to_prediction

PLAIN = TensorSpec((1, 4), "float32")


def test_softmax_outputs_are_taken_as_they_are_without_the_background() -> None:
    raw = np.array([[0.4, 0.3, 0.2, 0.1]], np.float32)
    distribution = to_distribution(raw, PLAIN, "softmax", 1, 3)
    assert distribution.dtype == np.float32
    np.testing.assert_array_equal(distribution, raw[0, 1:])


def test_logits_are_normalised_over_the_kept_labels() -> None:
    """e^0 : e^ln2 : e^ln5 = 1 : 2 : 5, whatever the dropped logit is."""
    for background in (-30.0, 0.0, 30.0):
        raw = np.array([[background, 0, math.log(2), math.log(5)]], np.float32)
        np.testing.assert_allclose(to_distribution(raw, PLAIN, "none", 1, 3), [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)


def test_huge_logits_do_not_overflow() -> None:
    raw = np.array([[3e38, -3e38, 0, 3e38]], np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(to_distribution(raw, PLAIN, "none", 0, 4), [0.5, 0, 0, 0.5])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dropped", [0, 1])
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e39, 0, 1e39, -1e39], [0.5, 0, 0.5, 0]),
        ([-1e300, 0, 0, -1e300], [0, 0.5, 0.5, 0]),
        ([1e308, -1e308, 0, -1], [1, 0, 0, 0]),
        ([1e39, 0, 1, 2], [1, 0, 0, 0]),
    ],
)
def test_logits_beyond_float32_are_normalised(logits: list[float], expected: list[float], dropped: int) -> None:
    """Of a network whose output is of float64, with dropped outputs at both ends or without."""
    raw = np.array([[7.0] * dropped + logits + [7.0] * dropped])
    found = to_distribution(raw, TensorSpec((1, 4), "float64"), "none", dropped, 4, dropped)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("dtype", "stored", "scale", "zero_point", "expected"),
    [
        ("uint8", [0, 64, 128, 64], 1 / 256, 0, [0, 0.25, 0.5, 0.25]),
        ("int8", [-128, -64, 0, -64], 1 / 256, -128, [0, 0.25, 0.5, 0.25]),
        ("uint8", [10, 20, 30, 20], 0.025, 10, [0, 0.25, 0.5, 0.25]),
    ],
)
def test_quantised_probabilities(
    dtype: str, stored: list[int], scale: float, zero_point: int, expected: list[float]
) -> None:
    spec = TensorSpec((1, 4), dtype, scale, zero_point)
    values = to_distribution(np.array([stored], dtype), spec, "softmax", 0, 4)
    np.testing.assert_allclose(values, expected, atol=1e-7)


def test_quantised_logits() -> None:
    """(stored - 100) / 10 = 0, 1, 0, -1."""
    spec = TensorSpec((1, 4), "uint8", 0.1, 100)
    values = to_distribution(np.array([[100, 110, 100, 90]], np.uint8), spec, "none", 0, 4)
    total = 2 + math.e + 1 / math.e
    np.testing.assert_allclose(values, [1 / total, math.e / total, 1 / total, 1 / math.e / total], rtol=1e-5)


def test_half_precision_may_round_above_one() -> None:
    raw = np.array([[1.0005, -0.0005, 0, 0]], np.float16)
    np.testing.assert_array_equal(to_distribution(raw, TensorSpec((1, 4), "float16"), "softmax", 0, 4), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("raw", "activation", "reason"),
    [
        ([0.5, 0.5, 0.0], "softmax", r"wrong number of outputs; given: 3; allowed: 4 labels \+ offset 0"),
        ([math.nan, 0.5, 0, 0], "softmax", "NaN"),
        ([math.nan, 0.5, 0, 0], "none", "NaN"),
        ([math.inf, 0.5, 0, 0], "none", "infinite"),
        ([0.25] * 4, "softmax", "constant output; given: 4 times 0.25"),
        ([0.0] * 4, "none", "constant output"),
        ([2.0, 0.5, 0, 0], "softmax", "must be probabilities"),
        ([-0.1, 0.5, 0, 0], "softmax", "must be probabilities"),
    ],
)
def test_senseless_outputs(raw: list[float], activation: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        to_distribution(np.array([raw], np.float32), PLAIN, activation, 0, 4)


def test_ties_go_to_the_lower_label() -> None:
    prediction = to_prediction(np.array([0.25, 0, 0.5, 0.25, 0], np.float32))
    assert prediction.labels.tolist() == [2, 0, 3, 1, 4]
    assert prediction.probabilities.tolist() == [0.5, 0.25, 0.25, 0, 0]
    assert prediction.entropy == pytest.approx(1.5 * math.log(2))
    assert (prediction.labels.dtype, prediction.probabilities.dtype) == (np.int32, np.float32)


def test_ties_at_the_cut_go_to_the_lower_label() -> None:
    distribution = np.full(50, 0.01, np.float32)
    distribution[49] = 0.5
    assert to_prediction(distribution).labels.tolist() == [49, *range(TOP_K - 1)]


@pytest.mark.parametrize(
    ("distribution", "entropy"),
    [
        ([0.0, 1.0, 0.0], 0.0),
        ([0.25] * 4, math.log(4)),
        ([0.2, 0.2, 0.1], 1.0549201679861442),
        ([0.0, 0.0], math.log(2)),
    ],
)
def test_entropy_is_of_the_distribution_scaled_to_one(distribution: list[float], entropy: float) -> None:
    """(0.4, 0.4, 0.2): 0.8 ln 2.5 + 0.2 ln 5. All zero: nothing is known."""
    found = to_prediction(np.array(distribution, np.float32)).entropy
    assert found == pytest.approx(entropy, abs=1e-6)
    assert found == float(np.float32(found))


distributions = hnp.arrays(
    np.float32,
    st.integers(2, 80),
    elements=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32)),
)


@settings(max_examples=300, deadline=None)
@given(distributions)
def test_order_rank_and_entropy_hold_for_any_distribution(distribution: np.ndarray) -> None:
    prediction = to_prediction(distribution)
    by_definition = sorted(range(distribution.size), key=lambda label: (-distribution[label], label))
    assert prediction.labels.tolist() == by_definition[:TOP_K]
    np.testing.assert_array_equal(prediction.probabilities, distribution[prediction.labels])
    assert [rank_of(distribution, label) for label in by_definition] == list(range(distribution.size))
    assert 0 <= prediction.entropy <= math.log(distribution.size) + 1e-3


class TestActivations:
    def test_sigmoids_keep_their_doubt_and_are_scaled_where_they_sum_to_more_than_1(self) -> None:
        low = to_distribution(np.array([[0.25, 0.125, 0, 0]], np.float32), PLAIN, "sigmoid", 0, 4)
        np.testing.assert_array_equal(low, [0.25, 0.125, 0, 0])
        high = to_distribution(np.array([[1, 0.5, 0.5, 0]], np.float32), PLAIN, "sigmoid", 0, 4)
        np.testing.assert_array_equal(high, [0.5, 0.25, 0.25, 0])

    def test_percentages(self) -> None:
        values = to_distribution(np.array([[50, 25, 25, 0]], np.float32), PLAIN, "percent", 0, 4)
        np.testing.assert_array_equal(values, [0.5, 0.25, 0.25, 0])
        with pytest.raises(RunError, match=r"\[0, 100\]"):
            to_distribution(np.array([[150, 25, 25, 0]], np.float32), PLAIN, "percent", 0, 4)

    def test_quantised_sigmoids(self) -> None:
        spec = TensorSpec((1, 4), "int8", 1 / 256, -128)
        values = to_distribution(np.array([[0, -64, -128, -128]], np.int8), spec, "sigmoid", 0, 4)
        np.testing.assert_allclose(values, [0.5, 0.25, 0, 0], atol=1e-7)

    @pytest.mark.parametrize(
        ("activation", "number", "second"),
        [("sigmoid", 0.75, 0.75), ("softmax", 0.25, 0.25), ("percent", 75, 0.75), ("none", math.log(3), 0.75)],
    )
    def test_one_output_is_the_probability_of_the_second_of_two_labels(
        self, activation: str, number: float, second: float
    ) -> None:
        values = to_distribution(np.array([[number]], np.float32), PLAIN, activation, 0, 2)
        np.testing.assert_allclose(values, [1 - second, second], rtol=1e-6)

    @pytest.mark.parametrize("number", [-1e30, 1e30])
    def test_a_huge_logit_of_two_labels_does_not_overflow(self, number: float) -> None:
        values = to_distribution(np.array([number], np.float32), PLAIN, "none", 0, 2)
        np.testing.assert_array_equal(values, [number < 0, number > 0])

    @pytest.mark.parametrize("number", [math.nan, math.inf, 1.5, -0.5])
    def test_one_output_that_is_no_probability_is_refused(self, number: float) -> None:
        with pytest.raises(RunError):
            to_distribution(np.array([number], np.float32), PLAIN, "sigmoid", 0, 2)

    def test_one_output_for_other_numbers_of_labels_is_refused(self) -> None:
        with pytest.raises(RunError, match="wrong number of outputs"):
            to_distribution(np.array([0.5], np.float32), PLAIN, "sigmoid", 0, 3)


@pytest.mark.parametrize(("offset", "last", "kept"), [(0, 1, [0.4, 0.3, 0.2]), (1, 1, [0.3, 0.2]), (0, 2, [0.4, 0.3])])
def test_outputs_are_dropped_at_the_end(offset: int, last: int, kept: list[float]) -> None:
    raw = np.array([[0.4, 0.3, 0.2, 0.1]], np.float32)
    values = to_distribution(raw, PLAIN, "softmax", offset, len(kept), last)
    np.testing.assert_array_equal(values, np.array(kept, np.float32))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 4, 9])
def test_a_number_that_is_none_is_refused_wherever_it_stands_among_few(broken: float, position: int) -> None:
    raw = np.arange(10, dtype=np.float32)
    raw[position] = broken
    with pytest.raises(RunError, match="NaN or infinite"):
        to_distribution(raw, TensorSpec((1, 10), "float32"), "none", 0, 10)


@pytest.mark.parametrize("n_labels", [2, 19, 20, 21, 64, 65])
def test_equal_probabilities_are_listed_by_rising_label_however_many_labels_there_are(n_labels: int) -> None:
    said = to_prediction(np.full(n_labels, 1 / n_labels, np.float32))
    assert said.labels.tolist() == list(range(min(20, n_labels)))
    assert said.labels.dtype == np.int32
