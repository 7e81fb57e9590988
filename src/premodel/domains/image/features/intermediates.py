"""What several feature families share, computed from the one decoded image at most once, and only when read.

All features are computed on a reduced image: brightness, colours, main edges and outline survive the reduction, most
of the time does not. What each part costs is measured in `benchmarks/features`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.errors import ImageError

Pixels = NDArray[np.uint8]
T = TypeVar("T")

LONG_SIDE = 64
"""Pixels of the thumbnail's longer side, the scale of all features."""

CANNY_LOW = 100
CANNY_HIGH = 200
"""Hysteresis thresholds of the edge map on |dx| + |dy| of the 3x3 Sobel operator (a full black-white step is 1020)."""


class Intermediate(Generic[T]):
    """An attribute computed on first reading and kept with the image; made by `intermediate`.

    It is not `functools.cached_property` because that one, in Python 3.11, holds one lock for all instances while
    it computes, and so lets threads wait for one another.
    """

    name: str

    def __init__(self, compute: Callable[[Any], T], needs: tuple[str, ...]) -> None:
        self.compute = compute
        self.needs = needs
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Intermediate[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Intermediate[T] | T:
        if instance is None:
            return self
        value = self.compute(instance)
        instance.__dict__[self.name] = value
        return value


def intermediate(*needs: str) -> Callable[[Callable[[Any], T]], Intermediate[T]]:
    """Declare a method of `Intermediates` as an intermediate that reads only the intermediates named."""

    def declare(compute: Callable[[Any], T]) -> Intermediate[T]:
        return Intermediate(compute, needs)

    return declare


class Intermediates:
    """One image and what has been computed from it; made anew for every image, used by one thread.

    Parameters
    ----------
    image:
        uint8 (H, W, 3), RGB, C-contiguous, H and W at least 1. It is only read.

    Raises
    ------
    ImageError
        The image is anything else.
    """

    def __init__(self, image: Pixels) -> None:
        self.image = checked(image)

    @intermediate()
    def thumbnail(self) -> Pixels:
        """RGB uint8 (h, w, 3) with the longer side at most LONG_SIDE; smaller images stay as they are."""
        return shrink(self.image, LONG_SIDE)

    @intermediate("thumbnail")
    def grey(self) -> Pixels:
        """Luma of the thumbnail, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), uint8 (h, w)."""
        return cv2.cvtColor(self.thumbnail, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]

    @intermediate("grey")
    def grey_moments(self) -> tuple[float, float]:
        """Mean and standard deviation (over all pixels, not corrected for the sample) of the luma, in grey levels."""
        mean, deviation = cv2.meanStdDev(self.grey)
        return float(mean[0, 0]), float(deviation[0, 0])

    @intermediate("grey")
    def gradient(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """3x3 Sobel derivatives of the luma to the right and downwards, two int16 (h, w)."""
        dx, dy = cv2.spatialGradient(self.grey)
        return dx, dy  # type: ignore[return-value]

    @intermediate("gradient")
    def edge_map(self) -> Pixels:
        """Canny's thin edges from the gradient, uint8 (h, w), 255 on an edge and 0 elsewhere."""
        dx, dy = self.gradient
        return cv2.Canny(dx, dy, CANNY_LOW, CANNY_HIGH)  # type: ignore[return-value]

    @intermediate("edge_map")
    def edge_pixels(self) -> NDArray[np.intp]:
        """Positions of the edge pixels in the flattened edge map, rising."""
        return np.flatnonzero(self.edge_map != 0)  # comparing first is five times faster than flatnonzero on bytes


def declared() -> dict[str, tuple[str, ...]]:
    """Every intermediate with the intermediates it reads, each after those that it reads."""
    return {name: value.needs for name, value in vars(Intermediates).items() if isinstance(value, Intermediate)}


def checked(image: object) -> Pixels:
    """Give the image back if features can be computed from it.

    Raises
    ------
    ImageError
        Not an array, not uint8, not (H, W, 3), empty, or not C-contiguous.
    """
    allowed = "a C-contiguous uint8 array (height, width, 3), RGB, at least 1 x 1"
    if not isinstance(image, np.ndarray):
        raise ImageError("features need a decoded image", given=type(image).__name__, allowed=allowed)
    if image.dtype != np.uint8:
        raise ImageError("features need 8-bit pixels", given=image.dtype, allowed=allowed)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError("features need three channels and at least one pixel", given=image.shape, allowed=allowed)
    if not image.flags.c_contiguous:
        raise ImageError(
            "features need contiguous pixels",
            given=f"strides {image.strides} for shape {image.shape}",
            allowed=allowed,
            do="pass numpy.ascontiguousarray(image)",
        )
    return image


def shrink(image: Pixels, long_side: int) -> Pixels:
    """Reduce an image so that its longer side is at most `long_side`, the proportions kept, no side below 1.

    Parameters
    ----------
    image:
        uint8 (h, w, 3); an image that is small enough is given back as it is, never enlarged.

    Notes
    -----
    Sides are halved, each pixel the rounded mean of 2 x 2, while the longer is at least twice `long_side` (an odd
    last row or column is dropped); the rest, a factor below two, is bilinear. Halving is fast for every size and
    leaves nothing to alias; an exact area mean over a factor that is no whole number takes six times as long.
    """
    height, width = image.shape[:2]
    while max(height, width) >= 2 * long_side:
        rows, columns = max(1, height // 2), max(1, width // 2)
        even = image[: max(1, 2 * (height // 2)), : max(1, 2 * (width // 2))]
        image = cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height, width = rows, columns
    longer = max(height, width)
    if longer <= long_side:
        return image
    size = (max(1, round(width * long_side / longer)), max(1, round(height * long_side / longer)))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
