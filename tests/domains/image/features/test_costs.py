"""Pricing a subset of features from its parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from premodel.domains.image.features.costs import cost_items_of, cost_ms
from premodel.domains.image.features.extractor import Extractor
from premodel.domains.image.features.registry import FEATURE_NAMES
from premodel.errors import OptionError

Pixels = NDArray[np.uint8]
subsets = st.lists(st.sampled_from(FEATURE_NAMES), unique=True)

PART_MS = {part: float(2**i) for i, part in enumerate(cost_items_of(FEATURE_NAMES))}
"""Made-up costs: each a power of two, so that a sum tells which parts are in it, and how often."""


def test_parts_of_one_feature_by_hand() -> None:
    assert cost_items_of(["contrast"]) == ("check", "thumbnail", "grey", "grey_moments", "contrast", "assembly")
    assert cost_items_of(["edge_angle3"]) == (
        "check", "thumbnail", "grey", "gradient", "edge_map", "edge_pixels", "edge_angles", "assembly",
    )  # fmt: skip
    assert cost_items_of([]) == ("check", "assembly")


def test_what_is_shared_is_paid_once() -> None:
    both = cost_ms(["contrast", "avg_brightness", "brightness_rms"], PART_MS)
    parts = ["check", "thumbnail", "grey", "grey_moments", "brightness", "contrast", "assembly"]
    assert both == sum(PART_MS[part] for part in parts)


def test_all_features_cost_all_parts() -> None:
    assert cost_ms(FEATURE_NAMES, PART_MS) == sum(PART_MS.values())


@given(one=subsets, other=subsets)
def test_more_features_never_cost_less_and_never_more_than_apart(one: list[str], other: list[str]) -> None:
    union = list(dict.fromkeys(one + other))
    together = cost_ms(union, PART_MS)
    assert max(cost_ms(one, PART_MS), cost_ms(other, PART_MS)) <= together
    assert together <= cost_ms(one, PART_MS) + cost_ms(other, PART_MS)


@given(names=subsets)
def test_parts_come_after_what_they_read_and_once(names: list[str]) -> None:
    parts = cost_items_of(names)
    assert len(set(parts)) == len(parts)
    everything = cost_items_of(FEATURE_NAMES)
    assert list(parts) == [part for part in everything if part in parts]


def test_an_unmeasured_part_is_named() -> None:
    with pytest.raises(OptionError, match="edge_map"):
        cost_ms(["edge_angle1"], {part: 1.0 for part in cost_items_of(FEATURE_NAMES) if part != "edge_map"})


def test_timed_parts_are_the_parts_of_the_subset(picture: Pixels) -> None:
    for names in (None, ["hue1"], ["edge_length1", "n_keypoints"], []):
        extractor = Extractor(names)
        spent = extractor.time_cost_items(picture)
        assert tuple(spent) == extractor.cost_items()
        assert all(value >= 0.0 for value in spent.values())
        assert cost_ms(extractor.names, spent) == pytest.approx(sum(spent.values()))


def test_a_part_is_timed_apart_from_what_it_reads(picture: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that ticks once per intermediate or family computed, every part lasts one tick, none more."""
    from premodel.domains.features import FeatureFamily
    from premodel.domains.image.features import extractor as module
    from premodel.domains.image.features.intermediates import Intermediate, Intermediates
    from premodel.domains.image.features.registry import FAMILIES

    ticks = 0

    def ticking(compute):  # type: ignore[no-untyped-def]
        def wrapped(*arguments):  # type: ignore[no-untyped-def]
            nonlocal ticks
            value = compute(*arguments)
            ticks += 1
            return value

        return wrapped

    for value in vars(Intermediates).values():
        if isinstance(value, Intermediate):
            monkeypatch.setattr(value, "compute", ticking(value.compute))
    for family in FAMILIES:
        assert issubclass(family, FeatureFamily)
        monkeypatch.setattr(family, "compute", ticking(family.compute))
    monkeypatch.setattr(module, "now_ms", lambda: float(ticks))
    spent = Extractor().time_cost_items(picture)
    assert spent.pop("check") == 0.0
    assert spent.pop("assembly") == 0.0
    assert set(spent.values()) == {1.0}
