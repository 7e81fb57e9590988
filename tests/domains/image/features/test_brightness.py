"""Brightness, perceived brightness and contrast, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.domains.image.features.extractor import Extractor

NAMES = ["avg_brightness", "brightness_rms", "avg_perceived_brightness", "perceived_brightness_rms", "contrast"]


def measured(image: np.ndarray) -> list[float]:
    values: list[float] = Extractor(NAMES).extract(image).tolist()
    return values


@pytest.mark.parametrize("side", [2, 64, 256])
def test_half_black_half_white(side: int) -> None:
    image = np.zeros((side, side, 3), dtype=np.uint8)
    image[:, side // 2 :] = 255
    # mean 255/2; mean square 255^2/2, root 180.31; deviation 255/2
    assert measured(image) == pytest.approx([127.5, 180.312, 127.5, 180.312, 127.5], abs=1e-3)


def test_flat_grey() -> None:
    image = np.full((30, 50, 3), 100, dtype=np.uint8)
    assert measured(image) == pytest.approx([100.0, 100.0, 100.0, 100.0, 0.0], abs=1e-3)


def test_pure_red() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, :, 0] = 255
    # luma 0.299 * 255 = 76.245, held as 76; perceived 255 * sqrt(0.299) = 139.436
    assert measured(image) == pytest.approx([76.0, 76.0, 139.436, 139.436, 0.0], abs=0.01)


def test_a_known_colour_looks_as_bright_as_its_squares_say() -> None:
    image = np.full((64, 64, 3), (10, 200, 100), dtype=np.uint8)
    # 0.299 * 100 + 0.587 * 40000 + 0.114 * 10000 = 24649.9, root 157.003
    average, rms = measured(image)[2:4]
    assert average == pytest.approx(157.003, abs=0.01)
    assert rms == pytest.approx(157.003, abs=0.01)


def test_three_quarters_dark() -> None:
    image = np.full((64, 64, 3), 40, dtype=np.uint8)
    image[:32, :32] = 200
    # mean (3 * 40 + 200) / 4 = 80; mean square (3 * 1600 + 40000) / 4 = 11200, root 105.83; variance 4800, root 69.28
    assert measured(image) == pytest.approx([80.0, 105.830, 80.0, 105.830, 69.282], abs=1e-2)
