"""From a network's raw output to probabilities, and from probabilities to a prediction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec, narrowed_logits
from premodel.errors import RunError
from premodel.records import TOP_K, Prediction

LARGEST_LOGIT = 700.0
"""Beyond it the exponential of a float64 overflows."""
TOLERANCE = 1e-3
"""How far outside [0, 1] a probability may lie: rounding of half precision; clipped away."""

SORTED_LABELS = 64
"""Labels up to which sorting a list takes less time than the calls of numpy that find the top ones."""

BINARY_LABELS = 2
"""Labels of a network with a single output."""

Distribution = NDArray[np.float32]
"""float32 (labels,), one probability in [0, 1] per zoo label; the sum is below 1 by what a dropped output took."""


def to_distribution(
    raw: Tensor, output: TensorSpec, activation: str, label_offset: int, n_labels: int, dropped_last: int = 0
) -> Distribution:
    """Probabilities of the zoo's labels from a raw output.

    Parameters
    ----------
    raw:
        The network's output, label_offset + n_labels + dropped_last numbers in any shape; or one number where there are
        two labels.
    output:
        Its quantisation.
    activation:
        "softmax" if the numbers are probabilities, "none" if they are logits, "sigmoid" if each is the probability of
        its label by itself, "percent" if they are probabilities from 0 to 100.
    label_offset:
        Outputs to drop at the start.
    dropped_last:
        Outputs to drop at the end.

    Notes
    -----
    Probabilities are not renormalised after the dropped outputs (a "background" class): what the network gave to "none
    of these" is its own doubt, and confidence built on it should stay lower. Logits carry no scale of their own, so
    their softmax is taken over the kept labels. Sigmoids need not sum to 1: where they sum to more, they are scaled
    to sum to 1, and where to less, the rest belongs to no label. A single number is the second label's.

    Raises
    ------
    RunError
        The output has another length, holds NaN or infinite numbers, is constant (the same number for every output
        states nothing), or is no probability although the manifest states softmax.
    """
    flat = raw.reshape(-1)
    if flat.size != n_labels + label_offset + dropped_last:
        if flat.size == 1 and n_labels == BINARY_LABELS and not label_offset and not dropped_last:
            return _of_two_labels(float(flat[0]), output, activation)
        allowed = f"{n_labels} labels + offset {label_offset}" + (f" + {dropped_last} last" if dropped_last else "")
        raise RunError("wrong number of outputs", given=flat.size, allowed=allowed)
    low, high = _limits(flat)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RunError("output holds NaN or infinite numbers")
    if low == high:
        raise RunError("constant output", given=f"{flat.size} times {low}")
    if flat.dtype == np.float32 and activation == "none" and not (label_offset or dropped_last or output.scale):
        values: Distribution = flat - high  # as below, in half the calls
        np.exp(values, out=values)
        values /= np.add.reduce(values)
        return values
    if dropped_last:
        flat = flat[:-dropped_last]
    if output.scale:
        low, high = (output.scale * (int(limit) - output.zero_point) for limit in (low, high))
        values = flat[label_offset:].astype(np.float32)
        if output.zero_point:
            values -= np.float32(output.zero_point)
        values *= np.float32(output.scale)
    elif activation == "none":
        values = narrowed_logits(flat[label_offset:])
    else:
        values = flat[label_offset:].astype(np.float32)
    if activation == "none":
        values -= np.maximum.reduce(values)
        np.exp(values, out=values)
        values /= np.add.reduce(values)
        return values
    if activation == "percent":
        low, high = low / 100, high / 100
        values /= np.float32(100)
    _check_probabilities(float(low), float(high), activation)
    if low < 0 or high > 1:
        np.clip(values, 0, 1, out=values)
    if activation == "sigmoid" and (total := values.sum()) > 1:
        values /= total
    return values


def _limits(flat: Tensor) -> tuple[Any, Any]:
    """The lowest and the highest number; of a few without a call of numpy for each, which takes longer than they do."""
    if flat.size <= TOP_K and flat.dtype.kind == "f":
        values = flat.tolist()
        if math.isfinite(sum(values)):
            return min(values), max(values)
    return np.minimum.reduce(flat), np.maximum.reduce(flat)


def _check_probabilities(low: float, high: float, activation: str) -> None:
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        scale = 100 if activation == "percent" else 1
        raise RunError(
            "output must be probabilities",
            given=f"numbers from {scale * low:.4g} to {scale * high:.4g}",
            allowed=f"[0, {scale}] as output.activation = {activation!r} states",
            do="if these are logits, set output.activation = 'none'",
        )


def _of_two_labels(number: float, output: TensorSpec, activation: str) -> Distribution:
    """From a network with one output: the second label's probability, or its logit."""
    if not math.isfinite(number):
        raise RunError("output holds NaN or infinite numbers")
    if output.scale:
        number = output.scale * (number - output.zero_point)
    if activation == "none":
        number = 1 / (1 + math.exp(-number)) if number > -LARGEST_LOGIT else 0.0
    else:
        number /= 100 if activation == "percent" else 1
        _check_probabilities(number, number, activation)
    second = min(1.0, max(0.0, number))
    return np.array([1 - second, second], np.float32)


def to_prediction(distribution: Distribution) -> Prediction:
    """The top labels, by falling probability, ties by rising label, and the entropy of the whole.

    Notes
    -----
    Exact under ties, of which quantised outputs are full: a non-negative float32 orders like its bits, so
    (falling probability, rising label) is one 64-bit key. The entropy is that of the distribution scaled to sum 1, in
    nats, rounded to float32 as the store keeps it, so that device and tables see the same number.

    Examples
    --------
    >>> said = to_prediction(np.array([0.25, 0.5, 0.25], np.float32))
    >>> said.labels.tolist(), said.probabilities.tolist()
    ([1, 0, 2], [0.5, 0.25, 0.25])
    """
    n_labels = distribution.size
    if n_labels <= SORTED_LABELS:
        values = distribution.tolist()
        order = sorted(range(n_labels), key=values.__getitem__, reverse=True)
        listed = np.array(order[:TOP_K], np.int32)
        return Prediction(listed, distribution[listed], _entropy(distribution, values[order[-1]] > 0))
    bits = distribution.view(np.int32).astype(np.int64)
    np.subtract(0x7FFFFFFF, bits, out=bits)
    bits <<= 32
    bits += np.arange(n_labels)
    top = np.partition(bits, TOP_K - 1)[:TOP_K]
    top.sort()
    labels = (top & 0xFFFFFFFF).astype(np.int32)
    return Prediction(labels, distribution[labels], _entropy(distribution))


def to_outcome(text: str, probability: float) -> Prediction:
    """A text with its probability, above 0.

    Examples
    --------
    >>> to_outcome("ein Hund", 0.5).outcome
    'ein Hund'
    """
    return Prediction(np.zeros(1, np.int32), np.array([probability], np.float32), -math.log(probability), text)


def rank_of(distribution: Distribution, label: int) -> int:
    """Rank of a label from 0, in the order of `to_prediction`.

    Examples
    --------
    >>> rank_of(np.array([0.25, 0.5, 0.25], np.float32), 2)
    2
    """
    probability = distribution[label]
    higher = int(np.count_nonzero(distribution > probability))
    return higher + int(np.count_nonzero(distribution[:label] == probability))


def _entropy(distribution: Distribution, all_positive: bool = False) -> float:
    """Of the distribution scaled to sum 1; log(labels) if every label got 0 (all went to a dropped output)."""
    total = float(np.add.reduce(distribution))
    if total <= 0:
        return float(np.float32(math.log(distribution.size)))
    positive = distribution if all_positive else distribution[distribution > 0]
    entropy = math.log(total) - float(np.dot(positive, np.log(positive))) / total
    highest = math.log(distribution.size)
    if entropy > highest + TOLERANCE:  # probabilities too small for exact logarithms
        entropy = highest
    return float(np.float32(max(0.0, entropy)))
