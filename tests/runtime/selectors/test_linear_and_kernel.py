"""Worked examples of the logistic, SVM and naive Bayes selectors, by hand."""

from __future__ import annotations

from math import exp, inf, log, pi, sqrt

import numpy as np
import pytest

from premodel.errors import BundleError
from premodel.runtime.selectors.base import Arrays
from premodel.runtime.selectors.logistic import LogisticSelector
from premodel.runtime.selectors.naive_bayes import NaiveBayesSelector
from premodel.runtime.selectors.svm import SvmSelector

SETTINGS = {"features": ["contrast", "hue1"]}
SCALE: Arrays = {"low": np.float64([0, 0]), "high": np.float64([10, 4])}


def test_logistic_by_hand() -> None:
    # (5, 1) scales to (0.5, 0.25). Candidate 0: 2 * 0.5 - 4 * 0.25 + log 3 = log 3 -> 3 / 4. Candidate 1: 0 -> 1 / 2.
    arrays = SCALE | {"weights": np.float64([[2, -4], [1, -2]]), "intercepts": np.float64([log(3), 0])}
    selector = LogisticSelector.from_components(SETTINGS, arrays)
    assert selector.score(np.float32([5, 1])).tolist() == pytest.approx([0.75, 0.5], abs=1e-15)


def test_logistic_of_labels_all_alike_is_certain() -> None:
    arrays = SCALE | {"weights": np.zeros((2, 2)), "intercepts": np.float64([inf, -inf])}
    assert LogisticSelector.from_components(SETTINGS, arrays).score(np.float32([5, 1])).tolist() == [1.0, 0.0]


def test_svm_by_hand() -> None:
    # Scaled input (0.5, 0.25). Support vectors (0.5, 0.25) and (0.5, 1.25): squared distances 0 and 1.
    arrays = SCALE | {
        "support": np.float32([[0.5, 0.25], [0.5, 1.25]]),
        "weights": np.float64([[2, -3], [0, 1]]),
        "intercepts": np.float64([-1, -exp(-2)]),
    }
    selector = SvmSelector.from_components({**SETTINGS, "gamma": 2.0}, arrays)
    decided = selector.decision_values(np.float32([5, 1]))
    assert decided.tolist() == pytest.approx([2 - 3 * exp(-2) - 1, 0], abs=1e-15)
    value = 1 - 3 * exp(-2)
    assert selector.score(np.float32([5, 1])).tolist() == pytest.approx([1 / (1 + exp(-value)), 0.5], abs=1e-15)


def test_svm_far_from_every_support_vector_says_its_intercept() -> None:
    arrays = SCALE | {
        "support": np.float32([[0, 0]]),
        "weights": np.float64([[5]]),
        "intercepts": np.float64([-1]),
    }
    selector = SvmSelector.from_components({**SETTINGS, "gamma": 1e6}, arrays)
    assert selector.decision_values(np.float32([10, 4])).tolist() == [-1]


def test_svm_wants_a_gamma_above_0() -> None:
    arrays = SCALE | {
        "support": np.float32([[0, 0]]),
        "weights": np.float64([[5]]),
        "intercepts": np.float64([-1]),
    }
    for gamma in (0, -1.0, "1", float("nan")):
        with pytest.raises(BundleError, match="gamma"):
            SvmSelector.from_components({**SETTINGS, "gamma": gamma}, arrays)


def test_naive_bayes_by_hand() -> None:
    def density(x: float, mean: float, variance: float) -> float:
        return exp(-((x - mean) ** 2) / (2 * variance)) / sqrt(2 * pi * variance)

    means = np.float64([[[0.2, 0.1], [0.6, 0.5]]])
    variances = np.float64([[[0.04, 0.09], [0.01, 0.25]]])
    arrays = SCALE | {"means": means, "variances": variances, "log_odds": np.float64([log(0.25 / 0.75)])}
    selector = NaiveBayesSelector.from_components(SETTINGS, arrays)
    no = 0.75 * density(0.5, 0.2, 0.04) * density(0.25, 0.1, 0.09)
    yes = 0.25 * density(0.5, 0.6, 0.01) * density(0.25, 0.5, 0.25)
    assert selector.score(np.float32([5, 1])).tolist() == pytest.approx([yes / (yes + no)], abs=1e-12)


def test_naive_bayes_wants_variances_above_0() -> None:
    arrays = SCALE | {"means": np.zeros((1, 2, 2)), "variances": np.zeros((1, 2, 2)), "log_odds": np.zeros(1)}
    with pytest.raises(BundleError, match="variance"):
        NaiveBayesSelector.from_components(SETTINGS, arrays)
