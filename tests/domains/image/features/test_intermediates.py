"""The check of the image, the reduction, and computing once."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from premodel.domains.image.features.intermediates import Intermediates, declared, shrink
from premodel.errors import ImageError

Pixels = NDArray[np.uint8]

WRONG: dict[str, tuple[Any, str]] = {
    "none": (None, "NoneType"),
    "a list": ([[[0, 0, 0]]], "list"),
    "16 bits": (np.zeros((4, 4, 3), np.uint16), "uint16"),
    "floats": (np.zeros((4, 4, 3)), "float64"),
    "grey": (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
    "alpha": (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
    "a batch": (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
    "no rows": (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
    "no columns": (np.zeros((4, 0, 3), np.uint8), r"\(4, 0, 3\)"),
    "a view": (np.zeros((8, 8, 3), np.uint8)[:, ::2], "strides"),
    "channels reversed in place": (np.zeros((8, 8, 3), np.uint8)[:, :, ::-1], "ascontiguousarray"),
    "column order": (np.asfortranarray(np.zeros((8, 8, 3), np.uint8)), "strides"),
}


@pytest.mark.parametrize(("image", "states"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_decoded_image_is_refused(image: Any, states: str) -> None:
    with pytest.raises(ImageError, match=states) as caught:
        Intermediates(image)
    assert "\n" not in str(caught.value)
    assert "uint8" in str(caught.value)


@pytest.mark.parametrize("name", declared())
def test_each_is_computed_once(name: str, picture: Pixels) -> None:
    shared = Intermediates(picture)
    assert getattr(shared, name) is getattr(shared, name)


def test_nothing_is_computed_before_it_is_read(picture: Pixels) -> None:
    shared = Intermediates(picture)
    assert set(vars(shared)) == {"image"}
    assert shared.grey.shape == (48, 64)
    assert set(vars(shared)) == {"image", "thumbnail", "grey"}


def test_a_small_image_stays_as_it_is() -> None:
    image = np.arange(64 * 10 * 3, dtype=np.uint8).reshape(10, 64, 3)
    assert shrink(image, 64) is image


def test_halving_is_the_mean_of_two_by_two() -> None:
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[0, 0] = 100
    image[1, 1] = 60
    image[2:, 6:] = 200
    expected = np.zeros((2, 4, 3), dtype=np.uint8)
    expected[0, 0] = 40
    expected[1, 3] = 200
    assert np.array_equal(shrink(image, 4), expected)


@settings(max_examples=200, deadline=None)
@given(height=st.integers(1, 600), width=st.integers(1, 600), long_side=st.sampled_from([32, 64]))
def test_the_longer_side_is_met_and_the_proportions_kept(height: int, width: int, long_side: int) -> None:
    small = shrink(np.full((height, width, 3), 93, dtype=np.uint8), long_side)
    rows, columns, channels = small.shape
    assert channels == 3
    assert max(rows, columns) == min(long_side, max(height, width))
    scale = max(rows, columns) / max(height, width)
    assert abs(rows - height * scale) <= 1.5
    assert abs(columns - width * scale) <= 1.5
    assert (small == 93).all()


def test_fine_stripes_do_not_alias() -> None:
    """One-pixel stripes are mid-grey at a distance; picking pixels would leave black and white."""
    image = np.zeros((3000, 4000, 3), dtype=np.uint8)
    image[:, ::2] = 255
    thumbnail = Intermediates(image).thumbnail
    assert thumbnail.shape == (48, 64, 3)
    assert (abs(thumbnail.astype(int) - 128) <= 1).all()


def test_the_gradient_is_sobel_s(picture: Pixels) -> None:
    shared = Intermediates(picture)
    dx, dy = shared.gradient
    assert np.array_equal(dx, cv2.Sobel(shared.grey, cv2.CV_16S, 1, 0))
    assert np.array_equal(dy, cv2.Sobel(shared.grey, cv2.CV_16S, 0, 1))


def test_the_edge_pixels_are_those_of_the_edge_map(picture: Pixels) -> None:
    shared = Intermediates(picture)
    marked = np.zeros(shared.edge_map.size, dtype=np.uint8)
    marked[shared.edge_pixels] = 255
    assert np.array_equal(marked.reshape(shared.edge_map.shape), shared.edge_map)
    assert shared.edge_pixels.size > 0
