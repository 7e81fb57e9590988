"""The contract that every registered family meets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from premodel.domains.features import FeatureFamily
from premodel.domains.image.features.costs import ASSEMBLY, CHECK
from premodel.domains.image.features.intermediates import Intermediates, declared
from premodel.domains.image.features.registry import FAMILIES, FEATURE_NAMES

Pixels = NDArray[np.uint8]
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


class Watched:
    """Stands for the intermediates of an image and notes which of them are read."""

    def __init__(self, image: Pixels) -> None:
        self.shared = Intermediates(image)
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self.shared, name)


def assert_in_range(family: FeatureFamily, image: Pixels) -> None:
    values = family.compute(Intermediates(image))
    assert len(values) == len(family.features)
    for feature, value in zip(family.features, values, strict=True):
        assert np.isfinite(value), feature
        assert feature.low <= value <= feature.high, feature
        assert feature.low <= np.float32(value) <= feature.high, feature


@every_family
def test_values_are_finite_and_in_the_declared_range(family: type[FeatureFamily], edge_image: Pixels) -> None:
    assert_in_range(family(), edge_image)


@every_family
@settings(max_examples=60, deadline=None)
@given(image=hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3))))
def test_any_small_image(family: type[FeatureFamily], image: Pixels) -> None:
    assert_in_range(family(), image)


@every_family
@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    levels=st.sampled_from([1, 2, 255]),
    cell=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape(family: type[FeatureFamily], height: int, width: int, levels: int, cell: int, seed: int) -> None:
    """Mosaics of cells of one colour, from flat to noise."""
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // cell), -(-width // cell)
    mosaic = rng.integers(0, levels, (rows, columns, 3)) * (255 // levels)
    image = mosaic.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    assert_in_range(family(), np.ascontiguousarray(image, dtype=np.uint8))


@every_family
def test_reads_just_the_intermediates_it_declares(family: type[FeatureFamily], picture: Pixels) -> None:
    watched = Watched(picture)
    family().compute(watched)  # type: ignore[arg-type]
    assert watched.read == set(family.needs)
    assert set(family.needs) <= set(declared())


@every_family
def test_keeps_nothing_of_an_image(family: type[FeatureFamily], picture: Pixels, edge_image: Pixels) -> None:
    used, fresh = family(), family()
    first = list(used.compute(Intermediates(picture)))
    used.compute(Intermediates(edge_image))
    assert list(used.compute(Intermediates(picture))) == first == list(fresh.compute(Intermediates(picture)))


@pytest.mark.parametrize("name", declared())
def test_an_intermediate_reads_just_what_it_declares(name: str, picture: Pixels) -> None:
    watched = Watched(picture)
    vars(Intermediates)[name].compute(watched)
    assert watched.read - {"image"} == set(declared()[name])


def test_names_of_parts_and_features_are_unique() -> None:
    parts = [CHECK, *declared(), *(family.name for family in FAMILIES), ASSEMBLY]
    assert len(set(parts)) == len(parts)
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


def test_the_first_features_are_those_of_the_paper_s_table_2() -> None:
    assert FEATURE_NAMES[:29] == (
        "n_keypoints", "avg_brightness", "brightness_rms", "avg_perceived_brightness", "perceived_brightness_rms",
        "contrast",
        "edge_length1", "edge_length2", "edge_length3", "edge_length4", "edge_length5", "edge_length6", "edge_length7",
        "edge_angle1", "edge_angle2", "edge_angle3", "edge_angle4", "edge_angle5", "edge_angle6", "edge_angle7",
        "area_by_perim", "aspect_ratio",
        "hue1", "hue2", "hue3", "hue4", "hue5", "hue6", "hue7",
    )  # fmt: skip
