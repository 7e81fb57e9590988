"""The vector: its names, order, type, determinism, sharing between threads, and version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from premodel.domains.image.features.extractor import EXTRACTOR_VERSION, Extractor
from premodel.domains.image.features.intermediates import Intermediates
from premodel.domains.image.features.registry import FEATURE_NAMES
from premodel.errors import ImageError, OptionError

Pixels = NDArray[np.uint8]


def test_all_features_in_order(edge_image: Pixels) -> None:
    extractor = Extractor()
    vector = extractor.extract(edge_image)
    assert extractor.names == FEATURE_NAMES
    assert vector.shape == (len(FEATURE_NAMES),)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(FEATURE_NAMES), unique=True))
def test_a_subset_equals_the_columns_of_the_full_vector(names: list[str]) -> None:
    image = np.random.default_rng(5).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    full = dict(zip(FEATURE_NAMES, Extractor().extract(image), strict=True))
    vector = Extractor(names).extract(image)
    assert vector.dtype == np.float32
    assert vector.shape == (len(names),)
    assert vector.tolist() == [full[name] for name in names]


def test_only_what_is_needed_is_computed(picture: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Intermediates] = []
    initialise = Intermediates.__init__

    def note(self: Intermediates, image: Pixels) -> None:
        initialise(self, image)
        made.append(self)

    monkeypatch.setattr(Intermediates, "__init__", note)
    Extractor(["hue3", "avg_perceived_brightness"]).extract(picture)
    assert [set(vars(shared)) for shared in made] == [{"image", "thumbnail"}]


def test_the_same_pixels_give_the_same_vector(edge_image: Pixels) -> None:
    before = edge_image.copy()
    extractor = Extractor()
    first = extractor.extract(edge_image)
    assert np.array_equal(extractor.extract(edge_image), first)
    assert np.array_equal(Extractor().extract(before), first)
    assert np.array_equal(edge_image, before)


def test_the_number_of_opencv_s_threads_changes_nothing(picture: Pixels) -> None:
    threads = cv2.getNumThreads()
    extractor = Extractor()
    try:
        cv2.setNumThreads(1)
        one = extractor.extract(picture)
        cv2.setNumThreads(4)
        four = extractor.extract(picture)
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(one, four)


def test_a_read_only_image_is_enough(picture: Pixels) -> None:
    expected = Extractor().extract(picture)
    picture.flags.writeable = False
    assert np.array_equal(Extractor().extract(picture), expected)


def test_threads_may_share_an_extractor() -> None:
    rng = np.random.default_rng(11)
    images = [rng.integers(0, 256, (int(rng.integers(1, 200)), 150, 3), dtype=np.uint8) for _ in range(40)]
    extractor = Extractor()
    alone = [extractor.extract(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = list(pool.map(extractor.extract, images))
            assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_huge_image() -> None:
    image = np.zeros((6000, 8000, 3), dtype=np.uint8)
    image[:, 4000:] = 255
    values = dict(zip(FEATURE_NAMES, Extractor().extract(image).tolist(), strict=True))
    assert values["avg_brightness"] == pytest.approx(127.5, abs=0.5)
    assert values["contrast"] == pytest.approx(127.5, abs=0.5)
    assert values["edge_angle4"] == 1.0
    assert values["n_keypoints"] == 0.0


@pytest.mark.parametrize("names", [[], ["contrast"], None])
def test_what_is_no_image_is_refused_whatever_the_subset(names: list[str] | None) -> None:
    with pytest.raises(ImageError):
        Extractor(names).extract(np.zeros((4, 4), dtype=np.uint8))


def test_an_unknown_feature_is_named_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"sharpness.*n_keypoints"):
        Extractor(["contrast", "sharpness"])


def test_a_feature_named_twice_is_refused() -> None:
    with pytest.raises(OptionError, match="hue1"):
        Extractor(["hue1", "contrast", "hue1"])


def test_another_version_is_refused() -> None:
    with pytest.raises(OptionError, match="given: 0; allowed: "):
        Extractor(version="0")


def test_real_images_differ_in_every_feature(imagenet: Path) -> None:
    files = sorted((imagenet / "images").rglob("*.JPEG"))[:60]
    if not files:
        pytest.skip(f"no .JPEG under {imagenet / 'images'}")
    extractor = Extractor()
    table = np.array([extractor.extract(cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)) for file in files])
    assert np.isfinite(table).all()
    assert (table.std(axis=0) > 0).all()


def test_definitions_and_version_change_together() -> None:
    """Values of one picture, kept from version 1. If a definition is changed, change the version and these.

    The tolerance allows for another build of OpenCV, not for another definition.
    """
    y, x = np.mgrid[0:150, 0:227]
    image = np.stack([60 + x // 4, 90 + y // 3, 150 - (x + y) // 4], axis=2).astype(np.uint8)
    image[(x - 2 * y) % 120 < 6] = (200, 210, 190)
    image[40:110, 60:160] = (230, 120, 30)
    image[60:90, 80:140] = (20, 90, 200)
    image[8:150:20, 8:227:24] = 0
    kept = {
        "1": [
            50.0, 113.8, 115.9, 117.8, 120.2, 21.77,
            0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.4,
            0.2, 0.0075, 0.0125, 0.12, 0.0075, 0.1375, 0.515,
            0.03601, 1.4,
            0.01211, 0.4635, 0.1137, 0.1163, 0.2837, 0.008286, 0.002475,
        ],
    }  # fmt: skip
    assert np.allclose(Extractor().extract(image), kept[EXTRACTOR_VERSION], rtol=0.02, atol=0.01)
