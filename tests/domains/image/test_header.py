"""Size and completeness from the first bytes."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from premodel.domains.image.decode import decode
from premodel.domains.image.header import FORMATS, Header, read_header
from premodel.errors import ImageError

PIXELS = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), (53, 37))
NAMES = {
    ".jpg": "JPEG",
    ".png": "PNG",
    ".webp": "WebP",
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tiff": "TIFF",
    ".jp2": "JPEG 2000",
    ".ppm": "PNM",
}


def encode(extension: str, *parameters: int) -> bytes:
    return bytes(cv2.imencode(extension, PIXELS, list(parameters))[1])


@pytest.mark.parametrize("extension", sorted(NAMES))
def test_formats(extension: str) -> None:
    assert read_header(encode(extension)) == Header(NAMES[extension], 53, 37, True)
    assert NAMES[extension] in FORMATS


@pytest.mark.parametrize(
    "data",
    [
        encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        encode(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 50),
        encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        bytes(cv2.imencode(".pgm", PIXELS[:, :, 0])[1]),
        bytes(cv2.imencode(".pbm", PIXELS[:, :, 0])[1]),
        b"P3 # a comment\n53\n# another\n37 255\n" + b"1 2 3 " * (53 * 37),
    ],
    ids=["progressive", "restarts", "webp lossy", "webp lossless", "pgm", "pbm", "text ppm"],
)
def test_variants(data: bytes) -> None:
    header = read_header(data)
    assert header is not None
    assert (header.width, header.height, header.complete) == (53, 37, True)
    assert decode(data).rgb.shape == (37, 53, 3)


def forged_jpeg() -> bytes:
    data = bytearray(encode(".jpg"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60000, 60000)
    return bytes(data)


def forged_png() -> bytes:
    data = bytearray(encode(".png"))
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def forged_bmp() -> bytes:
    data = bytearray(encode(".bmp"))
    data[18:26] = struct.pack("<ii", 60000, -60000)
    return bytes(data)


def forged_gif() -> bytes:
    data = bytearray(encode(".gif"))
    data[6:10] = struct.pack("<HH", 60000, 60000)
    return bytes(data)


def forged_tiff() -> bytes:
    data = bytearray(encode(".tiff"))
    (directory,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, directory)[0]):
        start = directory + 2 + 12 * entry
        if struct.unpack_from("<H", data, start)[0] in (256, 257):
            struct.pack_into("<HII", data, start + 2, 4, 1, 60000)
    return bytes(data)


def forged_webp() -> bytes:
    flags_and_canvas = bytes(4) + (16000).to_bytes(3, "little") * 2
    inner = b"WEBPVP8X" + struct.pack("<I", 10) + flags_and_canvas + encode(".webp")[12:]
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def forged_avif() -> bytes:
    data = bytearray(encode(".avif"))
    start = data.index(b"ispe")
    data[start + 8 : start + 16] = struct.pack(">II", 60000, 60000)
    return bytes(data)


def forged_jp2() -> bytes:
    data = bytearray(encode(".jp2"))
    start = data.index(b"\xff\x4f\xff\x51")
    data[start + 8 : start + 16] = struct.pack(">II", 60000, 60000)
    return bytes(data)


def forged_ppm() -> bytes:
    return encode(".ppm").replace(b"53 37", b"60000 60000", 1)


@pytest.mark.parametrize(
    "forge",
    [forged_jpeg, forged_png, forged_bmp, forged_gif, forged_tiff, forged_webp, forged_avif, forged_jp2, forged_ppm],
)
def test_a_forged_size_is_refused_before_anything_is_decoded(forge: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"refused before decoding; given: \d{5} x \d{5} pixels; allowed"):
        decode(forge())  # type: ignore[operator]


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"GIF89a", b"BM", b"II*\0", b"P6", b"P6 a b", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x20ftypavif", b"<svg/>"],
)
def test_too_short_or_unknown_is_none(data: bytes) -> None:
    assert read_header(data) is None


@settings(max_examples=300, deadline=None)
@given(extension=st.sampled_from(sorted(NAMES)), keep=st.integers(0, 64), rest=st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(extension: str, keep: int, rest: bytes) -> None:
    header = read_header(encode(extension)[:keep] + rest)
    assert header is None or (header.width > 0 and header.height > 0)


def jpeg_of_scans(frame: int, components: int, in_first_scan: int, scans: int) -> bytes:
    """The markers of a JPEG alone: a frame header of kind `frame`, and scans without a picture in them."""
    sizes = struct.pack(">BHHB", 8, 300, 400, components) + bytes(3 * components)
    scan = bytes([in_first_scan]) + bytes(2 * in_first_scan + 3)
    segments = [segment(frame, sizes), *(segment(0xDA, scan) + b"\x12\xff\0\x34" for _ in range(scans))]
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xd9"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


@pytest.mark.parametrize(
    ("frame", "components", "in_first_scan", "scans"),
    [
        (0xC0, 3, 3, 1),  # baseline: what follows the one scan is never looked at
        (0xC1, 1, 1, 1),
        (0xC0, 3, 1, 7),  # a scan per component, and more of them than there are components
        (0xC2, 3, 3, 7),  # progressive
        (0xC2, 1, 1, 7),
        (0xCA, 3, 3, 7),  # progressive, arithmetic coding
    ],
)
def test_scans_of_a_jpeg(frame: int, components: int, in_first_scan: int, scans: int) -> None:
    header = read_header(jpeg_of_scans(frame, components, in_first_scan, 7))
    assert header == Header("JPEG", 400, 300, True, scans)
