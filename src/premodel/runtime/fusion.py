"""Fusion: several candidates' predictions of one input as one distribution.

P(label) is proportional to the product over the candidates of (p + FLOOR) ** weight, their own probabilities p being 0
for labels that a candidate does not list. In logarithms, and relative to a label that nobody lists, that is a weighted
sum of `log_scores`, which is 0 for such a label. The tables of training and the device use these same functions.

Source: the logarithmic opinion pool (Genest and Zidek, "Combining probability distributions: a critique and an
annotated bibliography", 1986, section 3), with weights that need not sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.records import TOP_K, Prediction

FLOOR = 1e-4
"""Added to every probability, so that one candidate's 0 is no veto. Of 1e-5 to 3e-2 the likeliest, out of fold, for
networks of 1,000 labels (0.605 nats per image for two of them, 0.622 with 1e-3); with 10 labels it makes no difference.
"""

SAFE = 8.0
"""Weights of this sum give scores of at most 74, whose exponential a float32 holds with room for a sum."""
TINY = np.float32(1e-38)

LogScores32 = NDArray[np.float32]


def log_scores(probabilities: NDArray[np.float32]) -> LogScores32:
    """float32, any shape: log((p + FLOOR) / FLOOR), 0 where the probability is 0."""
    return np.asarray(np.log1p(probabilities * np.float32(1 / FLOOR)))


def fused_distribution(
    labels: Sequence[NDArray[np.int32]], listed: Sequence[LogScores32], weights: Sequence[float], n_labels: int
) -> NDArray[np.float32]:
    """The fused probability of every label.

    Parameters
    ----------
    labels:
        int32 (k,) of each candidate, distinct within one candidate.
    listed:
        float32 (k,) of each candidate, `log_scores` of its probabilities.
    weights:
        One per candidate, at least one, finite, 0 or more.
    n_labels:
        Labels there are.

    Returns
    -------
    float32 (n_labels,), sum 1.

    Notes
    -----
    Sums run in the order given, so that a caller who needs equal bits gives the candidates in one fixed order.
    """
    scores = np.zeros(n_labels, dtype=np.float32)
    scores[labels[0]] = listed[0] * np.float32(weights[0])
    for own, gained, weight in zip(labels[1:], listed[1:], weights[1:], strict=True):
        scores[own] += gained * np.float32(weight)
    if sum(weights) > SAFE:
        scores -= scores.max()
    np.exp(scores, out=scores)
    scores /= scores.sum()
    return scores


def fused_prediction(distribution: NDArray[np.float32], listed: Sequence[NDArray[np.int32]]) -> Prediction:
    """The top labels of a fused distribution, by falling probability, ties by rising label, and its entropy.

    Parameters
    ----------
    distribution:
        float32 (n_labels,), of `fused_distribution`.
    listed:
        The labels of each candidate that was fused; every other label is equally improbable.
    """
    k = min(TOP_K, distribution.size)
    least = distribution.min()
    above = np.flatnonzero(distribution > least).astype(np.int32)
    if above.size < k:
        # Hardly anything is distinguished from a label that nobody lists: what was listed goes first.
        above = np.unique(np.concatenate(listed))
    own = distribution[above]
    order = (-own).argsort(kind="stable")[:k]
    entropy = -float(own.dot(np.log(np.maximum(own, TINY))))
    if least > 0:
        entropy -= (distribution.size - above.size) * float(least) * math.log(least)
    return Prediction(above[order], own[order], float(np.float32(max(0.0, entropy))))


def fused_top_probability(distribution: NDArray[np.float32], top_n: int) -> float:
    """Probability of the `top_n` most probable labels together."""
    if top_n == 1:
        return float(distribution.max())
    if top_n >= distribution.size:
        return 1.0
    return float(np.partition(distribution, -top_n)[-top_n:].sum())


def own_top_probability(listed: LogScores32, weight: float, n_labels: int, top_n: int) -> float:
    """`fused_top_probability` of one candidate's distribution alone, without writing all labels out.

    Parameters
    ----------
    listed:
        float32 (k,), log scores of its listed labels by falling probability.
    """
    if weight > SAFE:
        scores = listed * np.float32(weight)
        most = float(scores.max(initial=0.0))
        raised = np.exp(scores - np.float32(most))
        total = float(raised.sum()) + (n_labels - raised.size) * math.exp(-most)
    else:
        raised = np.exp(listed * np.float32(weight))
        total = float(raised.sum()) + (n_labels - raised.size)
    top_probability: float = float(raised[:top_n].sum()) / total
    return top_probability
