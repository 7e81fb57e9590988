"""Which part of an image becomes the input: by hand."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from premodel.domains.image.decode import Image
from premodel.domains.image.domain import ImageDomain
from premodel.domains.image.preprocess import Pyramid, preprocess
from premodel.domains.image.spec import InputSpec, read_input_spec
from premodel.errors import ZooError
from premodel.fields import Fields

PLAIN = InputSpec((17, 48), "NHWC", "uint8", "RGB", "aspect-crop", 1.0, "nearest")


def numbered(height: int, width: int) -> Image:
    """Red is the row, green the column."""
    rows, columns = np.mgrid[0:height, 0:width]
    return Image(np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8))


def test_an_aspect_crop_is_the_largest_part_of_the_inputs_proportions() -> None:
    made = preprocess(numbered(96, 96), replace(PLAIN, size=(17, 48)))[0]
    # 48 : 17 of the whole width is 34 rows, the 31st to the 64th.
    assert (made[0, 0, 0], made[-1, 0, 0]) == (31, 63)
    assert (made[0, 0, 1], made[0, -1, 1]) == (0, 94)


def test_an_aspect_crop_of_a_square_input_is_the_center_crop() -> None:
    image = numbered(40, 60)
    for fraction in (1.0, 0.875, 0.5):
        spec = replace(PLAIN, size=(10, 10), crop_fraction=fraction, interpolation="bilinear")
        np.testing.assert_array_equal(preprocess(image, spec), preprocess(image, replace(spec, resize="center-crop")))


def test_a_letterbox_keeps_proportions_and_pads_both_sides() -> None:
    image = Image(np.full((20, 40, 3), 200, np.uint8))
    made = preprocess(image, replace(PLAIN, size=(16, 16), resize="letterbox", padding=114))[0]
    assert made.shape == (16, 16, 3)
    assert set(made[:4].ravel()) == set(made[12:].ravel()) == {114}
    assert set(made[4:12].ravel()) == {200}


def test_letterboxes_of_one_image_that_differ_in_padding_share_nothing_wrong() -> None:
    image = Image(np.full((20, 40, 3), 200, np.uint8))
    pyramid = Pyramid(image)
    spec = replace(PLAIN, size=(16, 16), resize="letterbox", padding=0)
    seen = [
        int(preprocess(image, one, pyramid=pyramid)[0, 0, 0, 0])
        for one in (spec, replace(spec, padding=114), replace(spec, resize="squash", padding=None), spec)
    ]
    assert seen == [0, 114, 200, 0]


def test_a_letterbox_without_bars_is_the_squash() -> None:
    image = numbered(32, 64)
    spec = replace(PLAIN, size=(8, 16), resize="letterbox", padding=114, interpolation="bilinear")
    np.testing.assert_array_equal(
        preprocess(image, spec), preprocess(image, replace(spec, resize="squash", padding=None))
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (33, 7)])
@pytest.mark.parametrize("resize", ["aspect-crop", "letterbox"])
@pytest.mark.parametrize("fraction", [0.01, 0.875, 1.0])
def test_any_shape_of_image_fits(shape: tuple[int, int], resize: str, fraction: float) -> None:
    spec = replace(PLAIN, size=(5, 9), resize=resize, crop_fraction=fraction)
    assert preprocess(numbered(*shape), spec).shape == (1, 5, 9, 3)


def test_a_negative_std_inverts() -> None:
    spec = replace(PLAIN, size=(2, 2), resize="squash", dtype="float32", mean=(1.0,) * 3, std=(-1.0,) * 3)
    made = preprocess(Image(np.array([[[0, 51, 255]] * 2] * 2, np.uint8)), spec)
    np.testing.assert_allclose(made[0, 0, 0], [1, 0.8, 0], atol=1e-7)


def entry(**changes: object) -> dict[str, object]:
    made = {
        "size": [8, 8], "layout": "NHWC", "dtype": "float32", "channels": "RGB", "resize": "center-crop",
        "crop_fraction": 0.875, "interpolation": "bilinear",
    }  # fmt: skip
    return {**made, **changes}


def test_padding_belongs_to_a_letterbox_alone() -> None:
    assert read_input_spec(Fields(entry(resize="letterbox", padding=114), "here")).padding == 114
    assert read_input_spec(Fields(entry(resize="letterbox"), "here")).padding == 0
    assert read_input_spec(Fields(entry(), "here")).padding is None
    with pytest.raises(ZooError, match="padding"):
        read_input_spec(Fields(entry(padding=114), "here"))
    with pytest.raises(ZooError, match="padding"):
        read_input_spec(Fields(entry(resize="letterbox", padding=256), "here"))


def test_a_std_of_zero_is_refused_and_a_negative_one_read() -> None:
    assert read_input_spec(Fields(entry(std=-1.0), "here")).std == (-1.0, -1.0, -1.0)
    with pytest.raises(ZooError, match="other than 0"):
        read_input_spec(Fields(entry(std=[1.0, 0.0, 1.0]), "here"))


def test_what_was_measured_with_older_specs_keeps_its_key() -> None:
    spec = read_input_spec(Fields(entry(), "here"))
    key = ImageDomain().input_key(spec)
    assert "padding" not in key
    assert set(key) == set(asdict(spec)) - {"padding"}
    padded = read_input_spec(Fields(entry(resize="letterbox", padding=114), "here"))
    assert ImageDomain().input_key(padded)["padding"] == 114
