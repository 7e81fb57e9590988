"""The contract of a selector: features in, one score per candidate out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Scores = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


class Selector(ABC):
    """Estimates, for each candidate, the probability that it will be right on an input.

    Attributes
    ----------
    features:
        Names of the features it reads, in the order of the vector given to `score`.
    n_candidates:
        Number m of scores it gives.

    A selector is plain data: `settings()` (JSON) and `arrays()` (numpy) are all there is, and
    `from_components` makes an equal selector of them. Ties and order are part of each selector's docstring.
    """

    kind: ClassVar[str]
    exclusive: ClassVar[bool] = False
    """Are the scores of one input shares of classes: they sum to at most 1, and what is left is the share of none."""
    features: tuple[str, ...]
    n_candidates: int

    @abstractmethod
    def score(self, features: Features) -> Scores:
        """Score one input: raw (unscaled) features float32 (F,) -> float64 (m,), each in [0, 1]."""

    def score_batch(self, features: Features) -> Scores:
        """Score many inputs, (n, F) -> (n, m); the same values as `score` row by row."""
        if len(features) == 0:
            return np.empty((0, self.n_candidates))
        return np.stack([self.score(row) for row in features])

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable settings, without arrays."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """The arrays of the bundle, by name."""

    @classmethod
    @abstractmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the selector again.

        Raises
        ------
        BundleError
            The components are incomplete or contradict each other.
        """
