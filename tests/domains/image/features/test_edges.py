"""Lengths and angles of edges, on edges drawn at known places and angles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from premodel.domains.image.features.extractor import Extractor

LENGTHS = [f"edge_length{i}" for i in range(1, 8)]
ANGLES = [f"edge_angle{i}" for i in range(1, 8)]


def measured(names: list[str], image: np.ndarray) -> list[float]:
    values: list[float] = Extractor(names).extract(image).tolist()
    return values


def half_plane(degrees: float, side: int = 64) -> np.ndarray:
    """Black on one side and white on the other of a line through the centre, counter-clockwise from horizontal."""
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    radians = math.radians(degrees)
    above = -(x * math.sin(radians) + y * math.cos(radians))  # distance from the line; y points down
    grey = np.clip(above + 0.5, 0.0, 1.0) * 255
    return np.repeat(grey.round().astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("height", [1, 10, 64])
def test_no_edges_no_histogram(height: int) -> None:
    image = np.full((height, 64, 3), 77, dtype=np.uint8)
    assert measured(LENGTHS + ANGLES, image) == [0.0] * 14


@pytest.mark.parametrize(("height", "expected"), [(5, 3), (7, 3), (8, 4), (20, 5), (31, 5), (32, 6), (40, 6), (64, 7)])
def test_a_bar_across_the_image_has_two_edges_as_long_as_the_image_is_high(height: int, expected: int) -> None:
    image = np.zeros((height, 64, 3), dtype=np.uint8)
    image[:, 20:40] = 255
    assert measured(LENGTHS, image) == [float(i == expected) for i in range(1, 8)]


def test_fractions_are_of_edges_not_of_pixels() -> None:
    """Two long edges of a bar and three closed ones around dots: two fifths are long."""
    image = np.zeros((40, 64, 3), dtype=np.uint8)
    image[:, 4:14] = 255
    for top in (5, 17, 29):
        image[top : top + 3, 40:43] = 255  # the outline of 3 x 3 pixels: 8 to 15 pixels
    values = measured(LENGTHS, image)
    assert values == pytest.approx([0.0, 0.0, 0.0, 0.6, 0.0, 0.4, 0.0])


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, 1), (10, 1), (35, 2), (45, 2), (61, 3), (87, 4), (90, 4), (112, 5), (135, 6), (140, 6), (164, 7), (180, 1),
    ],
)  # fmt: skip
def test_the_angle_of_a_drawn_edge(degrees: float, expected: int) -> None:
    for angle in (degrees, degrees + 180):  # white and black change sides, the direction stays
        values = measured(ANGLES, half_plane(angle))
        assert values[expected - 1] >= 0.9
        assert sum(values) == pytest.approx(1.0)


@pytest.mark.parametrize(("degrees", "before", "after"), [(0, 1, 4), (45, 2, 6), (90, 4, 1), (135, 6, 2)])
def test_turning_the_image_turns_the_angles(degrees: float, before: int, after: int) -> None:
    image = half_plane(degrees)
    turned = np.ascontiguousarray(np.rot90(image))
    assert measured(ANGLES, image)[before - 1] >= 0.9
    assert measured(ANGLES, turned)[after - 1] >= 0.9


def test_a_square_is_half_horizontal_and_half_vertical() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[16:48, 16:48] = 200
    values = measured(ANGLES, image)
    assert values[0] == pytest.approx(0.5, abs=0.05)
    assert values[3] == pytest.approx(0.5, abs=0.05)


def test_a_slanting_edge_is_one_edge() -> None:
    values = measured(LENGTHS, half_plane(45))
    assert values[5] + values[6] == 1.0
