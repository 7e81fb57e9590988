"""From a text to its vector of features, and what each subset costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.domains.base import FeatureGroup
from premodel.domains.features import FeatureFamily
from premodel.domains.text.features.embedding import Embedding, Source
from premodel.domains.text.features.families import FAMILIES
from premodel.domains.text.features.parts import TextParts, shared_of
from premodel.errors import OptionError

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for family in FAMILIES for feature in family.features)
EXTRACTOR_VERSION = "text-" + ".".join(str(family.version) for family in FAMILIES)
"""Of all families together."""
ASSEMBLY = "assembly"
"""The cost item in which the vector is put together; paid by every extraction."""
Families = tuple[type[FeatureFamily], ...]


class Extractor:
    """Computes a chosen subset of the features, and nothing that the subset does not need.

    Parameters
    ----------
    names:
        In the order wanted; None for all, in the order of `FEATURE_NAMES`, those of the embedding last.
    embedding:
        The table whose embedding is among the features; None for none. It is opened only if a name asks for it.

    Raises
    ------
    OptionError
        A feature is unknown or named twice.
    MissingExtraError, ModelError
        The table is not installed, or another one is.

    Examples
    --------
    >>> Extractor(["n_words", "avg_punc"]).extract("Guten Tag , Welt !").tolist()
    [5.0, 0.4000000059604645]
    """

    def __init__(self, names: Sequence[str] | None = None, embedding: Source | None = None) -> None:
        known = families_with(embedding)
        self.names = feature_names(known) if names is None else tuple(names)
        chosen = families_of(self.names, known)
        self._families = tuple(Embedding(embedding) if family is Embedding else family() for family in chosen)
        self._shared = shared_of([need for family in chosen for need in family.needs])
        computed = [feature.name for family in chosen for feature in family.features]
        self._order = [computed.index(name) for name in self.names]

    def cost_items(self) -> tuple[str, ...]:
        """Names of the cost items."""
        return (*self._shared, *(family.name for family in self._families), ASSEMBLY)

    def extract(self, sample: str) -> NDArray[np.float32]:
        """float32 (F,), in the order of `names`, always finite."""
        parts = TextParts(sample)
        values: list[float] = []
        for family in self._families:
            values += family.compute(parts)
        return self._assemble(values)

    def time_cost_items(self, sample: str) -> dict[str, float]:
        """Milliseconds of each cost item on one text, measured once, without warm-up."""
        spent: dict[str, float] = {}
        values: list[float] = []
        parts = TextParts(sample)
        for name in self._shared:
            start = now_ms()
            getattr(parts, name)
            spent[name] = now_ms() - start
        for family in self._families:
            start = now_ms()
            values += family.compute(parts)
            spent[family.name] = now_ms() - start
        start = now_ms()
        self._assemble(values)
        spent[ASSEMBLY] = now_ms() - start
        return spent

    def _assemble(self, values: list[float]) -> NDArray[np.float32]:
        return np.array([values[index] for index in self._order], np.float32)


def families_with(embedding: Source | None) -> Families:
    """All families there are: those that are always there, and the embedding behind them if one is given."""
    return FAMILIES if embedding is None else (*FAMILIES, Embedding)


def feature_names(families: Families) -> tuple[str, ...]:
    """Names of their features, in the order of a full vector."""
    return tuple(feature.name for family in families for feature in family.features)


def families_of(names: Sequence[str], known: Families = FAMILIES) -> Families:
    """Those of the known families that give the features named; OptionError if one is unknown or named twice."""
    there = feature_names(known)
    if unknown := [name for name in names if name not in there]:
        raise OptionError("unknown feature", given=", ".join(unknown), allowed=", ".join(there))
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise OptionError("a feature is named twice", given=", ".join(twice), allowed="each feature once")
    wanted = set(names)
    return tuple(family for family in known if any(feature.name in wanted for feature in family.features))


def version_with(embedding: Source | None) -> str:
    """Version of all features together, which states the table of the embedding."""
    return EXTRACTOR_VERSION + ("" if embedding is None else f"@{embedding.key}")


@cache
def feature_groups(embedding: Source | None = None) -> tuple[FeatureGroup, ...]:
    """All families as groups, with the cost items of each feature."""
    return tuple(
        FeatureGroup(
            f"{family.name}:{embedding.key}" if family is Embedding and embedding is not None else family.key(),
            tuple(feature.name for feature in family.features),
            {feature.name: (*shared_of(family.needs), family.name, ASSEMBLY) for feature in family.features},
        )
        for family in families_with(embedding)
    )
