"""Digits in the street: deterministic scenes, disjoint splits, a difficulty that means something, an honest zoo."""

from __future__ import annotations

import builtins
import csv
import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the demo extra is not installed")

from premodel.demo.digits import SIZE, Scene, generate, sources, write
from premodel.domains.image.decode import Image
from premodel.domains.image.preprocess import preprocess
from premodel.errors import MissingExtraError, OptionError
from premodel.stats import Z_95, wilson
from premodel.zoo.manifest import read_zoo

ZOO = Path(str(resources.files("premodel.demo"))) / "zoo"
NAMES = tuple(candidate.name for candidate in read_zoo(ZOO / "zoo.toml").candidates)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return list(generate(600, seed=3, split="test"))


def same(one: Scene, other: Scene) -> bool:
    return np.array_equal(one.image, other.image) and one.label == other.label and one.difficulty == other.difficulty


def test_the_same_seed_gives_the_same_scenes(scenes: list[Scene]) -> None:
    assert all(map(same, generate(20, seed=3, split="test"), scenes[:20]))


def test_a_scene_does_not_depend_on_how_many_are_asked_for_or_where_one_starts(scenes: list[Scene]) -> None:
    (alone,) = generate(38, seed=3, split="test", start=37)
    assert same(alone, scenes[37])


@pytest.mark.parametrize(("seed", "split"), [(4, "test"), (3, "train")])
def test_another_seed_or_split_gives_other_scenes(scenes: list[Scene], seed: int, split: Any) -> None:
    assert not any(map(same, generate(20, seed=seed, split=split), scenes[:20]))


def test_scenes_are_what_they_claim_to_be(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.image.shape == (SIZE, SIZE, 3)
        assert scene.image.flags.c_contiguous
        assert scene.label in range(10)
        assert 0 <= scene.difficulty <= 1
    difficulty = np.array([scene.difficulty for scene in scenes])
    counts, _ = np.histogram(difficulty, bins=5, range=(0, 1))
    assert counts.min() > 80  # 120 expected; five standard deviations are 49


def test_all_labels_are_equally_likely(scenes: list[Scene]) -> None:
    counts = np.bincount([scene.label for scene in scenes], minlength=10)
    assert counts.min() > 30  # 60 expected; four standard deviations are 29
    assert counts.max() < 90


def test_splits_share_no_handwriting_and_no_part_of_a_photograph() -> None:
    train, test = sources("train"), sources("test")
    for digit in range(10):
        mine, theirs = set(train.samples[digit].tolist()), set(test.samples[digit].tolist())
        assert not mine & theirs
        assert len(theirs) / (len(mine) + len(theirs)) == pytest.approx(0.3, abs=0.01)
        assert len(train.glyphs[digit]) == len(mine)
    together = [i for part in (train, test) for samples in part.samples for i in samples.tolist()]
    assert sorted(together) == list(range(1797))
    for left, right in zip(train.photographs, test.photographs, strict=True):
        assert left.shape[1] + right.shape[1] == 640  # two regions of one photograph 640 pixels wide
        assert left.shape[0] == right.shape[0] == 427


def test_samples_carry_the_label_of_the_data_set() -> None:
    from sklearn.datasets import load_digits

    target = load_digits().target
    for split in ("train", "test"):
        for digit, samples in enumerate(sources(split).samples):
            assert (target[samples] == digit).all()


def sharpness(scene: Scene) -> float:
    """Strength of the edges inside a scene, blurred against noise."""
    grey = cv2.GaussianBlur(cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    return float(np.percentile(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)), 95))


def test_contrast_and_light_fall_with_difficulty_and_noise_rises(scenes: list[Scene]) -> None:
    ordered = sorted(scenes, key=lambda scene: scene.difficulty)
    parts = [ordered[:200], ordered[200:400], ordered[400:]]
    edges = [np.mean([sharpness(scene) for scene in part]) for part in parts]
    assert edges[0] > 1.2 * edges[1] > 1.44 * edges[2]
    light = [np.mean([scene.image.mean() for scene in part]) for part in parts]
    assert light[0] > light[2]
    grain = [np.mean([np.abs(np.diff(scene.image.astype(int), 2, axis=1)).mean() for scene in part]) for part in parts]
    assert grain[0] < grain[1] < grain[2]


def test_write_gives_the_scenes_back_without_loss(tmp_path: Path, scenes: list[Scene]) -> None:
    calls: list[tuple[int, int]] = []
    table = write(tmp_path / "scenes", 12, 3, "test", lambda done, n: calls.append((done, n)))
    assert calls == [(i, 12) for i in range(1, 13)]
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    for row, scene in zip(rows, scenes[:12], strict=True):
        assert np.array_equal(cv2.imread(str(table.parent / row["path"]), cv2.IMREAD_COLOR_RGB), scene.image)
        assert int(row["label"]) == scene.label
        assert float(row["difficulty"]) == scene.difficulty


def test_an_interrupted_write_is_resumed(tmp_path: Path) -> None:
    class Interruptedly(Exception):
        pass

    def stop(done: int, _: int) -> None:
        if done == 5:
            raise Interruptedly

    with pytest.raises(Interruptedly):
        write(tmp_path, 9, 3, "test", stop)
    assert not (tmp_path / "labels.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.png")}
    assert len(kept) == 5
    damaged = min(kept)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:50])
    table = write(tmp_path, 9, 3, "test")
    assert len(table.read_text().splitlines()) == 10
    assert damaged.read_bytes() == whole
    assert all(path.stat().st_mtime_ns == kept[path] for path in kept if path != damaged)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", *[".png"] * 9]


@pytest.mark.parametrize(
    ("n", "seed", "split", "named"), [(-1, 0, "test", "-1"), (1, -7, "test", "-7"), (1, 0, "dev", "dev")]
)
def test_a_wrong_argument_is_named_at_once(n: int, seed: int, split: Any, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        generate(n, seed=seed, split=split)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    sources.cache_clear()
    with pytest.raises(MissingExtraError, match=r"premodel\[demo\]"):
        generate(1, seed=0, split="train")


def test_the_bundled_files_are_those_of_the_manifest() -> None:
    zoo = read_zoo(ZOO / "zoo.toml", require_files=True)
    assert zoo.labels == tuple(str(digit) for digit in range(10))
    total = 0
    for candidate in zoo.candidates:
        content = candidate.model.file.read_bytes()
        assert hashlib.sha256(content).hexdigest() == candidate.model.sha256
        assert candidate.model.license == "Apache-2.0"
        total += len(content)
    assert 5 <= len(zoo.candidates) <= 6
    assert total <= 8_000_000
    assert {path.name for path in (ZOO / "models").iterdir()} == {c.model.file.name for c in zoo.candidates}


def card_accuracies() -> dict[str, tuple[float, float, float]]:
    """Accuracy and the ends of its interval, as the table of CARDS.md states them, in 0..1."""
    row = re.compile(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", re.MULTILINE)
    return {
        name: (float(accuracy) / 100, float(low) / 100, float(high) / 100)
        for name, accuracy, low, high in row.findall((ZOO / "CARDS.md").read_text())
    }


def test_every_bundled_model_has_a_card() -> None:
    cards = (ZOO / "CARDS.md").read_text()
    assert set(card_accuracies()) == set(NAMES)
    for candidate in read_zoo(ZOO / "zoo.toml").candidates:
        assert f"## {candidate.name}\n" in cards
        assert str(candidate.model.sha256) in cards


def test_the_cards_span_what_the_demo_needs() -> None:
    accuracies = [accuracy for accuracy, _, _ in card_accuracies().values()]
    assert max(accuracies) >= 0.93
    assert max(accuracies) - min(accuracies) >= 0.2


def answers(name: str, scenes: list[Scene]) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    model = read_zoo(ZOO / "zoo.toml").candidate(name).model
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model.file), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    return np.array([session.run(None, {feed: preprocess(Image(s.image), model.input)})[0].argmax() for s in scenes])


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_as_accurate_as_its_card_says(name: str, scenes: list[Scene]) -> None:
    _, low, high = card_accuracies()[name]
    right = answers(name, scenes) == np.array([scene.label for scene in scenes])
    # What 600 scenes of a model as good as either end of the card's interval may show: three standard deviations.
    lowest, _ = wilson(round(low * len(right)), len(right), 1.5 * Z_95)
    _, highest = wilson(round(high * len(right)), len(right), 1.5 * Z_95)
    assert lowest <= right.mean() <= highest


def test_every_model_is_better_on_easy_scenes(scenes: list[Scene]) -> None:
    difficulty = np.array([scene.difficulty for scene in scenes])
    for name in NAMES:
        right = answers(name, scenes) == np.array([scene.label for scene in scenes])
        assert right[difficulty < 0.3].mean() > right[difficulty > 0.7].mean()
