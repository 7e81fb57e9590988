"""What a method is reduced to: correctness and latency per sample at several operating points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Points:
    """Out-of-fold results of one method.

    Attributes
    ----------
    right:
        float64 (g, n), share of the fold divisions in which the answer to the sample was right, at each of g points.
    latency_ms:
        float64 (g, n), mean over the divisions.
    names:
        What each point is.
    """

    right: Floats
    latency_ms: Floats
    names: tuple[str, ...]

    @staticmethod
    def mean(several: list[Points]) -> Points:
        """Mean over fold divisions of the same points."""
        right = np.mean([one.right for one in several], axis=0)
        return Points(right, np.mean([one.latency_ms for one in several], axis=0), several[0].names)
