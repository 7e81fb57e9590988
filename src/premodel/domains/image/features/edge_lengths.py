"""edge_length1..7: are the image's edges short or long."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from premodel.domains.features import FeatureFamily, histogram
from premodel.domains.image.features.intermediates import Intermediates

BINS = 7


class EdgeLengths(FeatureFamily):
    """`edge_length1` .. `edge_length7`: histogram of the lengths of the edges.

    An edge is an 8-connected component of the Canny edge map; its length is its number of pixels. Bins double:
    1, 2-3, 4-7, 8-15, 16-31, 32-63, and 64 pixels or more, on a thumbnail whose longer side is 64 pixels.

    Unit: fraction of the edges. Range: [0, 1]; the seven sum to 1, or are all 0 when there is no edge.

    Notes
    -----
    The paper has "a 7-bin histogram of edge lengths". Canny's edges are one pixel thin, so pixels count length; edges
    that meet are one edge. Lengths spread over two orders of magnitude, hence bins of equal ratio. Fractions, not
    counts, because n_keypoints already states how much there is to see.
    """

    name = "edge_lengths"
    features = histogram("edge_length", BINS, "fraction of edges")
    needs = ("edge_map", "edge_pixels")

    def __init__(self) -> None:
        self._starts = 2 ** np.arange(1, BINS)  # the first length of bins 2..7

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Compute the seven fractions."""
        count, labels = cv2.connectedComponents(shared.edge_map, connectivity=8, ltype=cv2.CV_16U)
        if count == 1:  # the background alone
            return (0.0,) * BINS
        lengths = np.bincount(labels.ravel().take(shared.edge_pixels))[1:]
        edges = np.bincount(self._starts.searchsorted(lengths, side="right"), minlength=BINS)
        fractions: list[float] = (edges / (count - 1)).tolist()
        return fractions
