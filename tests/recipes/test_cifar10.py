"""The zoo that `recipes/cifar10/` trained: its files are the manifest's and answer as well as their cards say."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "cifar10"
MODELS: list[dict[str, Any]] = tomllib.loads((RECIPE / "zoo.toml").read_text())["models"]
CARDS: dict[str, dict[str, Any]] = {c["name"]: c for c in json.loads((RECIPE / "cards.json").read_text())}
NAMES = [m["name"] for m in MODELS]
CHECKED = 500


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_file_has_the_digest_of_the_manifest_and_of_its_card(model: dict[str, Any]) -> None:
    content = (RECIPE / model["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == model["sha256"] == CARDS[model["name"]]["sha256"]
    assert len(content) == CARDS[model["name"]]["bytes"]


def test_every_committed_network_is_in_the_manifest_and_all_take_at_most_12_mb() -> None:
    files = sorted((RECIPE / "models").iterdir())
    assert [f"models/{f.name}" for f in files] == sorted(m["file"] for m in MODELS)
    assert sum(f.stat().st_size for f in files) <= 12_000_000


def test_labels_name_ten_classes() -> None:
    assert len((RECIPE / "labels.txt").read_text().split()) == 10


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_interval_of_a_card_holds_its_accuracy(card: dict[str, Any]) -> None:
    low, high = card["accuracy_ci"]
    assert low < card["accuracy"] < high
    assert card["accuracy"] == card["test_right"] / card["test_images"]
    assert high - low == pytest.approx(2 * standard_error(card["accuracy"], card["test_images"], z=1.96), rel=0.01)


def standard_error(share: float, images: int, z: float) -> float:
    """`z` standard errors of a share of `images`."""
    return z * math.sqrt(share * (1 - share) / images)


@pytest.fixture(scope="module")
def first_rows(shared: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = shared / "cifar10" / "test.parquet"
    if not path.is_file():
        pytest.skip(f"real images are not at {path}")
    return parquet.read_table(path).slice(0, CHECKED).to_pylist()


def as_input(encoded: bytes, model_input: dict[str, Any]) -> np.ndarray:
    """(1, 3, 32, 32), float32, as the manifest states."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    values = (image / 255 - np.array(model_input["mean"])) / np.array(model_input["std"])
    return np.ascontiguousarray(values.astype(np.float32).transpose(2, 0, 1)[None])


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_accuracy_on_real_images_is_that_of_the_card(model: dict[str, Any], first_rows: list[dict[str, Any]]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(RECIPE / model["file"]), options, providers=["CPUExecutionProvider"])
    right = 0
    for row in first_rows:
        (logits,) = session.run(None, {"image": as_input(row["image"]["bytes"], model["input"])})
        assert logits.shape == (1, 10)
        right += int(logits.argmax()) == row["label"]
    low, high = CARDS[model["name"]]["accuracy_ci"]
    # The card's interval is of 8,000 images; 500 of them vary more (3 standard errors).
    slack = standard_error(CARDS[model["name"]]["accuracy"], CHECKED, z=3)
    assert low - slack <= right / CHECKED <= high + slack


def test_accuracy_climbs_with_cost() -> None:
    cards = [CARDS[name] for name in NAMES]
    assert [c["mflop"] for c in cards] == sorted(c["mflop"] for c in cards)
    assert [c["accuracy"] for c in cards] == sorted(c["accuracy"] for c in cards)
