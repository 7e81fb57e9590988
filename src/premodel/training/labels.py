"""What a selector is taught: one yes or no per sample and candidate."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError

LabelScheme = Literal["optimum", "right"]
LABEL_SCHEMES: tuple[LabelScheme, ...] = get_args(LabelScheme)


def optimum(correct: NDArray[np.bool_], latency_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The fastest right candidate of each sample (paper section 3.3): bool (n, m), at most one yes per row.

    Parameters
    ----------
    correct:
        bool (n, m), was the candidate right.
    latency_ms:
        float64 (m,), latency of each candidate.

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
    order = np.argsort(latency_ms, kind="stable")
    by_speed = correct[:, order]
    rows = np.flatnonzero(by_speed.any(axis=1))
    labels = np.zeros_like(correct)
    labels[rows, order[by_speed[rows].argmax(axis=1)]] = True
    return labels


def right(correct: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each candidate's own success: bool (n, m), any number of yes per row."""
    return correct.copy()


def make_labels(scheme: str, correct: NDArray[np.bool_], latency_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
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
        return optimum(correct, latency_ms)
    if scheme == "right":
        return right(correct)
    raise OptionError("unknown label scheme", given=scheme, allowed=", ".join(LABEL_SCHEMES))
