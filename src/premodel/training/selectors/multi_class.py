"""Fit of one classifier over the candidates and none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features, Selector
from premodel.runtime.selectors.multi_class import MultiClassSelector
from premodel.training.selectors import decision_tree, knn, naive_bayes, svm
from premodel.training.selectors.base import check_training

TECHNIQUES = ("knn", "decision_tree", "naive_bayes", "svm")
"""What the one classifier may be."""


def fit(
    features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0, technique: str = "knn"
) -> Selector:
    """Fit one classifier (see `Fit`).

    Parameters
    ----------
    technique:
        One of TECHNIQUES.

    Raises
    ------
    OptionError
        Also if the technique is unknown or a sample's labels say yes to two candidates (the labels "right" do).
    """
    check_training(features, labels, names)
    if technique not in TECHNIQUES:
        raise OptionError("unknown technique of multi_class", given=technique, allowed=", ".join(TECHNIQUES))
    if (labels.sum(axis=1) > 1).any():
        raise OptionError(
            "multi_class requires one class per sample",
            given="labels that say yes to several candidates",
            allowed="the label scheme optimum",
        )
    if technique == "knn":
        # The share of a class among the neighbours is the share of yes to it; none is what is left.
        return MultiClassSelector(knn.fit(features, labels, names, seed))
    n_candidates = labels.shape[1]
    classes = np.where(labels.any(axis=1), labels.argmax(axis=1), n_candidates)
    if technique == "naive_bayes":
        return naive_bayes.fit_classes(features, classes, n_candidates, names)
    if technique == "svm":
        return svm.fit_classes(features, classes, n_candidates, names, seed)
    return MultiClassSelector(decision_tree.fit_classes(features, classes, n_candidates, names, seed))
