"""The reference: how often a premodel made each choice in training, and how sure it was; drift is measured from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from premodel.errors import BundleError
from premodel.fields import Fields

FIELD = "reference"
"""Where it is in a bundle's evidence; bundles made before there was one have none."""
ABSTAINED = ""
"""The choice of an abstention; no candidate has this name."""
MAX_BINS = 1000


@dataclass(frozen=True)
class Reference:
    """What a premodel did with the samples of its profile.

    Attributes
    ----------
    choices:
        Samples by choice: the name that `Answer.candidate` has, or ABSTAINED.
    edges:
        Ascending inner edges of the bins of `confidence`; a value on an edge belongs to the bin above it.
    confidence:
        Answered samples by bin of `answer_confidence`, one more than there are edges.
    """

    choices: Mapping[str, int]
    edges: tuple[float, ...]
    confidence: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As in the bundle's evidence."""
        return {"choices": dict(self.choices), "edges": list(self.edges), "confidence": list(self.confidence)}


def answer_confidence(confidence: float, probability: float) -> float:
    """How sure an answer is: its confidence, or the probability of its label where the policy estimates none."""
    return probability if math.isnan(confidence) else confidence


def reference_of(evidence: Mapping[str, Any], where: str) -> Reference | None:
    """The reference in a bundle's evidence; None if there is none.

    Raises
    ------
    BundleError
        It is there and makes no sense.
    """
    if FIELD not in evidence:
        return None
    fields = Fields(evidence[FIELD], where, BundleError, f"evidence.{FIELD}.")
    choices, confidence = fields.value("choices"), fields.value("confidence")
    if not isinstance(choices, Mapping) or not all(map(_is_count, choices.values())) or not any(choices.values()):
        raise fields.fail("choices", "samples by choice")
    if not isinstance(confidence, list) or not 1 <= len(confidence) <= MAX_BINS or not all(map(_is_count, confidence)):
        raise fields.fail("confidence", f"samples of 1 to {MAX_BINS} bins")
    edges = fields.numbers("edges", len(confidence) - 1)
    if edges is None or any(low >= high for low, high in pairwise(edges)):
        raise fields.fail("edges", f"{len(confidence) - 1} ascending numbers")
    fields.done()
    return Reference(dict(choices), edges, tuple(confidence))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
