"""Arrays as deterministic `.npz` bytes, and back without trusting them. No pickle either way."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from premodel.container import Container, write_members
from premodel.errors import BundleError

KINDS = "biufU"
"""Kinds of dtype that are written and read: bool, integers, floats and text."""
MAX_DIMENSIONS = 8
SUFFIX = ".npy"
MAGIC = b"\x93NUMPY\x01\x00"
PREFIX_BYTES = len(MAGIC) + 2
HEADER = re.compile(
    rb"\{'descr': '([<|][biufU]\d{1,6})', 'fortran_order': False, 'shape': \(((?:\d{1,18}(?:, \d{1,18})*,?)?)\), \} *\n"
)


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays by name as the bytes of an `.npz` file; the same arrays give the same bytes.

    Notes
    -----
    `numpy.savez` writes the time of day into the file, so it cannot be used where bytes are compared.

    Raises
    ------
    ValueError
        An array holds objects or records.
    """
    members = {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        if array.dtype.kind not in KINDS:
            raise ValueError(f"array {name}: dtype {array.dtype} is not stored")
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        stream = io.BytesIO()
        npy.write_array(stream, little, version=(1, 0), allow_pickle=False)
        members[name + SUFFIX] = stream.getvalue()
    stream = io.BytesIO()
    write_members(stream, members)
    return stream.getvalue()


def unpack_arrays(data: bytes, where: object) -> dict[str, NDArray[Any]]:
    """Arrays by name from the bytes of an `.npz` file made by `pack_arrays`.

    Raises
    ------
    BundleError
        The bytes are no such file, or an array's declared size is not what is there.
    """
    container = Container(io.BytesIO(data), where)
    arrays = {}
    for member in container.sizes:
        if not member.endswith(SUFFIX):
            raise BundleError("an array has no .npy name", where=where, given=member)
        arrays[member.removesuffix(SUFFIX)] = _read_array(container.read(member), f"{where}: {member}")
    return arrays


def _read_array(data: bytes, where: str) -> NDArray[Any]:
    """One array; its header is checked against the bytes there before anything is allocated.

    Only the form of header that `pack_arrays` writes is read: numpy's own reader evaluates it as Python, with all the
    ways to fail that this brings.
    """
    start = PREFIX_BYTES + int.from_bytes(data[len(MAGIC) : PREFIX_BYTES], "little")
    header = HEADER.fullmatch(data[PREFIX_BYTES:start])
    if not data.startswith(MAGIC) or header is None:
        raise BundleError("an array's header is damaged or of another form", where=where)
    try:
        dtype = np.dtype(header[1].decode())
    except TypeError as error:
        raise BundleError("an array of an unknown kind", where=where, given=header[1].decode()) from error
    shape = tuple(int(side) for side in header[2].replace(b",", b" ").split())
    if len(shape) > MAX_DIMENSIONS or dtype.itemsize == 0:
        raise BundleError("an array of a form that is not stored", where=where, given=f"{dtype} {shape}")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise BundleError("an array's size is not what its header states", where=where, given=f"{dtype} {shape}")
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    # A copy, because the bytes are neither aligned nor the caller's to keep.
    return np.frombuffer(data, dtype=dtype, offset=start).reshape(shape).copy()
