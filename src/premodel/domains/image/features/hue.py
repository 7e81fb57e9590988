"""hue1..7: which colours the image has."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from premodel.domains.features import FeatureFamily, histogram
from premodel.domains.image.features.intermediates import Intermediates

BINS = 7
HALF_BIN = np.uint8(18)
"""Half a bin's width of 256 / 7, in OpenCV's full-range hue units."""


class Hue(FeatureFamily):
    """`hue1` .. `hue7`: histogram of the hues of the thumbnail's pixels, each weighted by its chroma.

    Hue h is that of HSV in units of 360/256 degrees; chroma is max(R, G, B) - min(R, G, B), computed as S V / 255. A
    pixel falls into bin floor(7 ((h + 18) modulo 256) / 256) + 1: bins are 51.4 degrees wide and the first is
    centred on red, so they are centred on 0 (red), 51 (yellow), 103 (green), 154, 206 (azure), 257 and 309 degrees.

    Unit: fraction of the image's total chroma. Range: [0, 1]; the seven sum to 1, or are all 0 on an image
    without colour.

    Notes
    -----
    The paper states "a 7-bin histogram of the different hues". The hue of a grey pixel is undefined, that of a nearly
    grey or nearly black one is noise; weighting by chroma lets each pixel count as much as it is coloured, without
    a threshold. Red, the hue at which the scale wraps around, would fall half into the first and half into the last
    bin if the first began at 0.
    """

    name = "hue"
    features = histogram("hue", BINS, "fraction of chroma")
    needs = ("thumbnail",)

    def __init__(self) -> None:
        self._levels = np.arange(256, dtype=np.float32)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Compute the seven fractions."""
        hue, saturation, value = cv2.split(cv2.cvtColor(shared.thumbnail, cv2.COLOR_RGB2HSV_FULL))
        chroma = cv2.multiply(saturation, value, scale=1.0 / 255.0)
        shifted = hue + HALF_BIN  # bytes wrap around as the circle of hues does
        pixels = cv2.calcHist([shifted, chroma], [0, 1], None, [BINS, 256], [0.0, 256.0, 0.0, 256.0])
        weights = pixels @ self._levels
        total = float(weights.sum())
        if total == 0.0:
            return (0.0,) * BINS
        fractions: list[float] = (weights / total).tolist()
        return fractions
