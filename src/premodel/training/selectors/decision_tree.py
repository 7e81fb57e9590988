"""Fit of the decision-tree selector with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.decision_tree import DecisionTreeSelector
from premodel.training.selectors.base import check_training, scikit_learn

DEPTH = 16
"""Greatest depth of a tree; see `DecisionTreeSelector`."""


def fit(
    features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0, depth: int = DEPTH
) -> DecisionTreeSelector:
    """Fit one tree per candidate (see `Fit`): Gini impurity, at most `depth` deep, otherwise unpruned."""
    check_training(features, labels, names)
    trees = [_tree(features, column.astype(np.intp), depth, seed) for column in labels.T]
    return _selector(names, trees, [_share_of(tree, [1]) for tree in trees])


def fit_classes(
    features: Features,
    classes: NDArray[np.intp],
    n_candidates: int,
    names: tuple[str, ...],
    seed: int = 0,
    depth: int = DEPTH,
) -> DecisionTreeSelector:
    """Fit one tree over classes 0 .. n_candidates, where class j < n_candidates is candidate j and the last is none."""
    tree = _tree(features, classes, depth, seed)
    return _selector(names, [tree], [_share_of(tree, list(range(n_candidates)))])


def _tree(features: Features, classes: NDArray[np.intp], depth: int, seed: int) -> Any:
    classifier = scikit_learn("tree").DecisionTreeClassifier(max_depth=depth, random_state=seed)
    return classifier.fit(features, classes)


def _share_of(tree: Any, wanted: list[int]) -> NDArray[np.float64]:
    """Share of each wanted class in each node: (nodes, wanted); 0 for a class that training never saw."""
    values = tree.tree_.value[:, 0, :]
    shares = values / values.sum(axis=1, keepdims=True)
    seen = list(tree.classes_)
    columns = [shares[:, seen.index(one)] if one in seen else np.zeros(len(shares)) for one in wanted]
    return np.stack(columns, axis=1)


def _selector(names: tuple[str, ...], trees: list[Any], shares: list[NDArray[np.float64]]) -> DecisionTreeSelector:
    """Join trees into the arrays of one selector."""
    sizes = [tree.tree_.node_count for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    feature, threshold, left, right = [], [], [], []
    for root, tree in zip(roots, trees, strict=True):
        nodes = tree.tree_
        leaf = nodes.children_left < 0
        feature.append(np.where(leaf, -1, nodes.feature))
        threshold.append(np.where(leaf, 0.0, nodes.threshold))
        left.append(np.where(leaf, 0, nodes.children_left + root))
        right.append(np.where(leaf, 0, nodes.children_right + root))
    return DecisionTreeSelector(
        names,
        roots,
        np.concatenate(feature).astype(np.int32),
        np.concatenate(threshold).astype(np.float64),
        np.concatenate(left).astype(np.int32),
        np.concatenate(right).astype(np.int32),
        np.concatenate(shares),
    )
