"""What a selector is taught: one yes or no per sample and candidate."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError

LabelScheme = Literal["optimum", "right"]
LABEL_SCHEMES: tuple[LabelScheme, ...] = get_args(LabelScheme)


def optimum(score: NDArray[Any], latency_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The fastest right candidate of each sample (paper section 3.3): bool (n, m), at most one yes per row.

    Parameters
    ----------
    score:
        (n, m), was the candidate right; or how good it was, and then the fastest of the best is the optimum.
    latency_ms:
        float64 (m,), latency of each candidate; or (n, m), on each sample.

    Notes
    -----
    Of candidates with equal latency the earlier in order is taken. Where none is right the row is all no. The paper
    times each image by itself and takes the least of noisy single timings; here a candidate has one latency, its mean,
    so that noise decides no label.

    Examples
    --------
    >>> optimum(np.array([[True, True], [False, True], [False, False]]), np.array([4.0, 1.0])).astype(int)
    array([[0, 1],
           [0, 1],
           [0, 0]])
    """
    wanted = score if score.dtype == np.bool_ else (score > 0) & (score >= score.max(axis=1, keepdims=True))
    labels = np.zeros(wanted.shape, np.bool_)
    rows = np.flatnonzero(wanted.any(axis=1))
    if latency_ms.ndim == 2:
        labels[rows, np.where(wanted[rows], latency_ms[rows], np.inf).argmin(axis=1)] = True
        return labels
    order = np.argsort(latency_ms, kind="stable")
    by_speed = wanted[:, order]
    labels[rows, order[by_speed[rows].argmax(axis=1)]] = True
    return labels


def oracle(score: NDArray[Any], latency_ms: NDArray[np.float64]) -> NDArray[np.intp]:
    """The candidate that the oracle, given the truth, runs: the optimum, the cheapest where there is none.

    Parameters
    ----------
    score, latency_ms:
        As of `optimum`.

    Returns
    -------
    intp (n,): it has to answer, so some candidate is run for every sample.

    Examples
    --------
    >>> oracle(np.array([[True, True], [False, False]]), np.array([4.0, 1.0]))
    array([1, 1])
    """
    yes = optimum(score, latency_ms)
    cheapest = int(np.argmin(latency_ms if latency_ms.ndim == 1 else latency_ms.mean(axis=0)))
    return np.where(yes.any(axis=1), yes.argmax(axis=1), cheapest)


def right(score: NDArray[Any]) -> NDArray[Any]:
    """Each candidate's own success: bool (n, m), any number of yes per row; or its score, where that is graded."""
    if score.dtype != np.bool_ and ((score == 0) | (score == 1)).all():
        return score.astype(np.bool_)
    return score.copy()


def make_labels(scheme: str, score: NDArray[Any], latency_ms: NDArray[np.float64]) -> NDArray[Any]:
    """Labels by the name of their scheme: "optimum" or "right".

    Examples
    --------
    >>> make_labels("right", np.array([[True, True]]), np.array([4.0, 1.0])).tolist()
    [[True, True]]

    Raises
    ------
    OptionError
        The scheme is unknown.
    """
    if scheme == "optimum":
        return optimum(score, latency_ms)
    if scheme == "right":
        return right(score)
    raise OptionError("unknown label scheme", given=scheme, allowed=", ".join(LABEL_SCHEMES))
