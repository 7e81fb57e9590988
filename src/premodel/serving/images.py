"""Images out of an input tensor: encoded (BYTES) or decoded (UINT8), as binary data or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import ImageError, InputError
from premodel.fields import shown
from premodel.protocol.oip import BYTES, SIZE, read_tensor, shape_in, split_elements, table
from premodel.serving.encoded import decode_element
from premodel.serving.limits import Limits

SHAPES = "BYTES [n] or [n, 1]: one encoded image each; UINT8 [height, width, 3] or [n, height, width, 3]: RGB"


def read_images(
    tensor: Mapping[str, Any], binary: memoryview | None, limits: Limits, task: str = IMAGE_TASK
) -> Sequence[bytes | NDArray[np.uint8]]:
    """The images of an input tensor.

    Parameters
    ----------
    tensor:
        With `shape`, `datatype` and, where there is no binary data, `data`: numbers, flat or nested, or for BYTES each
        encoded image in one of the forms of `decode_element`.
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
    shape = shape_in(tensor, least=1)
    datatype = tensor.get("datatype")
    if datatype == BYTES and (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        check_batch(shape[0], limits, domain_of(task).plural)
        return _encoded(tensor, binary, shape[0], limits, task)
    pixels_taken = domain_of(task).takes_pixels
    if datatype == "UINT8" and pixels_taken and len(shape) in (3, 4) and shape[-1] == 3:
        count = 1 if len(shape) == 3 else shape[0]
        check_batch(count, limits)
        _check_pixels(shape[-2], shape[-3], limits, "image tensor")
        return list(read_tensor(tensor, binary).reshape(count, *shape[-3:]))
    allowed = SHAPES if pixels_taken else f"BYTES [n] or [n, 1]: one {domain_of(task).noun} each"
    raise InputError("wrong input tensor", given=f"{shown(datatype)} {shown(list(shape))}", allowed=allowed)


def check_batch(count: int, limits: Limits, plural: str = "images") -> None:
    """InputError if a request has too many inputs."""
    if count > limits.max_batch:
        raise InputError(f"too many {plural} in one request", given=count, allowed=f"up to {limits.max_batch}")


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
    domain = domain_of(task)
    noun = domain.noun
    said = table(tensor, "parameters", "input").get("content_type")
    if binary is None:
        as_text = said != "base64" if domain.inline else said == "str" and not domain.takes_pixels
        images = _from_json(tensor.get("data"), noun, as_text=as_text)
    else:
        images = split_elements(binary)
        if said == "base64":  # MLServer's word for elements that are base64 text
            images = [decode_element(one.decode("latin-1"), f"{noun} {index}") for index, one in enumerate(images)]
    if len(images) != count:
        raise InputError(
            "shape and data differ", given=f"{len(images)} {domain.plural}", allowed=f"{count}, by the shape"
        )
    check_all_encoded(images, limits, task)
    return images


def check_all_encoded(images: Sequence[bytes], limits: Limits, task: str) -> None:
    """`check_encoded` of the images of a request, each by its place."""
    noun = domain_of(task).noun
    for index, data in enumerate(images):
        check_encoded(data, limits, f"{noun} {index}", task)


def check_encoded(data: bytes, limits: Limits, where: str, task: str = IMAGE_TASK) -> None:
    """Refuse an encoded input by the size in its header; one without a header is left to the decoder.

    Raises
    ------
    SampleError
        It is too large; of an image, it has too many pixels.
    """
    domain_of(task).check_encoded(data, limits.max_pixels, where)


def _from_json(data: Any, noun: str, *, as_text: bool) -> list[bytes]:
    """JSON elements, flat or in lists of one; `as_text`: a text is the input itself, and no base64 of it."""
    if not isinstance(data, list):
        kind = "texts" if as_text else "base64 texts"
        raise InputError("input has no data", given=shown(data), allowed=f"a list of {kind}, or {SIZE}")
    items = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]
    return [
        item.encode("utf-8", "surrogatepass")
        if as_text and isinstance(item, str)
        else decode_element(item, f"{noun} {index}")
        for index, item in enumerate(items)
    ]
