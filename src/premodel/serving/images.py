"""Images out of an input tensor: encoded (BYTES) or decoded (UINT8), as binary data or as JSON."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import ImageError, InputError
from premodel.fields import shown
from premodel.serving.limits import Limits

SHAPES = "BYTES [n] or [n, 1]: one encoded image each; UINT8 [height, width, 3] or [n, height, width, 3]: RGB"


def read_images(
    tensor: Mapping[str, Any], binary: memoryview | None, limits: Limits, task: str = IMAGE_TASK
) -> Sequence[bytes | NDArray[np.uint8]]:
    """The images of an input tensor.

    Parameters
    ----------
    tensor:
        With `shape`, `datatype` and, where there is no binary data, `data`: numbers, flat or nested, or for BYTES the
        base64 of each encoded image.
    binary:
        Elements in row-major order; a BYTES element has four bytes of length (little endian) before it.
    limits:
        Images and pixels that are accepted.
    task:
        What the inputs are, where they are no images: encoded inputs of its domain, and no pixels.

    Raises
    ------
    InputError
        Shape, data and datatype contradict each other, or are of no image.
    ImageError
        An image has too many pixels.
    """
    shape = _shape(tensor.get("shape"))
    datatype = tensor.get("datatype")
    if datatype == "BYTES" and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        check_batch(shape[0], limits)
        return _encoded(tensor, binary, shape[0], limits, task)
    pixels_taken = domain_of(task).takes_pixels
    if datatype == "UINT8" and pixels_taken and len(shape) in (3, 4) and shape[-1] == 3:
        count = 1 if len(shape) == 3 else shape[0]
        check_batch(count, limits)
        _check_pixels(shape[-2], shape[-3], limits, "image tensor")
        pixels = _from_json(tensor.get("data"), shape) if binary is None else _from_binary(binary, shape)
        return list(pixels.reshape(count, *shape[-3:]))
    allowed = SHAPES if pixels_taken else f"BYTES [n] or [n, 1]: one {domain_of(task).noun} each"
    raise InputError("wrong input tensor", given=f"{shown(datatype)} {shown(list(shape))}", allowed=allowed)


def _shape(value: Any) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= 4
        or not all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side < 1 << 31 for side in value)
    ):
        raise InputError("wrong shape", given=shown(value), allowed=SHAPES)
    return tuple(value)


def check_batch(count: int, limits: Limits) -> None:
    """InputError if a request has too many images."""
    if count > limits.max_batch:
        raise InputError("too many images in one request", given=count, allowed=f"up to {limits.max_batch}")


def _check_pixels(width: int, height: int, limits: Limits, where: str) -> None:
    if width * height > limits.max_pixels:
        raise ImageError(
            "image refused before decoding",
            where=where,
            given=f"{width} x {height} pixels",
            allowed=f"up to {limits.max_pixels} pixels",
        )


def _encoded(
    tensor: Mapping[str, Any], binary: memoryview | None, count: int, limits: Limits, task: str
) -> list[bytes]:
    images = _from_base64(tensor.get("data")) if binary is None else _split(binary)
    if len(images) != count:
        raise InputError("shape and data differ", given=f"{len(images)} images", allowed=f"{count}, by the shape")
    for index, data in enumerate(images):
        check_encoded(data, limits, f"{domain_of(task).noun} {index}", task)
    return images


def check_encoded(data: bytes, limits: Limits, where: str, task: str = IMAGE_TASK) -> None:
    """Refuse an encoded input by the size in its header; one without a header is left to the decoder.

    Raises
    ------
    SampleError
        It is too large; of an image, it has too many pixels.
    """
    domain_of(task).check_encoded(data, limits.max_pixels, where)


def _split(binary: memoryview) -> list[bytes]:
    """BYTES elements: each a length of four bytes, little endian, and so many bytes."""
    images = []
    position, end = 0, len(binary)
    while position < end:
        if end - position < 4:
            raise InputError("binary data ends within the length of an element", given=f"{end} bytes")
        (size,) = unpack_from("<I", binary, position)
        position += 4
        if size > end - position:
            raise InputError(
                "binary data ends within an element",
                given=f"{end - position} bytes",
                allowed=f"{size}, by the length before it",
            )
        images.append(bytes(binary[position : position + size]))
        position += size
    return images


def _from_base64(data: Any) -> list[bytes]:
    """JSON elements, flat or in lists of one."""
    if not isinstance(data, list):
        raise InputError("input has no data", given=shown(data), allowed="a list of base64 texts, or binary_data_size")
    images = []
    for index, item in enumerate(data):
        text = item[0] if isinstance(item, list) and len(item) == 1 else item
        if not isinstance(text, str):
            raise InputError("element is no text", where=f"image {index}", given=shown(item), allowed="base64")
        try:
            images.append(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            raise InputError(
                f"element is no base64 ({error})",
                where=f"image {index}",
                do="send the encoded image as base64 text in JSON, or as binary data",
            ) from error
    return images


def _from_binary(binary: memoryview, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if len(binary) != math.prod(shape):
        raise InputError(
            "shape and data differ", given=f"{len(binary)} bytes", allowed=f"{math.prod(shape)}, by the shape"
        )
    return np.frombuffer(binary, np.uint8)


def _from_json(data: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Numbers, flat or nested as the shape."""
    if not isinstance(data, list):
        raise InputError("input has no data", given=shown(data), allowed="a list of numbers, or binary_data_size")
    try:
        values = np.asarray(data)
    except ValueError as error:  # lists of different lengths
        raise InputError("data is no tensor: its lists have different lengths") from error
    if values.shape != shape and values.shape != (math.prod(shape),):
        raise InputError("shape and data differ", given=list(values.shape), allowed=f"{list(shape)}, or flat")
    if values.dtype.kind not in "iu" or int(values.min()) < 0 or int(values.max()) > 255:
        raise InputError("data does not fit UINT8", allowed="whole numbers from 0 to 255")
    return values.astype(np.uint8)
