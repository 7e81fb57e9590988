"""avg_perceived_brightness and perceived_brightness_rms: how light the image looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features.intermediates import Intermediates


class PerceivedBrightness(FeatureFamily):
    """Mean and root mean square of P = sqrt(0.299 R^2 + 0.587 G^2 + 0.114 B^2) over the thumbnail's pixels.

    `avg_perceived_brightness` = mean(P); `perceived_brightness_rms` = sqrt(mean(P^2)).

    Unit: levels of an 8-bit channel. Range: [0, 255], black to white; P is at least the luma, and equals it on grey.

    Notes
    -----
    The paper gives no formula. P is the perceived brightness of the HSP colour model (Finley 2006), whose author
    gives these weights as more accurate than his first ones, 0.241, 0.691 and 0.068. P^2 is held as a
    whole number, an error of P below one level next to black and below 0.02 from P = 25 upwards.
    """

    name = "perceived_brightness"
    features = (
        Feature("avg_perceived_brightness", "levels", 0.0, 255.0),
        Feature("perceived_brightness_rms", "levels", 0.0, 255.0),
    )
    needs = ("thumbnail",)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Compute both from the squares of the channels."""
        rgb = shared.thumbnail
        squares = np.multiply(rgb, rgb, dtype=np.uint16)
        perceived_squared = cv2.cvtColor(squares, cv2.COLOR_RGB2GRAY)  # the weights are those of the luma
        mean = cv2.mean(np.sqrt(perceived_squared, dtype=np.float32))[0]
        return min(mean, 255.0), min(math.sqrt(cv2.mean(perceived_squared)[0]), 255.0)
