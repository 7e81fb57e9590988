"""What a Python callable may answer, and what each wrong answer is called."""

from __future__ import annotations

import inspect
import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from premodel.backends.base import Tensor, narrowed_logits
from premodel.backends.texts import kept_text
from premodel.errors import RunError
from premodel.fields import is_number, shown

ALLOWED = "a distribution (a mapping of labels, or numbers in the labels' order), or a label with a confidence"
INSTEAD_OF_LABELS = "use predict_proba in place of predict, or return (label, confidence)"
"""What to do where labels are answered without a probability, as scikit-learn's `predict` does."""
ALLOWED_TEXT = "a text with a score in [0, 1]"
SUM_TOLERANCE = 0.02
"""How far from 1 the sum of probabilities may lie: rounding."""
MIN_CONFIDENCE = 1e-6
"""A label with no confidence at all keeps this much, so that it stays the answer."""
EVERY_OTHER = "*"
"""The key of a label map for every answer that has no key of its own."""
MAX_NOTED = 1000
SHOWN_LABELS = 10
MAX_SAID = 80
"""Characters of an answer that is no label, as it is noted."""


class UnknownAnswerError(RunError):
    """A callable answered what is no label of the zoo; it counts as wrong."""


class LabelReader:
    """Answers of a callable -> one row of numbers in the labels' order.

    Parameters
    ----------
    labels:
        Names of the zoo's labels.
    label_map:
        What the callable answers -> name of a label; several may name one, whose probabilities are added.
    activation:
        As the manifest states: what the numbers are.

    Attributes
    ----------
    unknown:
        How often what is no label was the answer, by what was said.
    dropped:
        What is no label and was given a probability without being the answer.
    """

    def __init__(self, labels: Sequence[str], label_map: Mapping[str, str], activation: str) -> None:
        counts = Counter(labels)
        self._index = {name: index for index, name in enumerate(labels)}
        self._twice = {name for name, count in counts.items() if count > 1}
        self._map = {said: self._index[name] for said, name in label_map.items() if name in self._index}
        # What a text means, where it is one label's name or a key of the map: found in one step.
        self._known = {said: index for said, index in self._index.items() if said not in self._twice} | self._map
        self._n = len(labels)
        self._activation = activation
        self._whole = 100.0 if activation == "percent" else 1.0
        self.unknown: Counter[str] = Counter()
        self.dropped: set[str] = set()

    def read(self, answer: Any) -> Tensor:
        """float32 (1, labels).

        Raises
        ------
        UnknownAnswerError
            The answer is no label.
        RunError
            It is none of what a callable may answer, or its numbers are not what the activation states.
        """
        if isinstance(answer, Mapping):
            return self._of_mapping(answer)
        if isinstance(answer, tuple | list) and len(answer) == 2 and self._names_a_label(answer):
            return self._of_label(*answer)
        return self._row(self._of_numbers(answer))

    def _names_a_label(self, answer: Sequence[Any]) -> bool:
        return isinstance(answer[0], str) or (isinstance(answer, tuple) and _is_whole(answer[0]))

    def _of_label(self, label: Any, confidence: Any) -> Tensor:
        number = _number(confidence)
        if self._activation not in ("softmax", "percent", "sigmoid"):
            raise RunError(
                "a label with a confidence is no logit", given=shown((label, confidence)),
                do="set output.activation = 'softmax' or 'percent'",
            )  # fmt: skip
        self._check_probability(number, "confidence")
        index = self._find(label)
        if index is None:
            raise self._refuse(label)
        row = np.zeros((1, self._n), np.float32)
        row[0, index] = max(number, MIN_CONFIDENCE * self._whole)
        return row

    def _of_mapping(self, answer: Mapping[Any, Any]) -> Tensor:
        if not answer:
            raise RunError("the callable answered an empty mapping", allowed=ALLOWED)
        logits, whole = self._activation == "none", self._whole
        given: dict[int, float] = {}
        total, best, unnamed = 0.0, (-math.inf, ""), -math.inf if logits else 0.0
        for said, value in answer.items():
            number = _number(value)
            if not (logits or 0 <= number <= whole):
                self._check_probability(number, "probability")
            total += number
            index = self._find(said)
            if index is None:
                best = max(best, (number, str(said)))
                if len(self.dropped) < MAX_NOTED:
                    self.dropped.add(_noted(said))
            elif index not in given:
                given[index] = number
            else:
                given[index] = float(np.logaddexp(given[index], number)) if logits else given[index] + number
        highest = max(given.values(), default=unnamed)
        if best[0] > (highest if len(given) == self._n else max(highest, unnamed)):
            raise self._refuse(best[1])
        if logits and len(given) < self._n:
            raise RunError("a mapping of logits must name every label", given=f"{len(given)} labels", allowed=self._n)
        if not logits and self._activation != "sigmoid" and total > whole * (1 + SUM_TOLERANCE):
            raise self._wrong_sum(total)
        row = np.zeros(self._n)
        row[list(given)] = list(given.values())
        return self._row(row)

    def _of_numbers(self, answer: Any) -> Tensor:
        row = _as_numbers(answer)
        if row.size != self._n:
            do = f"if it is a label, {INSTEAD_OF_LABELS}" if row.size == 1 else None
            raise RunError(
                "the callable answered the wrong number of probabilities", given=row.size, allowed=self._n, do=do
            )
        if not np.isfinite(row).all():
            raise RunError("the callable answered NaN or infinite numbers")
        if self._activation == "none":
            return row
        low, high, total = float(row.min()), float(row.max()), float(row.sum())
        if high <= 0 and low < -1:
            raise _logarithms(low, high)
        for number in (low, high):
            self._check_probability(number, "probability")
        if self._activation != "sigmoid" and abs(total - self._whole) > self._whole * SUM_TOLERANCE:
            raise self._wrong_sum(total)
        return row

    def _check_probability(self, number: float, what: str) -> None:
        if not math.isfinite(number):
            raise RunError(f"the callable answered a {what} that is not finite", given=number)
        if number < -1:
            raise _logarithms(number, number)
        if not -1e-3 <= number <= self._whole * (1 + 1e-3):
            hint = "set output.activation = 'percent', if it is out of 100" if 1 < number <= 100 else None
            raise RunError(
                f"the callable answered a {what} that is none", given=f"{number:.4g}", allowed=f"[0, {self._whole:g}]",
                do=hint,
            )  # fmt: skip

    def _wrong_sum(self, total: float) -> RunError:
        return RunError(
            f"probabilities must sum to {self._whole:g}", given=f"{total:.4g}",
            do="normalise them, or set output.activation = 'none' for logits, 'sigmoid' for one probability a label",
        )  # fmt: skip

    def _find(self, said: Any) -> int | None:
        """The label that is meant; None if there is none."""
        if type(said) is str and (known := self._known.get(said)) is not None:
            return known
        if _is_whole(said):
            number = operator.index(said)
            if str(number) in self._map:
                return self._map[str(number)]
            if 0 <= number < self._n:
                return number
            said = str(number)
        if not isinstance(said, str):
            raise RunError("the callable answered a label that is none", given=shown(said), allowed="text, or number")
        if said in self._map:
            return self._map[said]
        if said in self._twice:
            raise RunError("two labels have the name that the callable answered", given=shown(said), do="rename one")
        index = self._index.get(said)
        return self._map.get(EVERY_OTHER) if index is None else index

    def _refuse(self, said: Any) -> UnknownAnswerError:
        noted = _noted(said)
        if len(self.unknown) < MAX_NOTED or noted in self.unknown:
            self.unknown[noted] += 1
        return UnknownAnswerError(
            "the callable answered what is no label", given=shown(str(said) if isinstance(said, str) else said),
            do="name it in label_map if it is another name of a label",
        )  # fmt: skip

    def _row(self, row: Tensor) -> Tensor:
        if self._activation == "none":
            return narrowed_logits(row).reshape(1, -1)
        narrow = row.astype(np.float32)
        if not narrow.any():
            raise RunError("the callable gave every label the probability 0")
        return narrow.reshape(1, -1)


def read_outcome(answer: Any) -> Tensor:
    """A text with a score as an array of two objects; numbers as they are, for the domain to read.

    Raises
    ------
    RunError
        It is neither, or the text is too long.
    """
    if not (isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[0], str)):
        if isinstance(answer, np.ndarray) and answer.dtype.kind in "fiu":
            return answer
        refuse_other(answer, ALLOWED_TEXT)
        raise RunError(
            "the callable must answer otherwise", given=shown(answer), allowed=ALLOWED_TEXT, do="return (text, score)"
        )
    text, score = str(answer[0]), _number(answer[1])
    if score < 0:
        raise RunError(
            "the callable answered a score below 0", given=f"{score:.4g}", allowed="[0, 1]",
            do="if it is a logarithm of a probability, return math.exp(score)",
        )  # fmt: skip
    if not score <= 1:
        raise RunError("the callable answered a score that is none", given=f"{score:.4g}", allowed="[0, 1]")
    found = np.empty(2, object)
    found[:] = kept_text(text), max(score, MIN_CONFIDENCE)
    return found


def refuse_other(answer: Any, allowed: str) -> None:
    """RunError for what is no answer at all: nothing, a label alone, what has to be awaited."""
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise RunError("the callable is async", allowed="a plain function", do="call it with asyncio.run in one")
    if answer is None:
        raise RunError("the callable answered None", allowed=allowed)
    if isinstance(answer, str):
        raise RunError(
            "the callable answered a text alone", given=shown(str(answer)), allowed=allowed,
            do="return it with 1.0 if it has no confidence",
        )  # fmt: skip
    if isinstance(answer, Mapping | bool | bytes | set) or inspect.isgenerator(answer):
        raise RunError("the callable must answer otherwise", given=type(answer).__name__, allowed=allowed)


def _as_numbers(answer: Any) -> Tensor:
    refuse_other(answer, ALLOWED)
    try:
        given = np.asarray(answer)
        if given.dtype.kind in "US" or (given.dtype.kind == "O" and any(isinstance(one, str) for one in given.flat)):
            raise RunError(
                "the callable answered a list or array of labels, which is no answer",
                given=shown(given.reshape(-1)[:SHOWN_LABELS].tolist()), do=INSTEAD_OF_LABELS,
            )  # fmt: skip
        if given.dtype.kind == "c":
            raise TypeError("complex numbers")
        found = np.asarray(given, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise RunError(
            "the callable must answer otherwise", given=f"{type(answer).__name__} ({error})", allowed=ALLOWED
        ) from error
    if np.ndim(answer) == 0:
        raise RunError("the callable answered one number", given=shown(answer), allowed=ALLOWED)
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _noted(said: Any) -> str:
    text = str(said)
    return text if len(text) <= MAX_SAID else text[: MAX_SAID - 3] + "..."


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not is_number(number):
        raise RunError("the callable answered a confidence that is not a finite number", given=shown(value))
    return number


def _logarithms(low: float, high: float) -> RunError:
    span = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    return RunError(
        "the callable answered logarithms, not probabilities", given=span, allowed="[0, 1]",
        do="return probabilities; set output.activation = 'none' only if the softmax over all labels is meant",
    )  # fmt: skip
