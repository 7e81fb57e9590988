"""One network under two runtimes and two numbers of threads: three candidates, and the measured time decides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import select

from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.schema import PREDICTIONS, TIMINGS
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.options import TrainOptions
from premodel.training.train import train
from premodel.zoo.manifest import read_zoo
from tiny_models import write_onnx

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("openvino", reason="openvino is not installed")

SIDE, N, LABELS = 4, 30, 5
ENTRY = """
[[models]]
name = "{name}"
file = "net.onnx"
runtime = "{runtime}"
threads = {threads}
input = {{ size = [4, 4], layout = "NHWC", dtype = "float32", resize = "squash", crop_fraction = 1.0, interpolation = "bilinear" }}
output = {{ activation = "softmax" }}
"""  # noqa: E501
WAYS = {"onnx-1": ("onnx", 1), "onnx-2": ("onnx", 2), "openvino-1": ("openvino", 1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    weights = rng.normal(0, 2, (SIDE * SIDE * 3, LABELS)).astype(np.float32)
    write_onnx(tmp_path / "net.onnx", weights, np.zeros(LABELS, np.float32), ["N", SIDE, SIDE, 3])
    manifest = f'name = "z"\ntask = "image-classification"\nlabels = {[f"c{i}" for i in range(LABELS)]}\n'
    manifest += "".join(ENTRY.format(name=name, runtime=way[0], threads=way[1]) for name, way in WAYS.items())
    (tmp_path / "zoo.toml").write_text(manifest.replace("'", '"'))
    (tmp_path / "images").mkdir()
    lines = ["path,label"]
    for number in range(N):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), rng.integers(0, 256, (6, 6, 3), np.uint8))
        lines.append(f"images/{number}.png,{number % LABELS}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_profile_times_each_and_training_takes_the_fastest(folder: Path) -> None:
    zoo = read_zoo(folder / "zoo.toml", require_files=True)
    dataset = read_dataset(folder, folder / "labels.csv", label_names=zoo.labels)
    store = folder / "s.db"
    options = ProfileOptions(passes=("predictions", "timings", "features"), max_timing_seconds=1.5)
    report = profile(zoo, dataset, store, options)
    assert report.predictions is not None
    assert report.predictions.failed == {}
    keys = [candidate.timing_key for candidate in zoo.candidates]
    assert len({candidate.model.digest for candidate in zoo.candidates}) == 1
    assert len(set(keys)) == 3
    with Store(store) as opened, opened.reading() as connection:
        timed = set(connection.scalars(select(TIMINGS.c.subject)))
        answered = set(connection.scalars(select(PREDICTIONS.c.prediction_key)))
    assert set(keys) <= timed
    # The number of threads changes no answer, the runtime may: one is asked once, the other anew.
    assert report.predictions.predictions == 2 * N
    assert answered == {zoo.candidate(name).prediction_key for name in ("onnx-1", "openvino-1")}

    tables = load_tables(store)
    assert tables.candidates == tuple(WAYS)
    right = tables.correct("top1").mean(0)
    np.testing.assert_array_equal(right, right[0])
    trained = train(tables, TrainOptions(policy="single"))
    assert trained.policy.candidates[0] == tables.candidates[int(tables.latency_ms.argmin())]
