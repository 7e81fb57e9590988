"""A decoded image as the tensor that a model takes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor, TensorSpec
from premodel.domains.image.decode import Image
from premodel.domains.image.spec import CHANNELS, OPENCV_INTERPOLATIONS, InputSpec
from premodel.errors import ModelError

SMALL_PIXELS = 1 << 14
"""Of an input whose values fit a core's own cache with room to spare."""


class Pyramid:
    """The resized crops of one image, shared by all candidates that need the same; not for use by several threads.

    A shared crop has the very bytes of an unshared one: it is computed by the same call, once.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self._levels: dict[tuple[Any, ...], NDArray[np.uint8]] = {}

    @property
    def nbytes(self) -> int:
        """Of the crops made so far."""
        return sum(level.nbytes for level in self._levels.values())

    def level(self, spec: InputSpec, mirror: bool) -> NDArray[np.uint8]:
        """uint8 (height, width, 3) RGB of `spec.size`, not to be written to."""
        box = _box(self.image, spec)
        key: tuple[Any, ...] = (*box, spec.size, spec.interpolation, mirror)
        if spec.resize == "letterbox" and _fitted(box, spec.size) != spec.size:
            key = (*key, spec.padding or 0)
        found = self._levels.get(key)
        if found is None:
            found = _flipped(self.level(spec, False)) if mirror else _resized(self.image, spec, box)
            self._levels[key] = found
        return found


class Preprocessor:
    """Makes one model's input tensors of images: what depends on no image is worked out once.

    Parameters
    ----------
    spec:
        What the manifest states.
    mirror:
        Flip left and right, after the resize.
    quantisation:
        Input of the model file; needed only for integer inputs with mean and std.

    Raises
    ------
    ModelError
        The spec asks for quantisation and the model file states none.

    Notes
    -----
    Every value is looked up in a table of 256 entries per channel, computed in float64 and rounded once to the input's
    type: exact, and faster than arithmetic on each pixel.
    """

    def __init__(self, spec: InputSpec, mirror: bool = False, quantisation: TensorSpec | None = None) -> None:
        self.spec = spec
        self._mirror = mirror
        self._shape = spec.shape
        self._half = spec.dtype == "float16"
        self._planar = spec.layout == "NCHW" and CHANNELS[spec.channels] > 1
        table = value_table(spec, *((quantisation.scale, quantisation.zero_point) if quantisation else (0.0, 0)))
        self._table = table
        self._dtype = np.dtype(np.uint8) if table is None else table.dtype
        # One table for all channels takes one call; of large inputs planes one by one stay in the cache.
        one = table is not None and bool((table == table[:, :, :1]).all()) and math.prod(spec.size) <= SMALL_PIXELS
        self._one_table = np.ascontiguousarray(table[:, :, 0]) if table is not None and one else None
        self._tables = () if table is None else tuple(np.ascontiguousarray(part) for part in np.moveaxis(table, 2, 0))

    def __call__(self, image: Image, pyramid: Pyramid | None = None) -> Tensor:
        """The tensor, as `preprocess` gives it."""
        spec = self.spec
        if pyramid is not None and pyramid.image is image:
            pixels = pyramid.level(spec, self._mirror)
        else:
            pixels = _resized(image, spec, _box(image, spec))
            if self._mirror:
                pixels = _flipped(pixels)
        channels = spec.channels
        if channels == "GRAY":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[assignment]
        if self._planar:
            tensor = self._planes(pixels, channels == "BGR")
        else:
            if channels == "BGR":
                pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)  # type: ignore[assignment]
            values: Tensor = pixels if self._table is None else cv2.LUT(pixels, self._table)
            tensor = values.reshape(self._shape)
        return tensor.astype(np.float16) if self._half else tensor

    def _planes(self, pixels: NDArray[np.uint8], reverse: bool) -> Tensor:
        """The values channel by channel."""
        if self._one_table is not None:
            turned = np.ascontiguousarray((pixels[:, :, ::-1] if reverse else pixels).transpose(2, 0, 1))
            values: Tensor = cv2.LUT(turned.reshape(-1, turned.shape[2]), self._one_table)
            return values.reshape(self._shape)
        tensor: Tensor = np.empty(self._shape, self._dtype)
        planes = tensor[0][::-1] if reverse else tensor[0]
        if self._table is None:
            cv2.split(pixels, list(planes))
        else:
            for source, table, target in zip(
                cv2.split(pixels), self._tables[::-1] if reverse else self._tables, planes, strict=True
            ):
                cv2.LUT(source, table, target)
        return tensor


_preprocessor = lru_cache(maxsize=256)(Preprocessor)


def preprocess(
    image: Image,
    spec: InputSpec,
    *,
    mirror: bool = False,
    pyramid: Pyramid | None = None,
    quantisation: TensorSpec | None = None,
) -> Tensor:
    """Make a model's input tensor: crop, resize, mirror, channels, values, layout.

    Parameters
    ----------
    image:
        The decoded image.
    spec, mirror, quantisation:
        Of the `Preprocessor`.
    pyramid:
        Cache of the resized crops of this very image.

    Returns
    -------
    Tensor
        C-contiguous, of `spec.shape` and `spec.dtype`; may share memory with the pyramid and is not to be written to.

    Raises
    ------
    ModelError
        The spec asks for quantisation and the model file states none.
    """
    return _preprocessor(spec, mirror, quantisation)(image, pyramid)


@lru_cache(maxsize=256)
def value_table(spec: InputSpec, scale: float, zero_point: int) -> Tensor | None:
    """What each pixel value becomes, (1, 256, channels); None if pixels are fed as they are."""
    depth = CHANNELS[spec.channels]
    pixel = np.arange(256, dtype=np.float64)[None, :, None].repeat(depth, axis=2)
    integer = spec.dtype in ("uint8", "int8")
    if integer and spec.mean is None and spec.std is None:
        return None if spec.dtype == "uint8" else np.ascontiguousarray((pixel - 128).astype(np.int8))
    mean, std = np.array(spec.mean or (0.0,) * depth), np.array(spec.std or (1.0,) * depth)
    values = (pixel / 255 - mean) / std
    if not integer:
        return np.ascontiguousarray(values.astype(np.float32))
    if scale == 0.0:
        raise ModelError(
            "input.mean and input.std are given for an integer input, but the model file states no quantisation",
            given=f"dtype {spec.dtype}",
            do="leave mean and std out, pixels are then fed as they are",
        )
    limits = np.iinfo(spec.dtype)
    quantised = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(quantised.astype(spec.dtype))


def _box(image: Image, spec: InputSpec) -> tuple[int, int, int, int]:
    """Top, left, height and width of the crop."""
    height, width = image.rgb.shape[:2]
    if spec.resize == "center-crop":
        box_height = box_width = max(1, round(spec.crop_fraction * min(height, width)))
    elif spec.resize == "aspect-crop":
        scale = spec.crop_fraction * min(height / spec.size[0], width / spec.size[1])
        box_height = min(height, max(1, round(scale * spec.size[0])))
        box_width = min(width, max(1, round(scale * spec.size[1])))
    else:
        box_height = max(1, round(spec.crop_fraction * height))
        box_width = max(1, round(spec.crop_fraction * width))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _fitted(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a crop that is resized to fit in `size` with its proportions kept."""
    scale = min(size[0] / box[2], size[1] / box[3])
    return min(size[0], max(1, round(scale * box[2]))), min(size[1], max(1, round(scale * box[3])))


def _flipped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.flip(pixels, 1)  # type: ignore[return-value]


def _resized(image: Image, spec: InputSpec, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    top, left, box_height, box_width = box
    crop = image.rgb[top : top + box_height, left : left + box_width]
    height, width = spec.size if spec.resize != "letterbox" else _fitted(box, spec.size)
    if (box_height, box_width) == (height, width):
        inner = np.ascontiguousarray(crop)
    elif (how := OPENCV_INTERPOLATIONS.get(spec.interpolation)) is not None:
        inner = cv2.resize(crop, (width, height), interpolation=how)  # type: ignore[assignment]
    else:
        from premodel.domains.image import antialias  # here: most inputs are resized by OpenCV

        inner = antialias.resize(crop, (height, width), spec.interpolation)
    if (height, width) == spec.size:
        return inner
    whole = np.full((*spec.size, 3), spec.padding or 0, np.uint8)
    above, beside = (spec.size[0] - height) // 2, (spec.size[1] - width) // 2
    whole[above : above + height, beside : beside + width] = inner
    return whole
