"""A policy as the numbers that its decisions rest on, for a program in another language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DecisionTables:
    """What one rule of decision needs, by name.

    Attributes
    ----------
    rule:
        Name of the rule that reads them; several policies may share one.
    keeps_all:
        Does the rule need the answers of all candidates that ran, or only the last one.
    numbers:
        Single numbers: int or float.
    arrays:
        Arrays of the types int8, uint8, int32, uint32, float32 and float64, of one or two axes, none empty.
    """

    rule: str
    keeps_all: bool
    numbers: Mapping[str, int | float]
    arrays: Mapping[str, NDArray[Any]]
