"""Six real models on 1,500 real images: the accuracies that are known, from the same code that serves."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from premodel.domains.image.decode import decode, set_threads
from premodel.domains.image.preprocess import Pyramid
from premodel.domains.image.views import View
from premodel.errors import ModelError
from premodel.runtime.candidate import open_candidates, open_network
from premodel.zoo.manifest import read_zoo


def right_answers(imagenet: Path, names: list[str], limit: int) -> tuple[np.ndarray, int]:
    """How many of the first `limit` images each candidate answers rightly."""
    for runtime in ("ai_edge_litert", "onnxruntime"):
        pytest.importorskip(runtime, reason=f"{runtime} is not installed")
    set_threads(1)
    zoo = read_zoo(imagenet / "zoo.toml", require_files=True)
    opened = open_candidates([zoo.candidate(name) for name in names])
    with (imagenet / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:limit]
    right = np.zeros(len(opened), int)
    for row in rows:
        image = decode(imagenet / row["path"])
        pyramid = Pyramid(image)
        for j, candidate in enumerate(opened):
            right[j] += candidate.predict(image, pyramid).labels[0] == int(row["label"])
    return right, len(rows)


def test_the_fastest_model_has_its_known_accuracy_on_all_images(imagenet: Path) -> None:
    right, n = right_answers(imagenet, ["mobilenet_v1_025_128"], 1500)
    assert n == 1500
    assert round(100 * right[0] / n, 2) == 55.27


def test_every_model_and_both_runtimes_on_some_images(imagenet: Path) -> None:
    """Counts on the first 150 images, taken when the accuracies on all 1,500 were exactly the known ones."""
    expected = {
        "mobilenet_v1_025_128": 75,
        "mobilenet_v1_050_160": 102,
        "mobilenet_v1_075_192": 115,
        "mobilenet_v2_100_224": 131,
        "mobilenet_v2_100_224_ptq": 133,
        "squeezenet_11_224": 84,
    }
    right, n = right_answers(imagenet, list(expected), 150)
    assert n == 150
    assert dict(zip(expected, right.tolist(), strict=True)) == expected


def test_real_networks_at_another_size(imagenet: Path) -> None:
    """This MobileNet v2 ends in a mean over all places; MobileNet v1 pools over windows of 4 x 4 out of 3 x 3."""
    pytest.importorskip("ai_edge_litert", reason="ai_edge_litert is not installed")
    zoo = read_zoo(imagenet / "zoo.toml", require_files=True)
    small = View("small", size=(176, 176))
    network = open_network(replace(zoo.candidate("mobilenet_v2_100_224_ptq"), view=small))
    assert network.backend.input.shape == (1, 176, 176, 3)
    network.close()
    with pytest.raises(ModelError, match=r"cannot be run at the size of its view other .*96x96 pixels"):
        open_network(replace(zoo.candidate("mobilenet_v1_025_128"), view=View("other", size=(96, 96))))
