"""Support vector machines between every two classes, which vote on "which candidate is the optimum, or none"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.svm import SvmSelector


class SvmPairsSelector(Selector):
    """Score = share of the machines that vote for the candidate's class.

    Parameters
    ----------
    machines:
        One machine per pair of classes, in place of one per candidate: yes is a vote for the first of its pair.
    n_candidates:
        Number m of candidates; class m is none of them.
    pairs:
        int32 (p, 2), the two classes of each machine. Where training saw one class only, that class twice.

    Notes
    -----
    This is how scikit-learn's support vector classifier decides among classes. Of classes with as many votes it takes
    the first; here scores are equal, and the policy decides.
    """

    kind = "svm_pairs"
    exclusive = True

    def __init__(self, machines: SvmSelector, n_candidates: int, pairs: NDArray[np.int32]) -> None:
        self.features = machines.features
        self.n_candidates = n_candidates
        self._machines = machines
        self._pairs = pairs
        self._every = np.arange(len(pairs))

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        first = self._machines.decision_values(features) > 0
        winners = self._pairs[self._every, np.where(first, 0, 1)]
        votes = np.bincount(winners, minlength=self.n_candidates + 1)
        return votes[: self.n_candidates] / len(self._pairs)

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {"n_candidates": self.n_candidates, "machines": self._machines.settings()}

    def arrays(self) -> Arrays:
        """See `Selector.arrays`."""
        return {**self._machines.arrays(), "pairs": self._pairs}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        count, inner = components.count("n_candidates"), components.setting("machines")
        components.require(isinstance(inner, dict), "the machines' settings are not a table")
        machines = SvmSelector.from_components(inner, arrays)
        pairs = components.within("pairs", np.int32, (machines.n_candidates, 2), 0, count)
        return cls(machines, count, pairs)
