"""The contract of a family of features of texts: a few named numbers that are computed together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from premodel.domains.text.features.parts import TextParts


@dataclass(frozen=True)
class TextFeature:
    """What one number means.

    Attributes
    ----------
    name:
        Unique among all families.
    unit:
        In words.
    low, high:
        Closed range that the value never leaves, whatever the text.
    """

    name: str
    unit: str
    low: float
    high: float


class TextFeatureFamily(ABC):
    """Features of a text that are computed, stored and paid for together; it keeps nothing of a text.

    Attributes
    ----------
    name:
        As a cost item; unique among families and what is shared (`parts.SHARED`).
    features:
        The numbers, in the order in which `compute` gives them.
    needs:
        What of `TextParts` it reads; it may read no other.
    version:
        Raised whenever a value changes for any text.
    """

    name: ClassVar[str]
    features: ClassVar[tuple[TextFeature, ...]]
    needs: ClassVar[tuple[str, ...]]
    version: ClassVar[int] = 1

    @classmethod
    def key(cls) -> str:
        """Under what a store keeps its values, such as "lengths:1"."""
        return f"{cls.name}:{cls.version}"

    @abstractmethod
    def compute(self, parts: TextParts) -> Sequence[float]:
        """The numbers of one text, one per entry of `features`, finite for every text."""
