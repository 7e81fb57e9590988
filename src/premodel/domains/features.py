"""The contract of a feature family: a few named numbers that are computed together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Feature:
    """What one number means.

    Attributes
    ----------
    name:
        The name used in tables, bundles and reports; unique among all families.
    unit:
        Unit in words, such as "grey levels" or "fraction of edge pixels".
    low, high:
        Closed range that the value never leaves, whatever the input.
    """

    name: str
    unit: str
    low: float
    high: float


class FeatureFamily(ABC):
    """Features that are computed together, and are therefore paid for together.

    A family is made once per extractor: what is worth keeping between inputs (a detector, a table) is made in
    its constructor. It keeps nothing of an input: `compute` may be called from several threads at once.

    Attributes
    ----------
    name:
        Name of the family as a cost item; unique among its domain's families and what they share.
    features:
        The numbers, in the order in which `compute` gives them.
    needs:
        What it reads of that which its domain's families share: the intermediates of an image, the parts of a text; it
        may read nothing else of it.
    version:
        Raised whenever a value changes for any input, also because of what is shared: values of two versions are
        never compared. A store computes anew the family whose version was raised, and keeps the others.
    """

    name: ClassVar[str]
    features: ClassVar[tuple[Feature, ...]]
    needs: ClassVar[tuple[str, ...]]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls) -> str:
        """Under what a store keeps its values, such as "hue:1"."""
        return f"{cls.name}:{cls.version}"

    @abstractmethod
    def compute(self, shared: Any) -> Sequence[float]:
        """Compute the numbers of one input, one per entry of `features`, finite for every input.

        Parameters
        ----------
        shared:
            `Intermediates` of an image, `TextParts` of a text.
        """


def histogram(name: str, bins: int, unit: str) -> tuple[Feature, ...]:
    """Features of a normalised histogram: `name1` .. `name<bins>`, fractions in [0, 1]."""
    return tuple(Feature(f"{name}{i}", unit, 0.0, 1.0) for i in range(1, bins + 1))
