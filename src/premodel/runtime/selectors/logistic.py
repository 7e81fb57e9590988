"""Ridge logistic regression, one linear model per candidate: the plain baseline among selectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import MAX_WEIGHT, Components
from premodel.runtime.selectors.inputs import checked
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.runtime.selectors.sigmoid import sigmoid


class LogisticSelector(Selector):
    """Score = logistic of a weighted sum of the scaled features: a probability, calibrated as far as the fit is.

    Parameters
    ----------
    features:
        Names of the features.
    scaler:
        Min-max scaler of the training rows.
    weights:
        float64 (m, F).
    intercepts:
        float64 (m,); infinite for a candidate whose labels were all alike.
    """

    kind = "logistic"

    def __init__(
        self,
        features: tuple[str, ...],
        scaler: MinMaxScaler,
        weights: NDArray[np.float64],
        intercepts: NDArray[np.float64],
    ) -> None:
        self.features = features
        self.n_candidates = len(intercepts)
        self._scaler = scaler
        self._weights = weights
        self._intercepts = intercepts

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        scaled = self._scaler(checked(features, self.features))
        return sigmoid(np.add.reduce(self._weights * scaled, axis=1) + self._intercepts)

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features)}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {**self._scaler.arrays(), "weights": self._weights, "intercepts": self._intercepts}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        intercepts = components.array("intercepts", np.float64, (None,))
        weights = components.within("weights", np.float64, (len(intercepts), len(names)), -MAX_WEIGHT, MAX_WEIGHT)
        components.require(len(intercepts) > 0, "there are no candidates")
        components.require(not bool(np.isnan(intercepts).any()), "an intercept is NaN")
        return cls(names, MinMaxScaler.from_components(components, len(names)), weights, intercepts)
