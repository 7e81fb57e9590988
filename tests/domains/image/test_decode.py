"""Decoding and preprocessing."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from premodel.backends.base import TensorSpec, tensor_digest
from premodel.domains.image import decode as image_module
from premodel.domains.image.decode import Image, decode
from premodel.domains.image.preprocess import Pyramid, preprocess
from premodel.domains.image.spec import CHANNELS, DTYPES, INTERPOLATIONS, LAYOUTS, RESIZES, InputSpec
from premodel.errors import ImageError, ModelError

RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (7, 10, 3), np.uint8)


def encode(extension: str, bgr: NDArray[Any], *parameters: int) -> bytes:
    done, data = cv2.imencode(extension, bgr, list(parameters))
    assert done
    return bytes(data)


def spec(**changes: Any) -> InputSpec:
    fields = {
        "size": (6, 6),
        "layout": "NHWC",
        "dtype": "uint8",
        "channels": "RGB",
        "resize": "center-crop",
        "crop_fraction": 1.0,
        "interpolation": "bilinear",
    }
    return InputSpec(**{**fields, **changes})  # type: ignore[arg-type]


class TestDecode:
    @pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff", ".ppm", ".webp", ".jp2"])
    def test_lossless_formats_give_the_pixels(self, extension: str, tmp_path: Path) -> None:
        bgr = cv2.resize(NOISE, (56, 40))
        parameters = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if extension == ".jp2" else []
        data = encode(extension, bgr, *parameters)
        (tmp_path / "image").write_bytes(data)
        for source in (data, bytearray(data), memoryview(data), tmp_path / "image", str(tmp_path / "image")):
            image = decode(source)
            np.testing.assert_array_equal(image.rgb, bgr[:, :, ::-1])
            assert image.rgb.flags.c_contiguous
            assert (image.width, image.height) == (56, 40)

    @pytest.mark.parametrize("extension", [".jpg", ".avif", ".gif"])
    def test_lossy_formats_give_the_colours(self, extension: str) -> None:
        bgr = np.zeros((32, 48, 3), np.uint8)
        bgr[:, :24] = (255, 0, 0)
        bgr[:, 24:] = (0, 0, 255)
        image = decode(encode(extension, bgr))
        assert image.rgb.shape == (32, 48, 3)
        np.testing.assert_allclose(image.rgb[16, 8], (0, 0, 255), atol=40)
        np.testing.assert_allclose(image.rgb[16, 40], (255, 0, 0), atol=40)

    def test_grey_becomes_three_equal_channels(self) -> None:
        image = decode(encode(".png", NOISE[:, :, 0]))
        for channel in range(3):
            np.testing.assert_array_equal(image.rgb[:, :, channel], NOISE[:, :, 0])

    def test_alpha_is_dropped_not_composited(self) -> None:
        with_alpha = np.dstack([NOISE, RNG.integers(0, 256, NOISE.shape[:2], np.uint8)])
        np.testing.assert_array_equal(decode(encode(".png", with_alpha)).rgb, NOISE[:, :, ::-1])

    def test_sixteen_bits_are_scaled_to_eight(self) -> None:
        deep = np.array([[[0, 256, 65535]], [[32768, 4096, 511]]], np.uint16)
        assert decode(encode(".png", deep)).rgb.tolist() == [[[255, 1, 0]], [[1, 16, 128]]]

    def test_palette(self) -> None:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

        head = (2).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([8, 3, 0, 0, 0])
        palette = bytes([10, 20, 30, 200, 100, 50])
        pixels = zlib.compress(bytes([0, 1, 0]))
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"PLTE", palette)
        data += chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
        assert decode(data).rgb.tolist() == [[[200, 100, 50], [10, 20, 30]]]

    def test_cmyk(self) -> None:
        """An 8x8 CMYK JPEG, cyan on the left and yellow on the right."""
        packed = (
            b"c-s4a<NrGbKF5^&q*R6!1`zmvo57iZmy?T|i-VV&i<^&+mtR;xR9HwzSY1X=TtQFM&_GX9SI5}O%g)%$&0I&<A>7f;$1f;2$jB}#F)"
            b"ARzD=^6a{{aRO4hA4(aTa9o6=aAMWbhVb_<w{!l!1|v0Tr+Vg(U<Sn3&OoU7HX8zs11E;>_U75Xs=pz+lgyrj~JGIlGPN&nb`p-vj^}"
            b"btcL"
        )
        rgb = decode(zlib.decompress(base64.b85decode(packed))).rgb
        np.testing.assert_allclose(rgb[0, 0], (0, 255, 255), atol=3)
        np.testing.assert_allclose(rgb[0, 7], (255, 255, 0), atol=3)

    @pytest.mark.parametrize(
        ("orientation", "turned"),
        [
            (1, lambda a: a),
            (2, np.fliplr),
            (3, lambda a: np.rot90(a, 2)),
            (6, lambda a: np.rot90(a, -1)),
            (8, np.rot90),
        ],
    )
    def test_exif_orientation_is_applied(self, orientation: int, turned: Any) -> None:
        bgr = cv2.resize(NOISE, (32, 16), interpolation=cv2.INTER_NEAREST)
        data = encode(".jpg", bgr)
        plain = decode(data).rgb
        entry = (0x0112).to_bytes(2, "big") + (3).to_bytes(2, "big") + (1).to_bytes(4, "big")
        tiff = b"MM\0*\0\0\0\x08\0\x01" + entry + orientation.to_bytes(2, "big") + bytes(6)
        segment = b"Exif\0\0" + tiff
        marked = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
        np.testing.assert_array_equal(decode(marked).rgb, turned(plain))

    def test_array_is_taken_as_rgb_without_a_copy(self) -> None:
        assert decode(NOISE).rgb is NOISE
        turned = np.rot90(NOISE)
        image = decode(turned)
        assert image.rgb.flags.c_contiguous
        np.testing.assert_array_equal(image.rgb, turned)

    @pytest.mark.parametrize(
        "array",
        [NOISE[:, :, 0], NOISE.astype(np.float32), NOISE[:, :, :2], NOISE[:0], np.zeros((2, 2, 4), np.uint8)],
        ids=["grey", "float", "two channels", "no rows", "alpha"],
    )
    def test_other_arrays_are_refused(self, array: NDArray[Any]) -> None:
        with pytest.raises(ImageError, match="allowed: uint8 RGB"):
            decode(array)

    def test_pil_image_is_known_by_its_methods(self) -> None:
        class Picture:
            size = (10, 7)

            def convert(self, mode: str) -> NDArray[np.uint8]:
                assert mode == "RGB"
                return NOISE

        class Damaged(Picture):
            def convert(self, mode: str) -> NDArray[np.uint8]:
                raise OSError("image file is truncated")

        np.testing.assert_array_equal(decode(Picture()).rgb, NOISE)
        with pytest.raises(ImageError, match="truncated"):
            decode(Damaged())

    @pytest.mark.parametrize("source", [None, 3, [1, 2], {"a": 1}])
    def test_anything_else_is_refused(self, source: object) -> None:
        with pytest.raises(ImageError, match="not an image; given: "):
            decode(source)

    def test_files_that_cannot_be_read_are_named(self, tmp_path: Path) -> None:
        for path in (tmp_path / "absent.jpg", tmp_path, Path("nul\0l")):
            with pytest.raises(ImageError, match="cannot be read") as caught:
                decode(path)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "data", [b"", b"x", b"hello, this is no image\n" * 9, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]
    )
    def test_empty_and_foreign_files_name_file_and_reason(self, data: bytes, tmp_path: Path) -> None:
        file = tmp_path / "a.jpg"
        file.write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.jpg: (image is empty|not an image)"):
            decode(file)

    @pytest.mark.parametrize(
        "extension", [".jpg", ".png", ".webp", ".avif", ".bmp", ".gif", ".tiff", ".jp2", ".ppm", ".pgm"]
    )
    @pytest.mark.parametrize("cut", [1, 8, 0.25, 0.5, 0.9])
    def test_truncated_files_are_refused(self, extension: str, cut: float) -> None:
        bgr = cv2.resize(NOISE, (56, 40))
        data = encode(extension, bgr[:, :, 0] if extension == ".pgm" else bgr)
        whole = decode(data).rgb
        short = data[: -(int(cut * len(data)) if cut < 1 else int(cut))]
        if extension in (".jpg", ".png") and cut in (1, 8) and (extension == ".png" or cut == 1):
            np.testing.assert_array_equal(decode(short).rgb, whole)  # only the mark of the end is cut
            return
        with pytest.raises(ImageError, match=r"truncated|damaged|not an image"):
            decode(short)

    def test_bytes_after_the_end_of_a_jpeg_are_no_truncation(self) -> None:
        assert decode(encode(".jpg", NOISE) + b"\0" * 100).width == 10

    def test_too_many_megapixels_are_refused_before_decoding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_module, "MAX_PIXELS", 7 * 10)
        data = encode(".png", NOISE)
        decode(data)
        monkeypatch.setattr(image_module, "MAX_PIXELS", 7 * 10 - 1)
        monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))

        class Picture:
            size = (10, 7)

            def convert(self, mode: str) -> object:
                return pytest.fail("decoded")

        for source in (data, NOISE, Picture()):
            with pytest.raises(ImageError, match="10 x 7 pixels"):
                decode(source)

    @settings(max_examples=150, deadline=None)
    @given(
        extension=st.sampled_from([".jpg", ".png", ".webp", ".bmp", ".gif", ".tiff", ".ppm"]),
        changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    )
    def test_damaged_bytes_give_an_image_or_an_image_error(
        self, extension: str, changes: list[tuple[float, int]]
    ) -> None:
        data = bytearray(encode(extension, NOISE))
        for place, value in changes:
            data[int(place * len(data))] = value
        try:
            image = decode(bytes(data))
        except ImageError:
            return
        assert image.width * image.height <= image_module.MAX_PIXELS


class TestPreprocess:
    def test_center_crop_by_hand(self) -> None:
        """A 10 x 7 image: side round(0.875 * 7) = 6, from row 0 and column 2."""
        tensor = preprocess(Image(NOISE), spec(crop_fraction=0.875))
        np.testing.assert_array_equal(tensor, NOISE[None, 0:6, 2:8])

    def test_half_sides_are_rounded_to_even(self) -> None:
        """0.5 * 5 = 2.5 -> 2, from row 1 and column 1."""
        image = Image(NOISE[:5, :5].copy())
        np.testing.assert_array_equal(preprocess(image, spec(crop_fraction=0.5, size=(2, 2))), NOISE[None, 1:3, 1:3])

    def test_squash_keeps_no_aspect(self) -> None:
        """0.5 of 10 x 7 is 5 x 4 (3.5 rounds to 4), from row 1 and column 2."""
        tensor = preprocess(Image(NOISE), spec(resize="squash", crop_fraction=0.5, size=(4, 5)))
        np.testing.assert_array_equal(tensor, NOISE[None, 1:5, 2:7])
        whole = preprocess(Image(NOISE), spec(resize="squash", size=(14, 20), interpolation="nearest"))
        np.testing.assert_array_equal(whole, NOISE.repeat(2, axis=0).repeat(2, axis=1)[None])

    @pytest.mark.parametrize(
        ("interpolation", "expected"),
        [("nearest", [0, 0, 100, 100]), ("bilinear", [0, 25, 75, 100]), ("bicubic", [0, 23, 77, 111])],
    )
    def test_enlarging_by_hand(self, interpolation: str, expected: list[int]) -> None:
        """Pixel centres lie at -0.25, 0.25, 0.75 and 1.25 of the two pixels 0 and 100.

        Bicubic with a = -0.75: the kernel is 0.2617 at 0.75, -0.0352 at 1.75 and -0.1055 at 1.25.
        """
        image = Image(np.array([[[0] * 3, [100] * 3]] * 2, np.uint8))
        tensor = preprocess(image, spec(size=(4, 4), interpolation=interpolation))
        np.testing.assert_allclose(tensor[0, 0, :, 0], expected, atol=2)

    def test_area_is_the_mean(self) -> None:
        image = Image(np.array([[[0] * 3, [100] * 3], [[20] * 3, [40] * 3]], np.uint8))
        assert preprocess(image, spec(size=(1, 1), interpolation="area")).tolist() == [[[[40] * 3]]]

    def test_mirror(self) -> None:
        given_spec = spec(crop_fraction=0.875)
        np.testing.assert_array_equal(
            preprocess(Image(NOISE), given_spec, mirror=True), NOISE[None, 0:6, 2:8][:, :, ::-1]
        )

    def test_grey_without_an_axis_of_channels(self) -> None:
        image = decode(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8))
        for more in ({}, {"dtype": "float32", "mean": (0.5,), "std": (0.25,)}):
            expected = preprocess(image, spec(channels="GRAY", layout="NHWC", **more))
            found = preprocess(image, spec(channels="GRAY", layout="NHW", **more))
            assert found.shape == expected.shape[:3]
            np.testing.assert_array_equal(found, expected[..., 0])

    def test_channels_and_layouts(self) -> None:
        square = NOISE[0:6, 2:8]
        image = Image(NOISE)
        np.testing.assert_array_equal(
            preprocess(image, spec(crop_fraction=0.875, channels="BGR"))[0], square[:, :, ::-1]
        )
        planes = preprocess(image, spec(crop_fraction=0.875, channels="BGR", layout="NCHW"))
        np.testing.assert_array_equal(planes[0], square[:, :, ::-1].transpose(2, 0, 1))
        grey = preprocess(image, spec(crop_fraction=0.875, channels="GRAY"))
        assert grey.shape == (1, 6, 6, 1)
        np.testing.assert_allclose(grey[0, :, :, 0], square @ np.array([0.299, 0.587, 0.114]), atol=1)
        np.testing.assert_array_equal(
            preprocess(image, spec(crop_fraction=0.875, channels="GRAY", layout="NCHW"))[0, 0], grey[0, :, :, 0]
        )

    @pytest.mark.parametrize(
        ("mean", "std", "low", "middle", "high"),
        [
            (None, None, 0, 51 / 255, 1),
            ((0.5,) * 3, (0.5,) * 3, -1, -0.6, 1),
            ((0.0,) * 3, (1 / 255,) * 3, 0, 51, 255),
            ((0.485,) * 3, (0.229,) * 3, -2.1179, -1.2445, 2.2489),
        ],
    )
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_float_values(
        self, mean: Any, std: Any, low: float, middle: float, high: float, layout: str, dtype: str
    ) -> None:
        image = Image(np.array([[[0] * 3, [51] * 3, [255] * 3]] * 3, np.uint8))
        tensor = preprocess(image, spec(size=(3, 3), dtype=dtype, layout=layout, mean=mean, std=std))
        assert tensor.dtype == dtype
        row = tensor[0, 0, :, 0] if layout == "NHWC" else tensor[0, 0, 0]
        np.testing.assert_allclose(row, [low, middle, high], rtol=1e-3, atol=1e-4)

    def test_mean_and_std_go_with_their_channel(self) -> None:
        image = Image(np.full((2, 2, 3), 255, np.uint8))
        changes = {"size": (2, 2), "dtype": "float32", "mean": (0.0, 0.5, 0.25), "std": (1.0, 0.5, 0.5)}
        assert preprocess(image, spec(**changes))[0, 0, 0].tolist() == [1.0, 1.0, 1.5]
        assert preprocess(image, spec(**changes, layout="NCHW"))[0, :, 0, 0].tolist() == [1.0, 1.0, 1.5]
        assert preprocess(image, spec(**changes, channels="BGR"))[0, 0, 0].tolist() == [1.0, 1.0, 1.5]

    def test_int8_is_the_pixel_minus_128(self) -> None:
        image = Image(np.array([[[0, 128, 255]]], np.uint8))
        assert preprocess(image, spec(size=(1, 1), dtype="int8")).tolist() == [[[[-128, 0, 127]]]]

    def test_integer_input_with_mean_and_std_is_quantised_as_the_file_says(self) -> None:
        """(x/255 - 0.5)/0.5 for 0, 102, 255 is -1, -0.2, 1; stored / 0.02 + 5, clipped to int8."""
        image = Image(np.array([[[0, 102, 255]]], np.uint8))
        given_spec = spec(size=(1, 1), dtype="int8", mean=(0.5,) * 3, std=(0.5,) * 3)
        quantised = preprocess(image, given_spec, quantisation=TensorSpec((1, 1, 1, 3), "int8", 0.02, 5))
        assert quantised.tolist() == [[[[-45, -5, 55]]]]
        clipped = preprocess(image, given_spec, quantisation=TensorSpec((1, 1, 1, 3), "int8", 0.005, 0))
        assert clipped.tolist() == [[[[-128, -40, 127]]]]
        with pytest.raises(ModelError, match="states no quantisation"):
            preprocess(image, given_spec, quantisation=TensorSpec((1, 1, 1, 3), "int8"))

    def test_a_pyramid_of_another_image_is_not_used(self) -> None:
        other = Image(255 - NOISE)
        pyramid = Pyramid(other)
        preprocess(other, spec(), pyramid=pyramid)
        np.testing.assert_array_equal(
            preprocess(Image(NOISE), spec(), pyramid=pyramid), preprocess(Image(NOISE), spec())
        )

    def test_a_shared_crop_is_resized_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        resize = cv2.resize

        def counted(*args: Any, **options: Any) -> Any:
            calls.append(args)
            return resize(*args, **options)

        monkeypatch.setattr(cv2, "resize", counted)
        image = Image(NOISE)
        pyramid = Pyramid(image)
        for changes in ({}, {"dtype": "float32"}, {"layout": "NCHW", "channels": "BGR"}):
            for mirror in (False, True):
                preprocess(image, spec(**changes), mirror=mirror, pyramid=pyramid)
        assert len(calls) == 1
        preprocess(image, spec(crop_fraction=0.7), pyramid=pyramid)
        assert len(calls) == 2

    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_any_image_and_any_spec_fit_and_sharing_changes_nothing(self, data: st.DataObject) -> None:
        height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
        pixels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (height, width, 3), np.uint8)
        image = Image(pixels)
        pyramid = Pyramid(image)
        size = data.draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
        for _ in range(data.draw(st.integers(1, 3))):
            channels = data.draw(st.sampled_from(sorted(CHANNELS)))
            given_spec = spec(
                size=size,
                layout=data.draw(st.sampled_from(LAYOUTS)),
                dtype=data.draw(st.sampled_from(DTYPES)),
                channels=channels,
                resize=data.draw(st.sampled_from(RESIZES)),
                crop_fraction=data.draw(st.floats(1e-6, 1)),
                interpolation=data.draw(st.sampled_from(sorted(INTERPOLATIONS))),
            )
            mirror = data.draw(st.booleans())
            shared = preprocess(image, given_spec, mirror=mirror, pyramid=pyramid)
            assert shared.shape == given_spec.shape
            assert shared.dtype == given_spec.dtype
            assert shared.flags.c_contiguous
            alone = preprocess(image, given_spec, mirror=mirror)
            assert tensor_digest(shared) == tensor_digest(alone)
            assert np.isfinite(shared.astype(np.float64)).all()
        np.testing.assert_array_equal(image.rgb, pixels)
