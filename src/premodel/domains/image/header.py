"""Width, height and completeness of an encoded image, read from its bytes before anything is decoded.

A decoder that allocates first and asks later can be made to take gigabytes by a file of a hundred bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import error as StructError  # noqa: N812  (an exception class that struct names in lower case)
from struct import unpack_from

import numpy as np


@dataclass(frozen=True)
class Header:
    """What the first bytes say.

    Attributes
    ----------
    format:
        "JPEG", "PNG", ...
    width, height:
        In pixels, as stored (before any EXIF rotation).
    complete:
        False if the end that the format demands is not there: the file was cut off. TIFF and AVIF are taken as
        complete here; their decoders notice.
    scans:
        Passes over the whole image that a decoder may have to make; more than 1 only in a JPEG that is progressive, or
        whose first scan leaves components to others.
    unsupported:
        What of it cannot be decoded, in words; empty where all can.
    """

    format: str
    width: int
    height: int
    complete: bool
    scans: int = 1
    unsupported: str = ""


MAX_CHUNKS = 1 << 16
FORMATS = "JPEG, PNG, WebP, AVIF, BMP, GIF, TIFF, JPEG 2000, PNM"


def read_header(data: bytes) -> Header | None:
    """The header of a known format; None if the bytes are of no format in FORMATS or its header is damaged."""
    for matches, reader in _READERS:
        if matches(data):
            try:
                header = reader(data)
            except (StructError, IndexError, ValueError):
                return None
            return header if header is None or (header.width > 0 and header.height > 0) else None
    return None


_SEQUENTIAL = (0xC0, 0xC1, 0xC9)


def _jpeg(data: bytes) -> Header | None:
    """Walk the segments to the frame header (SOFn); complete if an end marker follows the first scan."""
    position = 2
    width = height = components = 0
    sequential = False
    while True:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a segment
            position += 2
            continue
        (length,) = unpack_from(">H", data, position + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = unpack_from(">HHB", data, position + 5)
            sequential = marker in _SEQUENTIAL
        if marker == 0xDA:
            complete = data.rfind(b"\xff\xd9", position) >= 0
            whole = sequential and data[position + 4 : position + 5] == bytes(
                [components]
            )  # no other scan is looked for
            return Header("JPEG", width, height, complete, 1 if whole else _scans(data, position))
        if marker == 0xD9 or length < 2:
            return None
        position += 2 + length
        if position >= len(data):
            return Header("JPEG", width, height, False)


def _scans(data: bytes, start: int) -> int:
    """Starts of scans from `start` on: four times as fast as `bytes.count`, which looks at two bytes everywhere."""
    values = np.frombuffer(data, np.uint8, offset=start)
    after = np.flatnonzero(values[:-1] == 0xFF) + 1
    return int(np.count_nonzero(values[after] == 0xDA))


def _png(data: bytes) -> Header | None:
    """Walk the chunks: OpenCV allocates as many bytes as a chunk states it has, and believes the last header."""
    if data[8:16] != b"\0\0\0\x0dIHDR":
        return None
    width, height = unpack_from(">II", data, 16)
    position = 33
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            return Header("PNG", width, height, False)
        length, kind = unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IHDR":
            return None
        if kind == b"IEND" or position > len(data):
            return Header("PNG", width, height, position <= len(data))
    return None


def _webp(data: bytes) -> Header | None:
    (size,) = unpack_from("<I", data, 4)
    complete = len(data) >= size + 8
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        (bits,) = unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in unpack_from("<HH", data, 26))
    else:
        return None
    return Header("WebP", width, height, complete)


def _bmp(data: bytes) -> Header:
    (header_size,) = unpack_from("<I", data, 14)
    if header_size == 12:
        width, height, _, bits = unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = unpack_from("<iiHHI", data, 18)
    (offset,) = unpack_from("<I", data, 10)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    # Run-length encoded pixels (1, 2) may be fewer; there the decoder itself notices the end.
    pixels = 0 if compression in (1, 2) else row_bytes * abs(height)
    return Header("BMP", abs(width), abs(height), len(data) >= offset + pixels)


def _gif(data: bytes) -> Header:
    width, height = unpack_from("<HH", data, 6)
    return Header("GIF", width, height, b"\x3b" in data[-64:])


_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_SAMPLE_FORMAT = 256, 257, 258, 339
_TIFF_FLOAT = 3


def _tiff(data: bytes) -> Header | None:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = unpack_from(order + "I", data, 4)
    (entries,) = unpack_from(order + "H", data, directory)
    sides = {}
    unsupported = ""
    for entry in range(entries):
        start = directory + 2 + 12 * entry
        tag, kind = unpack_from(order + "HH", data, start)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            (sides[tag],) = unpack_from(order + ("H" if kind == 3 else "I"), data, start + 8)
        if tag in (_TIFF_BITS, _TIFF_SAMPLE_FORMAT):
            (count,) = unpack_from(order + "I", data, start + 4)
            at = start + 8 if count <= 2 else unpack_from(order + "I", data, start + 8)[0]
            (value,) = unpack_from(order + "H", data, at)
            if tag == _TIFF_BITS and value > 16:
                unsupported = f"{value} bits per channel"
            elif tag == _TIFF_SAMPLE_FORMAT and value == _TIFF_FLOAT:
                unsupported = "pixels that are floating-point numbers"
    if len(sides) != 2:
        return None
    return Header("TIFF", sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT], True, unsupported=unsupported)


def _jpeg2000(data: bytes) -> Header | None:
    start = data.find(b"\xff\x4f\xff\x51", 0, 1 << 20)  # start of codestream, then the size segment
    if start < 0:
        return None
    right, bottom, left, top = unpack_from(">IIII", data, start + 8)
    return Header("JPEG 2000", right - left, bottom - top, data.rfind(b"\xff\xd9") > start)


def _avif(data: bytes) -> Header | None:
    """The largest of the "ispe" properties: one per item, of which grids and alpha planes have several."""
    sizes = []
    start = data.find(b"ispe", 0, 1 << 20)
    while start >= 0:
        sizes.append(unpack_from(">II", data, start + 8))
        start = data.find(b"ispe", start + 4, 1 << 20)
    if not sizes:
        return None
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header("AVIF", width, height, True)


def avif_turn(data: bytes) -> tuple[int, int | None]:
    """How the pixels of an AVIF file are to be turned: quarter turns against the clock, then the axis to flip, or None.

    Source: ISO/IEC 23008-12, properties "irot" and "imir" (axis 0 exchanges top and bottom, 1 left and right).
    """
    start = data.find(b"ipco", 0, 1 << 20)
    if start < 4:
        return 0, None
    end = start - 4 + int.from_bytes(data[start - 4 : start], "big")
    quarters, flip = 0, None
    position = start + 4
    while position + 8 < min(end, len(data)):
        length, kind = unpack_from(">I4s", data, position)
        if kind == b"irot":
            quarters = data[position + 8] & 3
        elif kind == b"imir":
            flip = data[position + 8] & 1
        position += max(8, length)
    return quarters, flip


_PNM = re.compile(
    rb"P[1-6]\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})(?:\s+(?:#[^\n]*\n\s*)*(\d{1,5}))?\s"
)


def _pnm(data: bytes) -> Header | None:
    found = _PNM.match(data[:4096])
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    kind = data[1:2]
    if kind == b"4":
        size = (width + 7) // 8 * height
    else:
        deep = found[3] is not None and int(found[3]) > 255
        size = width * height * (3 if kind in b"36" else 1) * (2 if deep and kind in b"56" else 1)
    start = found.end() if kind != b"4" else found.end(2) + 1
    return Header("PNM", width, height, len(data) - start >= size)


def _is_avif(data: bytes) -> bool:
    """Of the family, and by a brand of its own: "mif1" alone may be HEIC."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[8:12] in (b"avif", b"avis") or (data[8:12] == b"mif1" and b"avif" in brands)


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Header | None]], ...] = (
    (lambda data: data[:3] == b"\xff\xd8\xff", _jpeg),
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _png),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (_is_avif, _avif),
    (lambda data: data[:2] == b"BM", _bmp),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*"), _tiff),
    (lambda data: data[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or data[:4] == b"\xff\x4f\xff\x51", _jpeg2000),
    (lambda data: data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace(), _pnm),
)
