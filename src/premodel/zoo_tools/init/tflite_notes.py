"""The normalisation in the metadata of a `.tflite` file, read without a library: the file is a FlatBuffer."""

from __future__ import annotations

import struct
from pathlib import Path

MAX_FILE_BYTES = 1 << 30
METADATA_NAME = b"TFLITE_METADATA"
MODEL_BUFFERS, MODEL_METADATA = 4, 6
METADATA_BUFFER = 1
SUBGRAPHS, INPUTS, PROCESS_UNITS = 3, 2, 4
NORMALISATION = 1
"""Number of the normalisation among the kinds of process units."""
MAX_NUMBERS = 16

Numbers = tuple[float, ...]


def normalisation(file: Path) -> tuple[Numbers, Numbers] | None:
    """Mean and std of the pixel values, 0 to 255, that the metadata of the first input states; None without such."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            return None
        return _normalisation(file.read_bytes())
    except (OSError, struct.error, IndexError, ValueError):
        return None


def _normalisation(data: bytes) -> tuple[Numbers, Numbers] | None:
    metadata = _metadata(data)
    if metadata is None:
        return None
    place = _root(metadata)
    for field in (SUBGRAPHS, INPUTS):
        tables = _tables(metadata, place, field)
        if not tables:
            return None
        place = tables[0]
    for unit in _tables(metadata, place, PROCESS_UNITS):
        kind, options = _field(metadata, unit, 0), _field(metadata, unit, 1)
        if kind is None or options is None or metadata[kind] != NORMALISATION:
            continue
        table = _follow(metadata, options)
        mean, std = _floats(metadata, table, 0), _floats(metadata, table, 1)
        if mean and std:
            return mean, std
    return None


def _metadata(data: bytes) -> bytes | None:
    """The bytes of the model's metadata, themselves a FlatBuffer."""
    root = _root(data)
    buffers = _tables(data, root, MODEL_BUFFERS)
    for entry in _tables(data, root, MODEL_METADATA):
        name, number = _field(data, entry, 0), _field(data, entry, METADATA_BUFFER)
        if name is None or _vector(data, name) != METADATA_NAME:
            continue
        index = 0 if number is None else _unsigned(data, number)
        content = _field(data, buffers[index], 0)
        return None if content is None else _vector(data, content)
    return None


def _unsigned(data: bytes, place: int) -> int:
    found: int = struct.unpack_from("<I", data, place)[0]
    return found


def _root(data: bytes) -> int:
    return _unsigned(data, 0)


def _follow(data: bytes, place: int) -> int:
    """Where the offset that stands at a place leads."""
    return place + _unsigned(data, place)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table stands; None if the table has none of that number."""
    (back,) = struct.unpack_from("<i", data, table)
    fields = table - back
    if fields < 0:
        raise ValueError("a table without its list of fields")
    (size,) = struct.unpack_from("<H", data, fields)
    at = 4 + 2 * number
    if at + 2 > size:
        return None
    (offset,) = struct.unpack_from("<H", data, fields + at)
    return table + offset if offset else None


def _tables(data: bytes, table: int, number: int) -> list[int]:
    """The tables of a vector of tables."""
    field = _field(data, table, number)
    if field is None:
        return []
    vector = _follow(data, field)
    count = min(_unsigned(data, vector), len(data) // 4)
    return [_follow(data, vector + 4 + 4 * i) for i in range(count)]


def _vector(data: bytes, field: int) -> bytes:
    """The bytes of a string or a vector of bytes."""
    vector = _follow(data, field)
    return data[vector + 4 : vector + 4 + _unsigned(data, vector)]


def _floats(data: bytes, table: int, number: int) -> Numbers:
    field = _field(data, table, number)
    if field is None:
        return ()
    vector = _follow(data, field)
    count = _unsigned(data, vector)
    return struct.unpack_from(f"<{count}f", data, vector + 4) if 0 < count <= MAX_NUMBERS else ()
