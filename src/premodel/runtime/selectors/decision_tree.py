"""Decision trees, one per candidate or one for several (paper section 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.inputs import checked, checked_batch

LEAF = -1
"""What `feature` holds at a leaf."""


class DecisionTreeSelector(Selector):
    """Score = share of yes among the training samples in the leaf that the input falls into.

    Parameters
    ----------
    features:
        Names of the features.
    roots:
        int32 (t,), node where each tree starts: t = m trees with one output each, or one tree with m outputs.
    feature:
        int32 (nodes,), index of the feature a node asks about; LEAF at a leaf.
    threshold:
        float64 (nodes,): raw feature <= threshold goes left.
    left, right:
        int32 (nodes,), children; always later than their parent. 0 at a leaf.
    shares:
        float64 (nodes, outputs), share of yes in the node, per output.

    Notes
    -----
    Trees read raw features: scaling would not change them. The paper gives no depth; the fit's default is 16, the
    depth that the name `dt16` in the authors' artefact suggests.
    """

    kind = "decision_tree"

    def __init__(
        self,
        features: tuple[str, ...],
        roots: NDArray[np.int32],
        feature: NDArray[np.int32],
        threshold: NDArray[np.float64],
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        shares: NDArray[np.float64],
    ) -> None:
        self.features = features
        self.n_candidates = len(roots) * shares.shape[1]
        self._arrays: Arrays = {
            "roots": roots,
            "feature": feature,
            "threshold": threshold,
            "left": left,
            "right": right,
            "shares": shares,
        }
        # Walking a tree one node at a time is quicker on lists than on arrays.
        self._feature: list[int] = feature.tolist()
        self._threshold: list[float] = threshold.tolist()
        self._left: list[int] = left.tolist()
        self._right: list[int] = right.tolist()
        self._roots: list[int] = roots.tolist()

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        values = checked(features, self.features).tolist()
        leaves = [self._leaf(root, values) for root in self._roots]
        scores: Scores = self._arrays["shares"][leaves].reshape(-1)
        return scores

    def _leaf(self, node: int, values: list[float]) -> int:
        """The leaf below `node` that these values fall into."""
        while (asked := self._feature[node]) != LEAF:
            node = self._left[node] if values[asked] <= self._threshold[node] else self._right[node]
        return node

    def score_batch(self, features: Features) -> Scores:
        """See `Selector.score_batch`."""
        rows = checked_batch(features, self.features)
        everyone = np.arange(len(rows))[:, None]
        node = np.tile(self._arrays["roots"], (len(rows), 1))
        while ((asked := self._arrays["feature"][node]) != LEAF).any():
            lower = rows[everyone, np.maximum(asked, 0)] <= self._arrays["threshold"][node]
            child = np.where(lower, self._arrays["left"][node], self._arrays["right"][node])
            node = np.where(asked == LEAF, node, child)
        scores: Scores = self._arrays["shares"][node].reshape(len(rows), self.n_candidates)
        return scores

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"features": list(self.features)}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return dict(self._arrays)

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`; a tree that would not end is refused."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        roots = components.array("roots", np.int32, (None,))
        feature = components.array("feature", np.int32, (None,))
        n = len(feature)
        threshold = components.finite("threshold", np.float64, (n,))
        left = components.array("left", np.int32, (n,))
        right = components.array("right", np.int32, (n,))
        shares = components.finite("shares", np.float64, (n, None))
        components.require(len(roots) > 0 and shares.shape[1] > 0, "there are no candidates")
        components.require(bool(((roots >= 0) & (roots < n)).all()), "a tree starts outside its nodes")
        components.require(
            bool(((feature >= LEAF) & (feature < len(names))).all()), "a node asks about no known feature"
        )
        inner = feature != LEAF
        own = np.arange(n)[inner]
        ordered = all(bool(((child[inner] > own) & (child[inner] < n)).all()) for child in (left, right))
        components.require(ordered, "a node's child is not a later node")
        components.require(bool(((shares >= 0) & (shares <= 1)).all()), "a share is outside [0, 1]")
        return cls(names, roots, feature, threshold, left, right, shares)
