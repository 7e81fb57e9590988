"""A chain of levels, one per chosen candidate, each of any technique: the paper's X.Y.Z (section 5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Arrays, Features, Scores, Selector
from premodel.runtime.selectors.components import Components
from premodel.runtime.selectors.kinds import selector_from_components


class ChainSelector(Selector):
    """Gives each level's score by that level's technique.

    Parameters
    ----------
    groups:
        One selector per technique, all on the same features.
    levels:
        For each group, the levels (candidates, in the order of the chain) that its scores are for, in its own order;
        together they are 0 .. m-1, each once.

    Notes
    -----
    Levels of one technique form one group: all KNN levels share one neighbour search, whatever stands between them.
    A chain scores every level; that the first yes ends the paper's chain is the policy's rule.
    """

    kind = "chain"

    def __init__(self, groups: Sequence[Selector], levels: Sequence[Sequence[int]]) -> None:
        self.features = groups[0].features
        self.n_candidates = sum(len(own) for own in levels)
        self._groups = tuple(groups)
        self._levels = tuple(tuple(own) for own in levels)
        together = [level for own in self._levels for level in own]
        self._order = np.argsort(np.array(together))

    @property
    def techniques(self) -> tuple[str, ...]:
        """Technique of each level, first level first."""
        kinds = {level: group.kind for group, own in zip(self._groups, self._levels, strict=True) for level in own}
        return tuple(kinds[level] for level in range(self.n_candidates))

    def score(self, features: Features) -> Scores:
        """See `Selector.score`."""
        return np.concatenate([group.score(features) for group in self._groups])[self._order]

    def score_batch(self, features: Features) -> Scores:
        """See `Selector.score_batch`."""
        return np.concatenate([group.score_batch(features) for group in self._groups], axis=1)[:, self._order]

    def settings(self) -> dict[str, Any]:
        """See `Selector.settings`."""
        return {
            "features": list(self.features),
            "groups": [
                {"kind": group.kind, "levels": list(own), "settings": group.settings()}
                for group, own in zip(self._groups, self._levels, strict=True)
            ],
        }

    def arrays(self) -> Arrays:
        """Arrays of group g are named `g.name`; see `Selector.arrays`."""
        return {f"{g}.{name}": array for g, group in enumerate(self._groups) for name, array in group.arrays().items()}

    @classmethod
    def from_components(cls, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Selector.from_components`."""
        components = Components(cls.kind, settings, arrays)
        names = components.names()
        listed = components.setting("groups")
        keys = {"kind", "levels", "settings"}
        valid = isinstance(listed, list) and all(isinstance(group, dict) and keys <= group.keys() for group in listed)
        components.require(valid and len(listed) > 0, "the groups are incomplete")
        groups, levels = [], []
        for index, group in enumerate(listed):
            prefix = f"{index}."
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            selector = selector_from_components(group["kind"], group["settings"], own)
            components.require(selector.features == names, "a group reads other features than the chain")
            components.require(
                isinstance(group["levels"], list) and len(group["levels"]) == selector.n_candidates,
                "a group's levels are not as many as its scores",
            )
            groups.append(selector)
            levels.append(group["levels"])
        together = sorted((level for own in levels for level in own), key=str)
        components.require(
            together == sorted(range(len(together)), key=str), "the levels of the groups are not 0 to m-1, each once"
        )
        return cls(groups, levels)
