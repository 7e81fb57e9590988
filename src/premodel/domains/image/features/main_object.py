"""area_by_perim and aspect_ratio: the shape of the image's main object."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features.intermediates import Intermediates, Pixels, shrink

LONG_SIDE = 32
"""Pixels of the longer side of the map in which the object is sought: its outline, not its texture."""

FRAME = 16
"""The frame taken for background is 1/16 of each side wide, at least one pixel."""


class MainObject(FeatureFamily):
    """Shape of the main object, found without any ground truth.

    The thumbnail is reduced to 32 pixels on its longer side. The frame along the border counts as background: each
    pixel's saliency is the mean over R, G, B of its absolute difference from the frame's mean colour. Otsu's
    threshold splits the saliency in two; the main object is the largest 8-connected component of the more salient
    part, of equally large ones the one that OpenCV labels first. Where nothing is salient (a flat image) the whole
    image is the object.

    `area_by_perim` = area / (perimeter * L): area in pixels, perimeter in pixel sides between the object and what is
    not object (holes count, and so does the image's border), L the longer side of the map in pixels. Unit: image
    sides. Range: [0, 0.25]: a square whose side is f of the image's gives f/4; thin or ragged objects give less.

    `aspect_ratio` = width / height of the object's upright bounding box. Unit: none. Range: [1/32, 32].

    Notes
    -----
    The paper states "area / perimeter of the main object" and "the aspect ratio of the main object", and does not say
    what the main object is. This is our choice, in the line of saliency by boundary prior (what touches the border
    is mostly background) and Otsu 1979. Annotated boxes, which a public re-implementation uses, do not exist for a
    new image and are never read.
    """

    name = "main_object"
    features = (
        Feature("area_by_perim", "image sides", 0.0, 0.25),
        Feature("aspect_ratio", "width / height", 1.0 / LONG_SIDE, float(LONG_SIDE)),
    )
    needs = ("thumbnail",)

    def __init__(self) -> None:
        self._mean_of_channels = np.full((1, 3), 1.0 / 3.0)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Find the main object and measure it."""
        rgb = shrink(shared.thumbnail, LONG_SIDE)
        difference = cv2.absdiff(rgb, frame_colour(rgb))  # type: ignore[call-overload]  # a scalar is allowed
        saliency = cv2.transform(difference, self._mean_of_channels)
        salient = cv2.threshold(saliency, 0.0, 255.0, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
        height, width = rgb.shape[:2]
        longer = max(height, width)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(salient, connectivity=8, ltype=cv2.CV_16U)
        if count == 1:
            return height * width / (2 * (height + width) * longer), width / height
        best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        left, top, columns, rows, area = stats[best].tolist()
        inside = labels[top : top + rows, left : left + columns] == best
        return area / (perimeter(inside, area) * longer), columns / rows


def frame_colour(rgb: Pixels) -> tuple[float, float, float, float]:
    """Mean colour of the frame along the border of an RGB image, as an OpenCV scalar."""
    height, width = rgb.shape[:2]
    rows, columns = max(1, height // FRAME), max(1, width // FRAME)
    interior = rgb[rows : height - rows, columns : width - columns]
    if interior.size == 0:  # one or two pixels wide: all is border
        red, green, blue, _ = cv2.mean(rgb)
        return red, green, blue, 0.0
    pixels = height * width - interior.shape[0] * interior.shape[1]
    red, green, blue, _ = (a - b for a, b in zip(cv2.sumElems(rgb), cv2.sumElems(interior), strict=True))
    return red / pixels, green / pixels, blue / pixels, 0.0


def perimeter(inside: NDArray[np.bool_], area: int) -> int:
    """Count the pixel sides between an object and its outside, for a bool (h, w) mask of `area` pixels.

    Every pixel has four sides; each pair of neighbours inside hides two.
    """
    beside = int(np.count_nonzero(inside[:, 1:] & inside[:, :-1]))
    below = int(np.count_nonzero(inside[1:] & inside[:-1]))
    return 4 * area - 2 * (beside + below)
