"""Gaussian naive Bayes as one model over "which candidate is the optimum, or none"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import MAX_WEIGHT, Components
from premodel.runtime.selectors.inputs import checked
from premodel.runtime.selectors.naive_bayes import MIN_VARIANCE
from premodel.runtime.selectors.scaling import ABOVE, BELOW, MinMaxScaler


class NaiveBayesClassesSelector(Selector):
    """Score = posterior of the candidate's class under independent Gaussian features.

    Source: the premodel that V. S. Marco et al., ACM TECS 19(1), 2020, chose for translation.

    Parameters
    ----------
    features:
        Names of the features.
    scaler:
        Min-max scaler of the training rows.
    n_candidates:
        Number m of candidates; class m is none of them.
    classes:
        int32 (c,), the classes that occurred in training, rising.
    means, variances:
        float64 (c, F), of each feature in each class; variances above 0.
    log_priors:
        float64 (c,), log of the share of each class.

    Notes
    -----
    A class that training never saw scores 0. What the scores leave of 1 is the posterior of none.
    """

    kind = "naive_bayes_classes"
    exclusive = True

    def __init__(
        self,
        features: tuple[str, ...],
        scaler: MinMaxScaler,
        n_candidates: int,
        classes: NDArray[np.int32],
        means: NDArray[np.float64],
        variances: NDArray[np.float64],
        log_priors: NDArray[np.float64],
    ) -> None:
        self.features = features
        self.n_candidates = n_candidates
        self._scaler = scaler
        self._classes = classes
        self._means = means
        self._variances = variances
        self._log_priors = log_priors
        self._offset = log_priors - 0.5 * np.log(variances).sum(axis=1)

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        squares = np.square(self._scaler(checked(features, self.features)) - self._means)
        squares /= self._variances
        logs = self._offset - 0.5 * np.add.reduce(squares, axis=1)
        likely = np.exp(logs - logs.max())
        shares = np.zeros(self.n_candidates + 1)
        shares[self._classes] = likely / likely.sum()
        return shares[: self.n_candidates]

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features), "n_candidates": self.n_candidates}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {
            **self._scaler.arrays(),
            "classes": self._classes,
            "means": self._means,
            "variances": self._variances,
            "log_priors": self._log_priors,
        }

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names, count = components.names(), components.count("n_candidates")
        classes = components.within("classes", np.int32, (None,), 0, count)
        rising = len(classes) > 0 and bool((np.diff(classes) > 0).all())
        components.require(rising, "the classes are not distinct and rising")
        shape = (len(classes), len(names))
        means = components.within("means", np.float64, shape, BELOW, ABOVE)
        variances = components.within("variances", np.float64, shape, MIN_VARIANCE, MAX_WEIGHT)
        log_priors = components.within("log_priors", np.float64, (len(classes),), -MAX_WEIGHT, 0.0)
        scaler = MinMaxScaler.from_components(components, len(names))
        return cls(names, scaler, count, classes, means, variances, log_priors)
