"""The main object's shape, on drawn objects."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.domains.image.features.extractor import Extractor
from premodel.domains.image.features.main_object import frame_colour, perimeter


def shape(image: np.ndarray) -> tuple[float, float]:
    area_by_perim, aspect_ratio = Extractor(["area_by_perim", "aspect_ratio"]).extract(image).tolist()
    return area_by_perim, aspect_ratio


def canvas(height: int = 64, width: int = 64, colour: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


@pytest.mark.parametrize("side", [16, 32, 64, 224, 512])
def test_a_square_of_half_the_side(side: int) -> None:
    """A square of side s = S/2 in an image of side S: area s^2, perimeter 4 s, s / 4 = S / 8."""
    image = canvas(side, side)
    image[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 0
    assert shape(image) == pytest.approx((0.125, 1.0))


def test_a_lying_rectangle() -> None:
    image = canvas()
    image[24:40, 16:48] = (200, 30, 30)
    # 32 x 16 of 64: 512 / 96 = 5.333; / 64 = 0.0833
    assert shape(image) == pytest.approx((0.08333, 2.0), abs=1e-4)
    assert shape(np.ascontiguousarray(np.rot90(image))) == pytest.approx((0.08333, 0.5), abs=1e-4)


def test_light_on_dark_is_found_as_dark_on_light() -> None:
    image = canvas()
    image[24:40, 16:48] = 0
    assert shape(255 - image) == shape(image)


def test_an_object_of_equal_brightness_is_found_by_its_colour() -> None:
    image = canvas(colour=(150, 76, 76))
    image[16:48, 24:40] = (76, 114, 76)  # luma 98 and 98
    assert shape(image) == pytest.approx((0.08333, 0.5), abs=1e-4)


def test_of_several_objects_the_largest() -> None:
    image = canvas()
    image[8:16, 8:16] = 0
    image[24:40, 16:48] = 0
    image[48:56, 40:48] = 0
    assert shape(image)[1] == 2.0


def test_holes_count_as_border() -> None:
    image = canvas()
    image[16:48, 16:48] = 0
    image[24:40, 24:40] = 255
    # on 32 pixels: area 16^2 - 8^2 = 192, perimeter 64 + 32 = 96: 2; / 32 = 0.0625
    assert shape(image) == pytest.approx((0.0625, 1.0))


@pytest.mark.parametrize(("height", "width", "expected"), [(64, 64, 0.25), (32, 64, 1 / 6), (1, 1, 0.25)])
def test_a_flat_image_is_its_own_object(height: int, width: int, expected: float) -> None:
    assert shape(canvas(height, width)) == pytest.approx((expected, width / height), rel=1e-6)


def test_the_frame_is_a_sixteenth_of_the_side() -> None:
    image = canvas(32, 32, (9, 9, 9))
    image[:2] = image[-2:] = (10, 20, 30)
    image[:, :2] = image[:, -2:] = (10, 20, 30)
    assert frame_colour(image) == pytest.approx((10.0, 20.0, 30.0, 0.0))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 20), (2, 9), (20, 1)])
def test_a_thin_image_is_all_frame(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[:, : width // 2] = 100
    expected = 100.0 * (width // 2) / width
    assert frame_colour(image) == pytest.approx((expected, expected, expected, 0.0))


def test_perimeter_by_hand() -> None:
    rows = ["##.", ".#.", ".##"]
    inside = np.array([[pixel == "#" for pixel in row] for row in rows])
    # five pixels in a chain: four pairs of neighbours, 4 * 5 - 2 * 4
    assert perimeter(inside, 5) == 12


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    image = canvas()
    image[8:24, 8:40] = 0
    image[24:56, 40:56] = 0
    # on 32 pixels: 16 x 8 and 8 x 16 meeting at a corner, in a box of 24 x 24
    assert shape(image) == pytest.approx((256 / (96 * 32), 1.0))
