"""Tensors of the Open Inference Protocol v2 over HTTP: JSON, and the binary tensor extension behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import InputError
from premodel.fields import shown

DATATYPES = {
    "FP32": "<f4",
    "FP16": "<f2",
    "FP64": "<f8",
    "UINT8": "|u1",
    "INT8": "|i1",
    "INT32": "<i4",
    "INT64": "<i8",
}
"""The protocol's name -> numpy's, little endian as the protocol sends it."""
HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header: bytes of JSON before the binary data."""
BINARY_TYPE = "application/octet-stream"


def datatype_of(dtype: str) -> str:
    """The protocol's name of a numpy dtype; InputError if it has none."""
    for name, code in DATATYPES.items():
        if np.dtype(code) == np.dtype(dtype).newbyteorder("<"):
            return name
    raise InputError("the protocol has no such type", given=dtype, allowed=", ".join(DATATYPES))


def dtype_of(datatype: str) -> str:
    """numpy's name of one of the protocol's types; the protocol's own where numpy has none here."""
    return np.dtype(DATATYPES[datatype]).name if datatype in DATATYPES else datatype


def write_body(head: Mapping[str, Any], key: str, tensors: Mapping[str, NDArray[Any] | bytes]) -> tuple[bytes, int]:
    """A body and the length of its JSON.

    Parameters
    ----------
    head:
        What goes beside the tensors.
    key:
        "inputs" or "outputs".
    tensors:
        By name; bytes are one BYTES element, shape [1].
    """
    entries, chunks = [], []
    for name, values in tensors.items():
        if isinstance(values, bytes):
            datatype, shape, chunk = "BYTES", [1], pack("<I", len(values)) + values
        else:
            datatype, shape = datatype_of(values.dtype.name), list(values.shape)
            chunk = np.ascontiguousarray(values, DATATYPES[datatype]).tobytes()
        parameters = {"binary_data_size": len(chunk)}
        entries.append({"name": name, "datatype": datatype, "shape": shape, "parameters": parameters})
        chunks.append(chunk)
    text = json.dumps({**head, key: entries}, allow_nan=False, separators=(",", ":")).encode()
    return b"".join((text, *chunks)), len(text)


def read_body(body: bytes, header_length: int | None) -> tuple[dict[str, Any], memoryview]:
    """The JSON table of a body, and the binary data behind it.

    Raises
    ------
    InputError
        It is no JSON table, or shorter than it says.
    """
    length = len(body) if header_length is None else header_length
    if not 0 < length <= len(body):
        raise InputError(f"{HEADER_LENGTH} is not within the body", given=length, allowed=f"1 to {len(body)}")
    try:
        data = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON ({error})") from error
    if not isinstance(data, dict):
        raise InputError("no JSON table", given=shown(data))
    return data, memoryview(body)[length:]


def read_outputs(entries: Any, binary: memoryview) -> dict[str, NDArray[Any]]:
    """Numeric tensors by name, from the table of a response and what is behind it.

    Raises
    ------
    InputError
        An entry is no tensor, or shape and data differ.
    """
    found: dict[str, NDArray[Any]] = {}
    position = 0
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            raise InputError("an output is no table", given=shown(entry))
        parameters = entry.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        chunk = None
        if type(size) is int and size >= 0:
            chunk, position = binary[position : position + size], position + size
        found[str(entry.get("name"))] = read_tensor(entry, chunk)
    return found


def read_tensor(entry: Mapping[str, Any], binary: memoryview | None) -> NDArray[Any]:
    """A numeric tensor from its table: its binary data, or its `data`, flat or nested.

    Raises
    ------
    InputError
        The datatype is none of DATATYPES, or shape and data differ.
    """
    datatype, shape = entry.get("datatype"), entry.get("shape")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InputError("unknown datatype", given=shown(datatype), allowed=", ".join(DATATYPES))
    if not isinstance(shape, list) or not all(type(side) is int and 0 <= side < 1 << 31 for side in shape):
        raise InputError("wrong shape", given=shown(shape), allowed="a list of whole numbers")
    dtype = np.dtype(DATATYPES[datatype])
    size = math.prod(shape)
    if binary is not None:
        if len(binary) != size * dtype.itemsize:
            raise InputError(
                "shape and data differ", given=f"{len(binary)} bytes", allowed=f"{size * dtype.itemsize}, by the shape"
            )
        return np.frombuffer(binary, dtype).reshape(shape)
    data = entry.get("data")
    try:
        if not isinstance(data, list):
            raise ValueError("no list")
        values = np.asarray(data)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("data is no tensor", given=shown(data), allowed="numbers, flat or nested") from error
    if values.size != size or values.dtype.kind not in "iuf" or not _fits(values, dtype):
        raise InputError("data does not fit", given=f"{values.size} values", allowed=f"{size} numbers of {datatype}")
    with np.errstate(over="ignore"):  # too large for the type is infinite, and refused as an answer
        return values.astype(dtype).reshape(shape)


def shape_of(sides: Sequence[int]) -> tuple[int | None, ...]:
    """A shape of the protocol's metadata, where -1 is a free side; a free batch, the first side, is 1."""
    shape: list[int | None] = [None if side < 0 else side for side in sides]
    if shape and shape[0] is None:
        shape[0] = 1
    return tuple(shape)


def _fits(values: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Are these numbers of an integer type within it; those of a float type always are."""
    if dtype.kind == "f" or not values.size:
        return True
    limits = np.iinfo(dtype)
    return values.dtype.kind in "iu" and int(values.min()) >= limits.min and int(values.max()) <= limits.max
