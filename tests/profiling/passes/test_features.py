"""Feature pass: a family whose definition changed is computed anew, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from premodel.domains.image.features.brightness import Brightness
from premodel.domains.image.features.hue import Hue
from premodel.domains.image.features.intermediates import Intermediates
from premodel.domains.image.features.registry import FAMILIES, FEATURE_NAMES
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes.features import FeatureResult
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.training.load import load_tables
from premodel.training.tables import Tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

N = 6


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=np.ones((N, 1), bool), n_labels=4, latency_ms=[1.0])


def extract(small: SmallZoo, store: Path, limit: int | None = None) -> FeatureResult:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    result = profile(zoo, dataset, store, ProfileOptions(("predictions", "features"), limit=limit)).features
    assert result is not None
    return result


def tables(store: Path) -> Tables:
    return load_tables(store, passes=("predictions", "features"))


SHORT_SIDE = 16
"""That the small zoo's candidates need of an image: how inputs are decoded is part of the features' key."""


def vectors(store: Path) -> dict[str, int]:
    with Store(store) as opened:
        return summarise_store(opened).features


def refuse(_: object, __: Intermediates) -> Sequence[float]:
    raise AssertionError("computed although its version is the stored one")


def test_only_the_family_of_a_raised_version_is_computed_anew(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s.db"
    assert (extract(small, store).vectors, vectors(store)) == (N, {f"1@{SHORT_SIDE}": N})
    before = tables(store)
    monkeypatch.setattr(Hue, "version", 2)
    for family in FAMILIES:
        monkeypatch.setattr(family, "compute", refuse)
    monkeypatch.setattr(Hue, "compute", lambda *_: (0.5,) * 7)
    result = extract(small, store)
    assert (result.vectors, result.kept) == (N, 0)
    after = tables(store)
    assert after.feature_names == before.feature_names == FEATURE_NAMES
    hue = np.array([name.startswith("hue") for name in FEATURE_NAMES])
    assert (after.features[:, hue] == 0.5).all()
    assert np.array_equal(after.features[:, ~hue], before.features[:, ~hue])
    assert vectors(store) == {f"1@{SHORT_SIDE}": N}
    result = extract(small, store)
    assert (result.vectors, result.kept) == (0, N)


def test_values_of_an_older_version_are_not_read(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s.db"
    extract(small, store)
    monkeypatch.setattr(Brightness, "version", 2)
    extract(small, store, limit=2)
    assert vectors(store) == {f"1@{SHORT_SIDE}": 2}
    assert len(load_tables(store, passes=("predictions", "features"), partial=True)) == 2


def test_a_version_that_is_taken_back_finds_its_values_again(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "s.db"
    extract(small, store)
    with monkeypatch.context() as patch:
        patch.setattr(Hue, "version", 2)
        extract(small, store)
    assert extract(small, store).kept == N
