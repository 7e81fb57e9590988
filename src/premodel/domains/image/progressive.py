"""A progressive JPEG without the scans that decoding at an eighth of its size reads and does not use."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from struct import error as StructError  # noqa: N812  (an exception class that struct names in lower case)
from struct import unpack_from

import numpy as np

SOF2, DHT, SOS, EOI, DRI = 0xC2, 0xC4, 0xDA, 0xD9, 0xDD
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a segment."""
RUN_BITS = 14
"""Of the longest run of empty blocks: 2 ** 15 - 1."""
EMPTY_SCAN_TABLE = bytes([0xFF, DHT, 0, 19 + RUN_BITS + 1, 0x10, 0, 0, 0, RUN_BITS + 1, *[0] * 12]) + bytes(
    length << 4 for length in range(RUN_BITS + 1)
)
"""A Huffman table in which the code of a run of `length` bits is `length` itself, in four bits."""
MAX_SEGMENTS = 1 << 12
NO_RESTARTS = bytes([0xFF, DRI, 0, 4, 0, 0])


@dataclass
class _Component:
    """One of the colour planes.

    Attributes
    ----------
    blocks:
        Of 8 x 8 pixels, in a scan of this plane alone.
    mean_alone:
        At an eighth of the size a block is one pixel, its mean: no other coefficient is used.
    missing:
        For each of the 64 coefficients the bits that no scan has given so far.
    """

    blocks: int
    mean_alone: bool
    missing: list[int] = field(default_factory=lambda: [0] + [16] * 63)


def without_unused_scans(data: bytes) -> bytes:
    """The same JPEG for a decoder at an eighth of the size, with fewer bytes; as given where nothing can be left out.

    Notes
    -----
    At that scale libjpeg makes one pixel of each 8 x 8 block, from its mean; of planes that are halved in both
    directions (the colours of most photographs) four pixels. A progressive file has the other coefficients in scans of
    their own, plane by plane. These are replaced by one scan of nothing but zeros, some bytes long, since a decoder
    that finds no scan at all would guess them. Pixels are the same. A file with one scan has them between the
    means, where they can only be read.
    """
    try:
        return _shortened(data) or data
    except (StructError, IndexError, KeyError, ValueError, ZeroDivisionError):  # the decoder will find the damage
        return data


def _shortened(data: bytes) -> bytes | None:
    values = np.frombuffer(data, np.uint8)
    candidates = np.flatnonzero(values[:-1] == 0xFF)
    following = values[candidates + 1]
    markers = candidates[(following != 0) & (following != 0xFF) & ((following < 0xD0) | (following > 0xD7))]
    components: dict[int, _Component] = {}
    kept: list[bytes] = []
    dropped: set[int] = set()
    start, position = 0, 2
    for _ in range(MAX_SEGMENTS):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == EOI:
            if not dropped or any(any(components[name].missing) for name in dropped):
                return None
            empty = b"".join(_empty_scan(name, components[name].blocks) for name in sorted(dropped))
            return b"".join([*kept, data[start:position], NO_RESTARTS, EMPTY_SCAN_TABLE, empty, data[position:]])
        if marker == 0xFF or marker in ALONE:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (DHT, 0xC8, 0xCC):
            if marker != SOF2 or components:
                return None
            components = _components(data, position)
        if marker == SOS:
            end = int(markers[np.searchsorted(markers, end)])
            if (name := _unused(data, position, components)) is not None:
                kept.append(data[start:position])
                start = end
                dropped.add(name)
        position = end
    return None


def _components(data: bytes, position: int) -> dict[int, _Component]:
    """Those of a frame header."""
    height, width, count = unpack_from(">HHB", data, position + 5)
    factors = {
        data[place]: (data[place + 1] >> 4, data[place + 1] & 15)
        for place in range(position + 10, position + 10 + 3 * count, 3)
    }
    most_across, most_down = (max(both) for both in zip(*factors.values(), strict=True))
    return {
        name: _Component(
            _rows_of_blocks(width * across, most_across) * _rows_of_blocks(height * down, most_down),
            across == most_across or down == most_down,
        )
        for name, (across, down) in factors.items()
    }


def _rows_of_blocks(length: int, most: int) -> int:
    """Of 8 pixels, in `length / most` pixels."""
    return math.ceil(math.ceil(length / most) / 8)


def _unused(data: bytes, position: int, components: dict[int, _Component]) -> int | None:
    """The plane of a scan without means, if nothing else of it is used; what every scan gives is noted."""
    count = data[position + 4]
    first, last, precision = unpack_from("BBB", data, position + 5 + 2 * count)
    if first == 0 or count != 1:
        return None
    name = data[position + 5]
    one = components[name]
    one.missing[first : last + 1] = [precision & 15] * (last + 1 - first)
    return name if one.mean_alone else None


def _empty_scan(name: int, blocks: int) -> bytes:
    """All coefficients but the means of a plane, 0."""
    bits = ""
    while blocks:
        length = min(RUN_BITS, blocks.bit_length() - 1)
        run = min(blocks, (2 << length) - 1)
        bits += f"{length:04b}" + (f"{run - (1 << length):0{length}b}" if length else "")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    packed = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    return bytes([0xFF, SOS, 0, 8, 1, name, 0x00, 1, 63, 0]) + packed
