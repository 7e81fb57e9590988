"""One classifier over "which candidate is the optimum, or none" (paper section 5.2, the premodels of Figure 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.kinds import selector_from_components

TECHNIQUES = ("knn", "decision_tree")
"""What the one classifier may be: techniques whose scores are shares of one set of training samples."""


class MultiClassSelector(Selector):
    """Score = estimated probability that the candidate is the optimum.

    Parameters
    ----------
    classifier:
        A selector whose scores are shares of classes: they sum to at most 1, and what is left is the share of none.

    Notes
    -----
    The scores of one input sum to at most 1; `none` gives the rest. A policy that takes the highest score abstains or
    falls back where none is higher still.
    """

    kind = "multi_class"
    exclusive = True

    def __init__(self, classifier: Selector) -> None:
        self.features = classifier.features
        self.n_candidates = classifier.n_candidates
        self._classifier = classifier

    @property
    def technique(self) -> str:
        """Kind of the one classifier."""
        return self._classifier.kind

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        return self._classifier.score(features)

    def score_batch(self, features: Features) -> Scores:
        """See `Selector.score_batch`."""
        return self._classifier.score_batch(features)

    @staticmethod
    def none(scores: Scores) -> Scores:
        """Share of the class none, given scores (..., m): (...)."""
        rest: Scores = np.maximum(1.0 - scores.sum(axis=-1), 0.0)
        return rest

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"technique": self.technique, "classifier": self._classifier.settings()}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return self._classifier.arrays()

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        technique = components.setting("technique")
        components.require(technique in TECHNIQUES, f"unknown technique {technique}")
        inner = components.setting("classifier")
        components.require(isinstance(inner, dict), "the classifier's settings are not a table")
        return cls(selector_from_components(technique, inner, arrays))
