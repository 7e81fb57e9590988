"""Fit of one classifier over the candidates and none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features, Selector
from premodel.runtime.selectors.multi_class import TECHNIQUES, MultiClassSelector
from premodel.training.selectors import decision_tree, knn
from premodel.training.selectors.base import check_training


def fit(
    features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0, technique: str = "knn"
) -> MultiClassSelector:
    """Fit one classifier (see `Fit`).

    Parameters
    ----------
    technique:
        "knn" or "decision_tree".

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
    classifier: Selector
    if technique == "knn":
        # The share of a class among the neighbours is the share of yes to it; none is what is left.
        classifier = knn.fit(features, labels, names, seed)
    else:
        n_candidates = labels.shape[1]
        classes = np.where(labels.any(axis=1), labels.argmax(axis=1), n_candidates)
        classifier = decision_tree.fit_classes(features, classes, n_candidates, names, seed)
    return MultiClassSelector(classifier)
