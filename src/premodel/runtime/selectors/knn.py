"""K-nearest-neighbour decisions that share one neighbour search (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.inputs import checked, checked_batch
from premodel.runtime.selectors.neighbours import NeighbourSearch
from premodel.runtime.selectors.scaling import ABOVE, BELOW, MinMaxScaler


class KnnSelector(Selector):
    """Score = share of the K nearest training samples whose label for the candidate predicts yes.

    Parameters
    ----------
    features:
        Names of the features.
    scaler:
        Min-max scaler of the training rows.
    rows:
        float32 (n, F), scaled training rows, in training order.
    labels:
        bool (n, m), the label of each training row for each candidate.
    k:
        Neighbours asked, at most n; the paper's is 5.

    Notes
    -----
    Distance is Euclidean on scaled features. Equal distances are ordered by training row, the earlier first
    (`NeighbourSearch`). With an even K half of the votes is a score of 0.5, which is not a yes.
    """

    kind = "knn"

    def __init__(
        self,
        features: tuple[str, ...],
        scaler: MinMaxScaler,
        rows: Features,
        labels: NDArray[np.bool_],
        k: int = 5,
    ) -> None:
        self.features = features
        self.n_candidates = labels.shape[1]
        self.k = k
        self._scaler = scaler
        self._rows = rows
        self._labels = labels
        self._votes = labels.astype(np.float64)
        self._search = NeighbourSearch(rows, k)

    def neighbours(self, features: Features) -> NDArray[np.intp]:
        """Training rows nearest to one input with raw features (F,), nearest first: intp (k,)."""
        return self._search.nearest(self._scaler(checked(features, self.features)))

    def score(self, features: Features) -> Scores:
        """Share of yes among the neighbours; see `Selector.score`."""
        shares: Scores = np.add.reduce(self._votes[self.neighbours(features)]) / self.k
        return shares

    def score_batch(self, features: Features) -> Scores:
        """See `Selector.score_batch`."""
        scaled = self._scaler(checked_batch(features, self.features))
        shares: Scores = np.empty((len(scaled), self.n_candidates))
        for row, query in enumerate(scaled):
            shares[row] = np.add.reduce(self._votes[self._search.nearest(query)])
        shares /= self.k
        return shares

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features), "k": self.k}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {**self._scaler.arrays(), "rows": self._rows, "labels": self._labels}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        rows = components.within("rows", np.float32, (None, len(names)), BELOW, ABOVE)
        labels = components.array("labels", np.bool_, (len(rows), None))
        k = components.count("k")
        components.require(k <= len(rows), f"k is {k} but there are {len(rows)} training rows")
        components.require(labels.shape[1] > 0, "there are no candidates")
        return cls(names, MinMaxScaler.from_components(components, len(names)), rows, labels, k)
