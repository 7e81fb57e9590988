"""One picture by every door, files without their end, and files that are no images."""

from __future__ import annotations

import gzip
import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.domains.image.decode import decode
from premodel.errors import ImageError

PIL = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RGB = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8), (9, 9), 0)


def saved(picture: Any, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def both_doors(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return decode(data).rgb, decode(PIL.open(io.BytesIO(data))).rgb


@pytest.mark.parametrize("form", ["JPEG", "PNG", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_bytes_and_pil_turn_a_picture_alike(form: str, orientation: int) -> None:
    exif = PIL.Exif()
    exif[0x0112] = orientation
    by_bytes, by_pil = both_doors(saved(PIL.fromarray(RGB), form, exif=exif, quality=95))
    assert by_bytes.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert np.abs(by_bytes.astype(int) - by_pil).mean() < 1.5  # decoders of lossy formats differ by rounding
    upright = {1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.swapaxes(0, 1)}
    upright |= {6: np.rot90(RGB, -1), 7: np.rot90(RGB.swapaxes(0, 1), 2), 8: np.rot90(RGB)}
    assert np.abs(by_bytes.astype(int) - upright[orientation]).mean() < 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_that_mean_the_same_by_both_doors(mode: str) -> None:
    by_bytes, by_pil = both_doors(saved(PIL.fromarray(RGB).convert(mode), "PNG"))
    np.testing.assert_array_equal(by_bytes, by_pil)


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK", "YCbCr", "LAB"])
def test_modes_whose_pixels_would_differ_are_refused(mode: str) -> None:
    with pytest.raises(ImageError, match=f"would not be those of its file; given: mode {mode}; allowed: 1, L"):
        decode(PIL.new(mode, (8, 6)))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 2}], ids=str
)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_mark_is_the_same_picture(options: dict[str, Any], missing: int) -> None:
    data = saved(PIL.fromarray(RGB), "JPEG", **options)
    np.testing.assert_array_equal(decode(data[:-missing]).rgb, decode(data).rgb)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused_wherever_it_is_cut(progressive: bool) -> None:
    data = saved(PIL.fromarray(RGB), "JPEG", progressive=progressive, quality=60)
    whole = decode(data).rgb
    read = 0
    for end in range(len(data) - 3, 300, -7):
        try:
            rgb = decode(data[:end]).rgb
        except ImageError:
            continue
        read += 1
        np.testing.assert_array_equal(rgb, whole)
    assert read <= 1, "at most the padding bits of the last byte can be spared"


def test_a_progressive_jpeg_without_its_last_scan_is_refused() -> None:
    data = saved(PIL.fromarray(RGB), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    tables = data.rfind(b"\xff\xc4", 0, last)
    for cut in (last, tables):
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:cut])


@pytest.mark.parametrize("missing", range(1, 13))
def test_a_png_without_its_end_is_the_same_picture(missing: int) -> None:
    data = saved(PIL.fromarray(RGB), "PNG")
    np.testing.assert_array_equal(decode(data[:-missing]).rgb, RGB)


def test_a_png_that_lacks_pixels_is_refused() -> None:
    data = saved(PIL.fromarray(RGB), "PNG")
    for missing in (16, 40, len(data) // 2):
        with pytest.raises(ImageError, match="truncated"):
            decode(data[:-missing])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200), "HEIC"),
        (gzip.compress(b"x" * 100, mtime=0), "gzip"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7\n" + bytes(60), "PDF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(60), "video"),
    ],
)
def test_what_is_no_image_is_named_as_what_it_is(data: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=f"not an image that can be read: it is .*{name}") as caught:
        decode(data)
    assert "\n" not in str(caught.value)


def test_a_tiff_of_floats_is_not_called_damaged() -> None:
    data = saved(PIL.fromarray(RGB[:, :, 0].astype(np.float32)), "TIFF")
    with pytest.raises(
        ImageError, match="TIFF image has pixels that are floating-point numbers; allowed: 8 or 16 bits"
    ):
        decode(data)
