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
        (b'{"error": "not found"}', "JSON"),
        (bytes(257) + b"ustar\x0000" + bytes(248), "tar"),
        (b"Rar!\x1a\x07\x01\0" + bytes(60), "RAR"),
        (b"v/1\x01" + bytes(60), "OpenEXR"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "AppleDouble"),
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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [np.int32, np.uint32])
def test_a_tiff_of_wide_integers_is_not_called_damaged(kind: type, channels: int) -> None:
    data = bytes(cv2.imencode(".tiff", RGB[:, :, :channels].astype(kind))[1])
    with pytest.raises(ImageError, match="TIFF image has 32 bits per channel; allowed: 8 or 16 bits"):
        decode(data)


@pytest.mark.parametrize("form", ["TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_further_forms_are_turned_alike(form: str, orientation: int) -> None:
    exif = PIL.Exif()
    exif[0x0112] = orientation
    by_bytes, by_pil = both_doors(saved(PIL.fromarray(RGB), form, exif=exif))
    np.testing.assert_array_equal(by_bytes, by_pil)
    assert by_bytes.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_an_orientation_of_xmp_data_alone_is_not_applied(form: str) -> None:
    options: dict[str, Any] = {"xmp": XMP.encode()}
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP)
    data = saved(PIL.fromarray(RGB), form, **options)
    assert PIL.open(io.BytesIO(data)).getexif()[0x0112] == 6
    by_bytes, by_pil = both_doors(data)
    np.testing.assert_array_equal(by_bytes, by_pil)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_exif_goes_before_xmp(form: str) -> None:
    exif = PIL.Exif()
    exif[0x0112] = 8
    by_bytes, by_pil = both_doors(saved(PIL.fromarray(RGB), form, xmp=XMP.encode(), exif=exif))
    np.testing.assert_array_equal(by_bytes, by_pil)
    assert by_pil.shape == (64, 48, 3)


def test_a_tiff_that_pil_turns_by_xmp_data_is_refused() -> None:
    data = saved(PIL.fromarray(RGB), "TIFF", tiffinfo={700: XMP.encode()})
    assert decode(data).rgb.shape == (48, 64, 3)
    with pytest.raises(ImageError, match="an orientation in its XMP data alone"):
        decode(PIL.open(io.BytesIO(data)))


def test_exif_in_the_text_of_a_png_is_not_applied() -> None:
    from PIL.PngImagePlugin import PngInfo

    exif = PIL.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes()
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(raw):8d}\n{raw.hex()}\n")
    data = saved(PIL.fromarray(RGB), "PNG", pnginfo=text)
    assert PIL.open(io.BytesIO(data)).getexif()[0x0112] == 6
    by_bytes, by_pil = both_doors(data)
    np.testing.assert_array_equal(by_bytes, by_pil)


def test_a_picture_turned_by_hand_is_not_turned_again() -> None:
    from PIL import ImageOps

    exif = PIL.Exif()
    exif[0x0112] = 6
    data = saved(PIL.fromarray(RGB), "PNG", exif=exif)
    turned = ImageOps.exif_transpose(PIL.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode(data).rgb, decode(turned).rgb)


@pytest.mark.parametrize("extension", [".tiff", ".ppm"])
def test_sixteen_bits_of_colour_that_pil_rounds_in_its_own_way_are_refused(extension: str) -> None:
    data = bytes(cv2.imencode(extension, RGB.astype(np.uint16) * 257 + 100)[1])
    assert PIL.open(io.BytesIO(data)).mode == "RGB"
    with pytest.raises(ImageError, match="would not be those of its file; given: more than 8 bits per channel"):
        decode(PIL.open(io.BytesIO(data)))


def test_sixteen_bits_of_colour_in_a_png_are_the_same_by_both_doors() -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 16, (8, 9, 3), dtype=np.uint16)
    by_bytes, by_pil = both_doors(bytes(cv2.imencode(".png", noise)[1]))
    np.testing.assert_array_equal(by_bytes, by_pil)
