"""Images that lack only the mark of their end: every pixel is there, and every other tool reads them.

A file that was cut off within its pixels is not recovered: a decoder would fill the rest with grey, which is a wrong
sample without a word.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

END_OF_JPEG = b"\xff\xd9"
END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
FILL_BYTES = 256
COEFFICIENTS = 64
PIECE_BYTES = 1 << 20

Pixels = NDArray[np.uint8]


def jpeg_without_end(data: bytes, decode: Callable[[bytes], Pixels]) -> Pixels | None:
    """The pixels of a JPEG without its end marker; None if some of them are missing.

    Parameters
    ----------
    decode:
        Decodes a whole JPEG; may raise anything.

    Notes
    -----
    A decoder that has all pixels looks at no further bytes of the scan; one that lacks some takes them from whatever
    follows. So the file is decoded with two different continuations, and the pixels must be the same. A progressive
    file must also hold every bit of every coefficient: a missing last scan leaves no gap behind.
    """
    if not _holds_every_coefficient(data):
        return None
    cut = data[:-1] if data.endswith(b"\xff") else data  # half of the end marker
    noise = np.random.default_rng(0).integers(0, 255, (2, FILL_BYTES), dtype=np.uint8)  # without 0xFF, a marker
    first, second, plain = (decode(cut + fill + END_OF_JPEG) for fill in (noise[0].tobytes(), noise[1].tobytes(), b""))
    same = first.shape == plain.shape and np.array_equal(first, plain) and np.array_equal(second, plain)
    return plain if same else None


def _holds_every_coefficient(data: bytes) -> bool:
    """Do the scans that the file begins send all components whole."""
    components: list[int] = []
    progressive = False
    bits: dict[int, list[int]] = {}  # lowest bit sent so far of each coefficient, by component
    for marker, body in _segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            count = data[body + 5]
            components = [data[body + 6 + 3 * number] for number in range(count)]
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
            bits = {name: [COEFFICIENTS] * COEFFICIENTS for name in components}
        elif marker == 0xDA:
            count = data[body]
            names = [data[body + 1 + 2 * number] for number in range(count)]
            first, last, position = data[body + 1 + 2 * count : body + 4 + 2 * count]
            low = position & 15
            if not progressive:
                first, last, low = 0, COEFFICIENTS - 1, 0
            for name in names:
                for coefficient in range(first, min(last, COEFFICIENTS - 1) + 1):
                    if name in bits:
                        bits[name][coefficient] = low
    return bool(components) and all(low == 0 for sent in bits.values() for low in sent)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and position of the body of every segment; what is between two segments is a scan, and passed over."""
    position = 2
    while position + 4 <= len(data):
        at = data.find(b"\xff", position)
        if at < 0 or at + 4 > len(data):
            return
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # data, fill, restart, start and end
            position = at + (1 if marker == 0xFF else 2)
            continue
        (length,) = unpack_from(">H", data, at + 2)
        if at + 2 + length > len(data):
            return
        yield marker, at + 4
        position = at + 2 + length


def png_without_end(data: bytes) -> bytes | None:
    """The PNG with its end mark; None if its pixels are not all there: their stream does not end."""
    position = 8
    stream: Any = zlib.decompressobj()
    while position + 12 <= len(data):
        length, kind = unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            break
        if kind == b"IDAT" and not stream.eof and not _inflate(stream, data[position + 8 : position + 8 + length]):
            return None
        position += 12 + length
    return data[:position] + END_OF_PNG if stream.eof else None


def _inflate(stream: Any, packed: bytes) -> bool:
    """Feed some bytes and forget what they give, piece by piece; False if they are damaged."""
    try:
        stream.decompress(packed, PIECE_BYTES)
        while stream.unconsumed_tail and not stream.eof:
            stream.decompress(stream.unconsumed_tail, PIECE_BYTES)
    except zlib.error:
        return False
    return True
