"""Penultimate features: the numbers that the last layer is fed with, stored beside the image features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from premodel.domains.image.features.registry import FEATURE_NAMES
from premodel.errors import ModelError, OptionError, RunError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes.penultimate import expose, flattened, penultimate_version
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.store.export import export
from premodel.store.schema import FEATURES, PENULTIMATE
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.penultimate import load_penultimate
from premodel.zoo.manifest import read_zoo
from tiny_models import write_onnx
from zoos import write_zoo

pytest.importorskip("onnx", reason="the extra lab is not installed")

SIDE = 2
IMAGES = 6


@dataclass(frozen=True)
class Pixels:
    """A zoo of one ONNX network whose last layer is fed with the pixels themselves, and one of recorded answers."""

    zoo: Path
    data: Path
    labels: Path

    def profile(self, store: Path, name: str | None = "pixels", passes: tuple[str, ...] = ()) -> ProfileReport:
        zoo = read_zoo(self.zoo)
        dataset = read_dataset(self.data, self.labels, label_names=zoo.labels)
        options = ProfileOptions(passes=passes or ("predictions", "features"), penultimate=name, max_timing_seconds=0.1)
        return profile(zoo, dataset, store, options)


@pytest.fixture
def pixels(tmp_path: Path) -> Pixels:
    small = write_zoo(tmp_path, correct=np.ones((IMAGES, 1), bool))
    for index, file in enumerate(small.images):
        cv2.imwrite(str(file), np.full((SIDE, SIDE, 3), 40 * index, np.uint8))
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3 * SIDE * SIDE, 6)).astype(np.float32)
    write_onnx(tmp_path / "models" / "pixels.onnx", weights, np.zeros(6, np.float32), (1, 3, SIDE, SIDE))
    (tmp_path / "zoo.toml").write_text(
        f"""
name = "pixels"
task = "image-classification"
labels = "labels.txt"
[[models]]
name = "pixels"
file = "models/pixels.onnx"
runtime = "onnx"
input = {{ size = [{SIDE}, {SIDE}], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0,
          interpolation = "nearest" }}
output = {{ activation = "softmax" }}
""".replace(",\n          ", ", ")
    )
    return Pixels(tmp_path / "zoo.toml", small.data, small.labels)


def test_vectors_are_what_the_last_layer_is_fed_with(pixels: Pixels, tmp_path: Path) -> None:
    report = pixels.profile(tmp_path / "s.db", passes=("predictions", "timings", "features"))
    assert report.penultimate is not None
    assert (report.penultimate.vectors, report.penultimate.kept) == (IMAGES, 0)
    with Store(tmp_path / "s.db") as store:
        tables = load_tables(store)
        found = load_penultimate(store, tables)
    assert found is not None
    assert found.candidate == "pixels"
    assert found.features.shape == (IMAGES, 3 * SIDE * SIDE)
    brightness = tables.features[:, list(tables.feature_names).index("avg_brightness")]
    np.testing.assert_allclose(found.features, np.repeat(brightness[:, None] / 255, 3 * SIDE * SIDE, 1), atol=1e-6)
    # the image features are untouched by them, and their own cost is the network's
    assert tables.feature_names == FEATURE_NAMES
    own = found.tables(tables)
    assert own.feature_costs.of(own.feature_names) == tables.latency_ms[0]


def test_only_what_is_missing_is_done(pixels: Pixels, tmp_path: Path) -> None:
    pixels.profile(tmp_path / "s.db")
    again = pixels.profile(tmp_path / "s.db")
    assert again.penultimate is not None
    assert (again.penultimate.vectors, again.penultimate.kept) == (0, IMAGES)
    version = penultimate_version(read_zoo(pixels.zoo).candidates[0])
    assert len(version) == 64
    assert version.startswith(PENULTIMATE)
    with Store(tmp_path / "s.db") as store:
        with store.reading() as connection:
            assert (
                len(connection.execute(select(FEATURES.c.sample).where(FEATURES.c.version == version)).all()) == IMAGES
            )
        assert export(store, str(tmp_path / "out.csv")) == IMAGES
    assert "pixels.0" not in (tmp_path / "out.csv").read_text().splitlines()[0]


def test_none_is_stored_without_being_asked_for(pixels: Pixels, tmp_path: Path) -> None:
    assert pixels.profile(tmp_path / "s.db", None, ("predictions", "timings", "features")).penultimate is None
    with Store(tmp_path / "s.db") as store:
        assert load_penultimate(store, load_tables(store)) is None


def test_a_candidate_of_another_runtime_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((4, 1), bool))
    replay = Pixels(small.zoo, small.data, small.labels)
    with pytest.raises(OptionError, match="m0, runtime replay; allowed: a candidate of runtime onnx"):
        replay.profile(tmp_path / "s.db", "m0")
    with pytest.raises(OptionError, match="unknown candidate; given: other; allowed: m0"):
        replay.profile(tmp_path / "s.db", "other")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a network" * 10)
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        expose(tmp_path / "bad.onnx", tmp_path / "copy.onnx")


def test_the_embedded_networks_are_fed_from_their_pooling(tmp_path: Path) -> None:
    import premodel.demo.demo as demo

    model = demo.embedded_zoo().parent / "models" / "gray16.onnx"
    assert "Flatten" in expose(model, tmp_path / "copy.onnx")


def test_maps_are_averaged_and_what_is_not_finite_refused() -> None:
    maps = np.array([[[[1, 3], [5, 7]], [[0, 0], [0, 2]]]], np.float32)
    assert flattened(maps).tolist() == [4.0, 0.5]
    assert flattened(np.array([[1, 2]], np.uint8)).tolist() == [1.0, 2.0]
    with pytest.raises(RunError, match="not a finite number"):
        flattened(np.array([[np.nan]], np.float32))
