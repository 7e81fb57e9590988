"""The reference: the choices, confidences and labels of a premodel in training; drift is measured from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from premodel.errors import BundleError
from premodel.fields import Fields

FIELD = "reference"
"""Where it is in a bundle's training record; bundles made before there was one have none."""
ABSTAINED = ""
"""The choice of an abstention; no candidate has this name."""
MAX_BINS = 1000
CONFIDENCE, PROBABILITY = "confidence", "probability"
"""What is binned: the policy's confidence, or the probability of the answer's label."""


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
        Answered samples by bin of `binned`, one more than there are edges.
    of:
        What is binned: CONFIDENCE; or PROBABILITY where the policy's confidence is the same for every input, so that it
        could not move.
    labels:
        Answered samples by the label that was served; empty in bundles made before it was kept.
    """

    choices: Mapping[str, int]
    edges: tuple[float, ...]
    confidence: tuple[int, ...]
    of: str = CONFIDENCE
    labels: Mapping[int, int] = field(default_factory=dict)

    def binned(self, confidence: float, probability: float) -> float:
        """The number of an answer that its bin goes by."""
        return probability if self.of == PROBABILITY else answer_confidence(confidence, probability)

    def to_json(self) -> dict[str, Any]:
        """As in the bundle's training record."""
        return {
            "choices": dict(self.choices),
            "edges": list(self.edges),
            "confidence": list(self.confidence),
            "of": self.of,
            "labels": {str(label): count for label, count in self.labels.items()},
        }


def answer_confidence(confidence: float, probability: float) -> float:
    """How sure an answer is: its confidence, or the probability of its label where the policy estimates none."""
    return probability if math.isnan(confidence) else confidence


def reference_of(record: Mapping[str, Any], where: str) -> Reference | None:
    """The reference in a bundle's training record; None if there is none.

    Raises
    ------
    BundleError
        It is there and makes no sense.
    """
    if FIELD not in record:
        return None
    fields = Fields(record[FIELD], where, BundleError, f"training_record.{FIELD}.")
    choices, confidence = fields.value("choices"), fields.value("confidence")
    if not isinstance(choices, Mapping) or not all(map(_is_count, choices.values())) or not any(choices.values()):
        raise fields.fail("choices", "samples by choice")
    if not isinstance(confidence, list) or not 1 <= len(confidence) <= MAX_BINS or not all(map(_is_count, confidence)):
        raise fields.fail("confidence", f"samples of 1 to {MAX_BINS} bins")
    edges = fields.numbers("edges", len(confidence) - 1)
    if edges is None or any(low >= high for low, high in pairwise(edges)):
        raise fields.fail("edges", f"{len(confidence) - 1} ascending numbers")
    of, labels = fields.value("of", CONFIDENCE), fields.value("labels", {})
    if of not in (CONFIDENCE, PROBABILITY):
        raise fields.fail("of", f"{CONFIDENCE} or {PROBABILITY}")
    if not isinstance(labels, Mapping) or not all(map(_is_label, labels)) or not all(map(_is_count, labels.values())):
        raise fields.fail("labels", "samples by label")
    fields.done()
    counts = {int(label): count for label, count in labels.items()}
    return Reference(dict(choices), edges, tuple(confidence), str(of), counts)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_label(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10
