"""Gaussian naive Bayes, one two-class model per candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import MAX_WEIGHT, Components
from premodel.runtime.selectors.inputs import checked
from premodel.runtime.selectors.scaling import ABOVE, BELOW, MinMaxScaler
from premodel.runtime.selectors.sigmoid import sigmoid

MIN_VARIANCE = 1e-100
"""Above 0: what is divided by it stays a number."""


class NaiveBayesSelector(Selector):
    """Score = posterior of yes under independent Gaussian features.

    Parameters
    ----------
    features:
        Names of the features.
    scaler:
        Min-max scaler of the training rows.
    means, variances:
        float64 (m, 2, F), of each feature among the no (0) and the yes (1) of each candidate; variances above 0.
    log_odds:
        float64 (m,), log of prior yes over prior no; infinite for a candidate whose labels were all alike.
    """

    kind = "naive_bayes"

    def __init__(
        self,
        features: tuple[str, ...],
        scaler: MinMaxScaler,
        means: NDArray[np.float64],
        variances: NDArray[np.float64],
        log_odds: NDArray[np.float64],
    ) -> None:
        self.features = features
        self.n_candidates = len(log_odds)
        self._scaler = scaler
        self._means = means
        self._variances = variances
        self._log_odds = log_odds
        spread = np.log(variances).sum(axis=2)
        self._offset = log_odds - 0.5 * (spread[:, 1] - spread[:, 0])

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        scaled = self._scaler(checked(features, self.features))
        squares = np.square(scaled - self._means)
        squares /= self._variances
        distance = np.add.reduce(squares, axis=2)
        return sigmoid(self._offset - 0.5 * (distance[:, 1] - distance[:, 0]))

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features)}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {
            **self._scaler.arrays(),
            "means": self._means,
            "variances": self._variances,
            "log_odds": self._log_odds,
        }

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        log_odds = components.array("log_odds", np.float64, (None,))
        means = components.within("means", np.float64, (len(log_odds), 2, len(names)), BELOW, ABOVE)
        variances = components.within("variances", np.float64, (len(log_odds), 2, len(names)), MIN_VARIANCE, MAX_WEIGHT)
        components.require(len(log_odds) > 0, "there are no candidates")
        components.require(not bool(np.isnan(log_odds).any()), "a prior is NaN")
        return cls(names, MinMaxScaler.from_components(components, len(names)), means, variances, log_odds)
