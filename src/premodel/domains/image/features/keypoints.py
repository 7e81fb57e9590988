"""n_keypoints: how many corners the image has."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features.intermediates import LONG_SIDE, Intermediates

THRESHOLD = 20
"""Grey levels by which the arc around a corner must be brighter or darker than the corner."""

MARGIN = 3
"""Pixels at each border in which FAST finds nothing: the radius of its circle."""


class Keypoints(FeatureFamily):
    """`n_keypoints`: the number of FAST corners in the thumbnail's luma.

    A pixel p is a corner when at least 9 adjacent pixels of the 16 on the circle of radius 3 around it are all
    brighter than p + 20 or all darker than p - 20, and its score is strictly above that of its 8 neighbours.

    Unit: corners. Range: [0, 841]; no two corners touch, so at most every second pixel of every second row.
    Images under 7 x 7 pixels have none.

    Notes
    -----
    The paper names no detector. FAST (Rosten and Drummond 2006) is the cheapest of those in OpenCV; SURF is
    patented and absent, ORB is FAST with a descriptor that nothing here reads. The count is not divided by the area:
    the thumbnail has nearly the same size for every image.
    The detector keeps no state between images, so threads may share it.
    """

    name = "keypoints"
    features = (Feature("n_keypoints", "corners", 0.0, float(((LONG_SIDE - 2 * MARGIN + 1) // 2) ** 2)),)
    needs = ("grey",)

    def __init__(self) -> None:
        self._detector = cv2.FastFeatureDetector.create(
            threshold=THRESHOLD, nonmaxSuppression=True, type=cv2.FAST_FEATURE_DETECTOR_TYPE_9_16
        )

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Count the corners."""
        return (len(self._detector.detect(shared.grey)),)
