"""Antialiased resizing against Pillow, whose pixels it promises."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.domains.image.antialias import KERNELS, resize
from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import Pyramid, preprocess
from premodel.domains.image.spec import InputSpec

SIZES = [
    ((227, 227), (224, 224)), ((75, 100), (32, 32)), ((50, 37), (64, 60)), ((300, 300), (300, 128)),
    ((7, 900), (31, 32)), ((1, 1), (5, 7)), ((3, 5), (1, 1)), ((64, 64), (64, 64)), ((100, 60), (30, 60)),
]  # fmt: skip


@pytest.mark.parametrize("name", list(KERNELS))
@pytest.mark.parametrize(("given", "wanted"), SIZES)
def test_the_pixels_are_those_of_pillow(name: str, given: tuple[int, int], wanted: tuple[int, int]) -> None:
    pil = pytest.importorskip("PIL.Image")
    kernels = {"bilinear-antialias": pil.BILINEAR, "bicubic-antialias": pil.BICUBIC, "lanczos-antialias": pil.LANCZOS}
    rgb = np.random.default_rng(sum(given)).integers(0, 256, (*given, 3), np.uint8)
    expected = np.asarray(pil.fromarray(rgb).resize(wanted[::-1], kernels[name]))
    np.testing.assert_array_equal(resize(rgb, wanted, name), expected)


def test_photographs_with_hard_edges_overshoot_as_in_pillow() -> None:
    pil = pytest.importorskip("PIL.Image")
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:, 13:29] = 255
    expected = np.asarray(pil.fromarray(rgb).resize((23, 17), pil.BICUBIC))
    np.testing.assert_array_equal(resize(rgb, (17, 23), "bicubic-antialias"), expected)


@pytest.mark.parametrize("name", list(KERNELS))
def test_a_plain_image_stays_plain(name: str) -> None:
    assert set(resize(np.full((61, 47, 3), 201, np.uint8), (20, 33), name).ravel()) == {201}


def test_a_part_of_an_image_is_resized_without_its_surroundings() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    part = rgb[10:50, 20:90]
    np.testing.assert_array_equal(
        resize(part, (20, 20), "bilinear-antialias"), resize(part.copy(), (20, 20), "bilinear-antialias")
    )


def test_a_spec_can_ask_for_it() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    spec = InputSpec((20, 20), "NHWC", "uint8", "RGB", "squash", 1.0, "bicubic-antialias")
    image = Image(rgb)
    np.testing.assert_array_equal(
        preprocess(image, spec, pyramid=Pyramid(image))[0], resize(rgb, (20, 20), "bicubic-antialias")
    )
