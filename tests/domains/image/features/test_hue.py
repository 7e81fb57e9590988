"""The histogram of hues, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.domains.image.features.extractor import Extractor

NAMES = [f"hue{i}" for i in range(1, 8)]


def hues(image: np.ndarray) -> list[float]:
    values: list[float] = Extractor(NAMES).extract(image).tolist()
    return values


def painted(*colours: tuple[int, int, int]) -> np.ndarray:
    """Vertical stripes of equal width, one per colour."""
    return np.repeat(np.array([colours], dtype=np.uint8), 16, axis=1).repeat(64, axis=0)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 0, 0), 1),  # 0 degrees
        ((255, 0, 80), 1),  # 341 degrees: red on the other side of the wrap
        ((255, 80, 0), 1),  # 19 degrees
        ((255, 255, 0), 2),  # 60 degrees
        ((0, 255, 0), 3),  # 120 degrees
        ((0, 255, 128), 4),  # 150 degrees
        ((0, 128, 255), 5),  # 210 degrees
        ((0, 0, 255), 6),  # 240 degrees
        ((255, 0, 255), 7),  # 300 degrees
        ((40, 20, 20), 1),  # dark and pale red is red
    ],
)
def test_a_pure_colour_fills_one_bin(colour: tuple[int, int, int], expected: int) -> None:
    assert hues(painted(colour)) == [float(i == expected) for i in range(1, 8)]


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_grey_has_no_hue(level: int) -> None:
    assert hues(painted((level, level, level))) == [0.0] * 7


def test_two_colours_share() -> None:
    assert hues(painted((255, 0, 0), (0, 0, 255))) == [0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0]


def test_grey_pixels_do_not_count() -> None:
    assert hues(painted((0, 255, 0), (90, 90, 90), (255, 255, 255))) == [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_a_pixel_counts_as_much_as_it_is_coloured() -> None:
    # chroma 240 of red, 80 of dark blue, 80 of pale blue: 240, 160 of 400
    values = hues(painted((240, 0, 0), (0, 0, 80), (170, 170, 250)))
    assert values == pytest.approx([0.6, 0.0, 0.0, 0.0, 0.0, 0.4, 0.0], abs=0.005)
