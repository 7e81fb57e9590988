"""The grade expected of an answer that is no label, by what is known of it once it is there, without the truth.

Of each answer that is the probability that its candidate gives to it (of a translator, its length-normalised one) and
how long it is beside the input: answers that break off, or never end, are bad ones, and of two answers in hand the
other one's length tells which did. Every set of candidates has regressions of its own, on all that its answers state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.records import Prediction
from premodel.runtime.policies.stopping_components import MIN_TOP_PROBABILITY, SCALE, confidence_logit

PER_ANSWER = 3
"""Numbers of an answer: its probability, the logit of that, and the logarithm of its length over the input's."""
LIMIT = 4.0
"""Standard deviations: what lies further out than this counts as this, so that no regression goes on without end."""
MAX_WEIGHT = 1e6
"""Of a number in a regression; grades are in [0, 1] and numbers within LIMIT."""

Floats = NDArray[np.float64]


def statement(probability: float, answer_length: float | None, input_length: float | None) -> tuple[float, ...]:
    """The PER_ANSWER numbers of an answer, not yet standardised; NaN where nothing is known.

    Parameters
    ----------
    probability:
        What the candidate gives to its own answer.
    answer_length, input_length:
        Characters of the answer, and the length of the input, in any measure; None where it is not known.

    Examples
    --------
    >>> statement(0.5, 20, 9)
    (0.5, 0.0, 0.7419373447293771)
    """
    longer = math.nan if answer_length is None else math.log1p(answer_length) - log_length(input_length)
    return probability, confidence_logit(probability), longer


def statements(probability: Floats, answer_length: Floats, input_length: Floats | None) -> Floats:
    """float64 (n, PER_ANSWER): `statement` of many answers; NaN in, NaN out."""
    kept = np.minimum(np.maximum(probability, MIN_TOP_PROBABILITY), 1 - MIN_TOP_PROBABILITY)
    before = 0.0 if input_length is None else np.log1p(input_length)
    return np.stack([probability, np.log(kept / (1 - kept)) / SCALE, np.log1p(answer_length) - before], axis=1)


def log_length(length: float | None) -> float:
    """log(1 + the input's length), 0 where it is not known."""
    return 0.0 if length is None else math.log1p(length)


def standardised(numbers: Floats, center: Floats, scale: Floats) -> Floats:
    """Numbers by their distance from the center, times the scale, within LIMIT; NaN becomes 0."""
    away = (numbers - center) * scale
    return np.where(np.isnan(away), 0.0, np.minimum(np.maximum(away, -LIMIT), LIMIT))


@dataclass(frozen=True, eq=False)
class ExpectedGrades:
    """Regressions of the grades of p candidates' answers, for each of their 2 ** p sets.

    What is known of an input and its answers is d = 1 + p * PER_ANSWER numbers: `log_length` of the input, and
    `statement` of each candidate. They are standardised; those of candidates that did not answer are 0.

    Attributes
    ----------
    center, scale:
        float64 (d,), mean of each number, and what its distance from that is multiplied by: 0 where it tells nothing.
    constant:
        float64 (2 ** p, p), expected grade of each candidate's answer after each set where all numbers are means.
    weight:
        float64 (2 ** p, p, d), of each number; 0 of candidates that are not of the set.
    """

    center: Floats
    scale: Floats
    constant: Floats
    weight: Floats

    def standardised(self, numbers: Floats) -> Floats:
        """float64 (..., d): the numbers standardised."""
        return standardised(numbers, self.center, self.scale)

    def known(self, predictions: Mapping[int, Prediction], length: float | None) -> Floats:
        """float64 (d,): what is known of an input once some candidates answered, standardised."""
        numbers = np.full(len(self.center), np.nan)
        numbers[0] = log_length(length)
        for index, one in predictions.items():
            place = 1 + PER_ANSWER * index
            numbers[place : place + PER_ANSWER] = statement(float(one.probabilities[0]), one.outcome_length, length)
        return self.standardised(numbers)

    def of(self, ran: int, known: Floats) -> Floats:
        """(..., p): expected grade, in [0, 1], of each candidate's answer after a set, by `known` (..., d)."""
        found: Floats = np.minimum(np.maximum(known @ self.weight[ran].T + self.constant[ran], 0.0), 1.0)
        return found

    def check(self, candidates: int) -> None:
        """Raise ValueError unless these are the regressions of so many candidates."""
        sets, numbers = 2**candidates, 1 + PER_ANSWER * candidates
        shapes = {
            "center": (numbers,),
            "scale": (numbers,),
            "constant": (sets, candidates),
            "weight": (sets, candidates, numbers),
        }
        for name, shape in shapes.items():
            array: Floats = getattr(self, name)
            if array.shape != shape or array.dtype != np.float64:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; allowed: float64 {shape}")
            if not (np.abs(array) <= MAX_WEIGHT).all():
                raise ValueError(f"{name} must be numbers within {MAX_WEIGHT:g}")
        if (self.scale < 0).any():
            raise ValueError("scale must be 0 or more")
