"""Deployed selectors decide as scikit-learn does, on training rows and on rows they never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors import decision_tree, knn, logistic, multi_class, naive_bayes, svm

neighbors = pytest.importorskip("sklearn.neighbors", reason="scikit-learn comes with the extra lab")
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.naive_bayes import GaussianNB  # noqa: E402
from sklearn.svm import SVC  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

NAMES = tuple(f"feature_{index}" for index in range(7))


@pytest.fixture(scope="module", params=[0, 1])
def data(request: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    rng = np.random.default_rng(request.param)
    scale = 10.0 ** rng.integers(-3, 4, 7)
    features = (rng.normal(size=(900, 7)) * scale).astype(np.float32)
    signal = features[:, 0] / scale[0] + np.square(features[:, 1] / scale[1])
    labels = signal[:, None] + rng.normal(size=(900, 3)) > np.array([0.2, 1.0, 2.2])
    new = (1.5 * rng.normal(size=(4_000, 7)) * scale).astype(np.float32)
    return features, labels, np.concatenate([features, new])


def compare(classifier: Any, rows: Any, asked: Any, labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> None:
    """Decisions equal everywhere, and probabilities too where the classifier gives them."""
    for candidate in range(labels.shape[1]):
        fitted = classifier.fit(rows, labels[:, candidate])
        assert np.array_equal(fitted.predict(asked), scores[:, candidate] > 0.5)
        if hasattr(fitted, "predict_proba"):
            assert fitted.predict_proba(asked)[:, 1] == pytest.approx(scores[:, candidate], abs=1e-9)


def test_knn(data: Any) -> None:
    """Continuous features: no two distances tie."""
    features, labels, asked = data
    scale = MinMaxScaler.of(features)
    reference = neighbors.KNeighborsClassifier(5, algorithm="kd_tree")
    scores = knn.fit(features, labels, NAMES).score_batch(asked)
    compare(reference, scale(features).astype(float), scale(asked).astype(float), labels, scores)


def test_decision_tree(data: Any) -> None:
    features, labels, asked = data
    reference = DecisionTreeClassifier(max_depth=16, random_state=5)
    compare(reference, features, asked, labels, decision_tree.fit(features, labels, NAMES, 5).score_batch(asked))


def test_a_shallow_tree_has_impure_leaves(data: Any) -> None:
    features, labels, asked = data
    reference = DecisionTreeClassifier(max_depth=3, random_state=5)
    scores = decision_tree.fit(features, labels, NAMES, 5, depth=3).score_batch(asked)
    assert len(np.unique(scores)) > 4
    compare(reference, features, asked, labels, scores)


def test_svm(data: Any) -> None:
    features, labels, asked = data
    scale = MinMaxScaler.of(features)
    rows = scale(features).astype(float)
    reference = SVC(C=1.0, gamma=1.0 / (7 * rows.var()))
    compare(reference, rows, scale(asked).astype(float), labels, svm.fit(features, labels, NAMES).score_batch(asked))


def test_svm_decision_values(data: Any) -> None:
    features, labels, asked = data
    scale = MinMaxScaler.of(features)
    rows = scale(features).astype(float)
    selector = svm.fit(features, labels, NAMES)
    reference = SVC(C=1.0, gamma=selector.gamma).fit(rows, labels[:, 1])
    values = [selector.decision_values(row)[1] for row in asked[:1_500]]
    assert reference.decision_function(scale(asked[:1_500]).astype(float)) == pytest.approx(values, abs=1e-9)


def test_naive_bayes(data: Any) -> None:
    features, labels, asked = data
    scale = MinMaxScaler.of(features)
    scores = naive_bayes.fit(features, labels, NAMES).score_batch(asked)
    compare(GaussianNB(), scale(features).astype(float), scale(asked).astype(float), labels, scores)


def test_logistic(data: Any) -> None:
    features, labels, asked = data
    scale = MinMaxScaler.of(features)
    # Of scikit-learn's solvers the one that reaches the minimum of the loss, as ours does.
    reference = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1_000)
    scores = logistic.fit(features, labels, NAMES).score_batch(asked)
    compare(reference, scale(features).astype(float), scale(asked).astype(float), labels, scores)


@pytest.mark.parametrize("technique", ["knn", "decision_tree"])
def test_multi_class(data: Any, technique: str) -> None:
    features, labels, asked = data
    labels = labels & (np.cumsum(labels, axis=1) == 1)
    classes = np.where(labels.any(axis=1), labels.argmax(axis=1), 3)
    selector = multi_class.fit(features, labels, NAMES, 5, technique=technique)
    if technique == "knn":
        scale = MinMaxScaler.of(features)
        fitted = neighbors.KNeighborsClassifier(5).fit(scale(features).astype(float), classes)
        expected = fitted.predict_proba(scale(asked).astype(float))
    else:
        expected = DecisionTreeClassifier(max_depth=16, random_state=5).fit(features, classes).predict_proba(asked)
    scores = selector.score_batch(asked)
    assert scores == pytest.approx(expected[:, :3], abs=1e-12)
    assert selector.none(scores) == pytest.approx(expected[:, 3], abs=1e-12)


def test_naive_bayes_of_classes(data: Any) -> None:
    features, labels, asked = data
    labels = labels & (np.cumsum(labels, axis=1) == 1)
    classes = np.where(labels.any(axis=1), labels.argmax(axis=1), 3)
    scale = MinMaxScaler.of(features)
    expected = GaussianNB().fit(scale(features).astype(float), classes).predict_proba(scale(asked).astype(float))
    scores = multi_class.fit(features, labels, NAMES, technique="naive_bayes").score_batch(asked)
    assert scores == pytest.approx(expected[:, :3], abs=1e-9)


def test_svm_of_classes(data: Any) -> None:
    features, labels, asked = data
    labels, asked = labels & (np.cumsum(labels, axis=1) == 1), asked[:1_500]
    classes = np.where(labels.any(axis=1), labels.argmax(axis=1), 3)
    scale = MinMaxScaler.of(features)
    rows = scale(features).astype(float)
    reference = SVC(C=1.0, gamma=1.0 / (7 * rows.var())).fit(rows, classes)
    scores = multi_class.fit(features, labels, NAMES, technique="svm").score_batch(asked)
    votes = np.column_stack([scores, 1 - scores.sum(axis=1)])
    alone = np.sort(votes, axis=1)[:, -1] - np.sort(votes, axis=1)[:, -2] > 0.01  # no two classes of as many votes
    assert alone.mean() > 0.9
    assert np.array_equal(votes[alone].argmax(axis=1), reference.predict(scale(asked).astype(float))[alone])
