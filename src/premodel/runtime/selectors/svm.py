"""Support vector machines with a Gaussian kernel, one per candidate (paper section 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import MAX_WEIGHT, Components
from premodel.runtime.selectors.distances import DistanceTable
from premodel.runtime.selectors.inputs import checked
from premodel.runtime.selectors.scaling import ABOVE, BELOW, MinMaxScaler
from premodel.runtime.selectors.sigmoid import sigmoid

MAX_GAMMA = 1e12
"""Of a kernel on scaled features; beyond it rounding decides."""


class SvmSelector(Selector):
    """Score = logistic of the decision value: above 0.5 exactly where the machine predicts yes.

    Parameters
    ----------
    features:
        Names of the features.
    scaler:
        Min-max scaler of the training rows.
    support:
        float32 (S, F), scaled support vectors of all candidates together, so that the kernel is computed once.
    weights:
        float64 (m, S), weight of each support vector for each candidate; 0 where it is none of the candidate's.
    intercepts:
        float64 (m,); infinite for a candidate whose training labels were all alike.
    gamma:
        Of the kernel exp(-gamma |x - s|^2).

    Notes
    -----
    The decision value is a distance from the boundary in the kernel's space, not a probability, and the logistic of it
    is not calibrated: scores order inputs and say yes or no, no more. It is computed in float64; it differs from
    scikit-learn's in the last digits only, so decisions differ only where the value is 0 within that rounding.
    """

    kind = "svm"

    def __init__(
        self,
        features: tuple[str, ...],
        scaler: MinMaxScaler,
        support: Features,
        weights: NDArray[np.float64],
        intercepts: NDArray[np.float64],
        gamma: float,
    ) -> None:
        self.features = features
        self.n_candidates = len(intercepts)
        self.gamma = gamma
        self._scaler = scaler
        self._support = support
        self._weights = weights
        self._intercepts = intercepts
        self._table = DistanceTable(support, np.float64)
        padded = np.zeros((self.n_candidates, self._table.blocks * self._table.width))
        padded[:, : len(support)] = weights
        self._padded = padded

    def decision_values(self, features: Features) -> NDArray[np.float64]:
        """float64 (m,): above 0 is a yes; raw features (F,)."""
        scaled = self._scaler(checked(features, self.features)).astype(np.float64)
        kernel = self._table.of(self._table.extended(scaled)).reshape(-1)
        kernel += scaled @ scaled
        kernel *= -self.gamma
        np.exp(kernel, out=kernel)
        values: NDArray[np.float64] = np.vecdot(self._padded, kernel)
        values += self._intercepts
        return values

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        return sigmoid(self.decision_values(features))

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features), "gamma": self.gamma}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {
            **self._scaler.arrays(),
            "support": self._support,
            "weights": self._weights,
            "intercepts": self._intercepts,
        }

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        gamma = components.number("gamma")
        components.require(0 < gamma <= MAX_GAMMA, f"gamma is not above 0 and up to {MAX_GAMMA:g}")
        support = components.within("support", np.float32, (None, len(names)), BELOW, ABOVE)
        intercepts = components.array("intercepts", np.float64, (None,))
        weights = components.within("weights", np.float64, (len(intercepts), len(support)), -MAX_WEIGHT, MAX_WEIGHT)
        components.require(len(intercepts) > 0, "there are no candidates")
        components.require(not bool(np.isnan(intercepts).any()), "an intercept is NaN")
        return cls(names, MinMaxScaler.from_components(components, len(names)), support, weights, intercepts, gamma)
