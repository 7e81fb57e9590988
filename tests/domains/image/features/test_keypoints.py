"""Counting corners."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.domains.image.features.extractor import Extractor


def count(image: np.ndarray) -> float:
    return float(Extractor(["n_keypoints"]).extract(image)[0])


@pytest.mark.parametrize("dots", [0, 1, 5, 36])
def test_every_lone_dot_is_one_corner(dots: int) -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    for i in range(dots):
        image[8 + 9 * (i // 6), 8 + 9 * (i % 6)] = 255
    assert count(image) == dots


def test_a_dot_fainter_than_the_threshold_is_none() -> None:
    image = np.full((64, 64, 3), 100, dtype=np.uint8)
    image[20, 20] = 120
    assert count(image) == 0
    image[20, 20] = 121
    assert count(image) == 1


def test_a_straight_edge_has_no_corner() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, 30:] = 255
    assert count(image) == 0


def test_too_small_for_the_circle() -> None:
    image = np.zeros((6, 6, 3), dtype=np.uint8)
    image[3, 3] = 255
    assert count(image) == 0
