"""Resizing with antialiasing, to the very pixels that Pillow gives, and torchvision on PIL images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import floor, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

PRECISION_BITS = 22
"""Of the fixed-point weights: 32 less 8 for a pixel and 2 for the overshoot of the kernels."""

Weights = tuple[tuple[int, NDArray[np.float64]], ...]
"""For each output pixel the first input pixel, and the weights of it and of those behind it."""


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def _cubic(x: float) -> float:
    """With a = -0.5 (Keys 1981)."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x < 2 else 0.0


def _lanczos(x: float) -> float:
    """Of three lobes."""
    if x == 0:
        return 1.0
    return sin(pi * x) / (pi * x) * sin(pi * x / 3) / (pi * x / 3) if -3 <= x < 3 else 0.0


KERNELS: dict[str, tuple[Callable[[float], float], float]] = {
    "bilinear-antialias": (_triangle, 1.0),
    "bicubic-antialias": (_cubic, 2.0),
    "lanczos-antialias": (_lanczos, 3.0),
}
"""Name -> kernel, and how far it reaches in pixels of the smaller image."""


def resize(rgb: NDArray[np.uint8], size: tuple[int, int], interpolation: str) -> NDArray[np.uint8]:
    """Resize an image.

    Parameters
    ----------
    rgb:
        uint8 (height, width, 3).
    size:
        (height, width) of the result.
    interpolation:
        A name of `KERNELS`.

    Notes
    -----
    As Pillow's `Image.resize`: the kernel is widened by the factor by which the image shrinks; columns first, then
    rows, with whole pixel values between; the weights are rounded to fixed point, so that every sum is exact in
    float64 and the result the same on every machine.
    """
    height, width = rgb.shape[:2]
    if size[1] != width:
        # Turned, so that both passes work on whole rows.
        rgb = cv2.transpose(_rows(cv2.transpose(rgb), _weights(width, size[1], interpolation)))  # type: ignore[assignment,arg-type]
    return _rows(rgb, _weights(height, size[0], interpolation)) if size[0] != height else np.ascontiguousarray(rgb)


def _rows(rgb: NDArray[np.uint8], weights: Weights) -> NDArray[np.uint8]:
    """uint8 (len(weights), width, 3): every row a weighted sum of rows."""
    flat = np.ascontiguousarray(rgb).reshape(len(rgb), -1)
    summed = np.empty((len(weights), flat.shape[1]))
    for row, (first, factors) in enumerate(weights):
        part = flat[first : first + len(factors)].astype(np.float64)
        np.einsum("t,tw->w", factors, part, out=summed[row])  # no threads of its own, unlike a matrix product
    summed += 1 << (PRECISION_BITS - 1)
    summed *= 2.0**-PRECISION_BITS
    np.floor(summed, out=summed)
    np.clip(summed, 0, 255, out=summed)
    return summed.astype(np.uint8).reshape(len(weights), *rgb.shape[1:])


@lru_cache(maxsize=256)
def _weights(length: int, wanted: int, interpolation: str) -> Weights:
    """The weights of one axis, whole numbers of `2 ** -PRECISION_BITS`."""
    kernel, reach = KERNELS[interpolation]
    scale = length / wanted
    widened = max(scale, 1.0)
    support = reach * widened
    found = []
    for place in range(wanted):
        centre = (place + 0.5) * scale
        first = max(0, floor(centre - support + 0.5))
        last = min(length, floor(centre + support + 0.5))
        raw = np.array([kernel((at + first - centre + 0.5) / widened) for at in range(last - first)])
        total = raw.sum()
        fixed = raw / total * (1 << PRECISION_BITS) if total else raw
        rounded = np.where(fixed < 0, np.ceil(fixed - 0.5), np.floor(fixed + 0.5))
        found.append((first, rounded))
    return tuple(found)
