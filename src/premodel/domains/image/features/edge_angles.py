"""edge_angle1..7: which way the image's edges run."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from premodel.domains.features import FeatureFamily, histogram
from premodel.domains.image.features.intermediates import Intermediates

BINS = 7
OFFSET = 0.125
"""By how much of a bin's width the first bin starts below 0 degrees."""


class EdgeAngles(FeatureFamily):
    """`edge_angle1` .. `edge_angle7`: histogram of the directions of the edge pixels.

    The angle of an edge pixel is the direction of the line it lies on, perpendicular to the gradient: 0 degrees is
    horizontal, 90 vertical, rising counter-clockwise, modulo 180. With dx to the right and dy downwards it is
    atan2(dx, dy) modulo 180. Bins are 180/7 = 25.7 degrees wide; the first starts at -3.2 degrees, so they begin at
    -3.2, 22.5, 48.2, 73.9, 99.6, 125.4 and 151.1.

    Unit: fraction of the edge pixels. Range: [0, 1]; the seven sum to 1, or are all 0 when there is no edge.

    Notes
    -----
    The paper states "a 7-bin histogram of edge angles". Every pixel of the Canny edge map counts once, so a long edge
    weighs more than a short one. The start of the first bin is chosen so that 0, 45, 90 and 135 degrees, the
    directions a grid of pixels favours, lie within bins and not between two, where noise would decide.
    """

    name = "edge_angles"
    features = histogram("edge_angle", BINS, "fraction of edge pixels")
    needs = ("gradient", "edge_pixels")

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Compute the seven fractions."""
        pixels = shared.edge_pixels
        if pixels.size == 0:
            return (0.0,) * BINS
        dx, dy = (derivative.ravel().take(pixels).astype(np.float32) for derivative in shared.gradient)
        turns = cv2.phase(dy, dx).ravel()  # atan2(dx, dy) in [0, 2 pi]
        bins = (turns * np.float32(BINS / np.pi) + np.float32(OFFSET)).astype(np.intp)  # 0 .. 14: two half turns
        counts = np.bincount(bins, minlength=3 * BINS).reshape(3, BINS).sum(axis=0)
        fractions: list[float] = (counts / pixels.size).tolist()
        return fractions
