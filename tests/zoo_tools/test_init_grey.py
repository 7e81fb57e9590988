"""Networks that take colour, and pictures that have none; answers that run backward; scales of values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from colour_networks import COLOURS, nearest, run_init, write_data
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.check import check_zoo, draw_samples
from premodel.zoo_tools.init.conventions import colours
from premodel.zoo_tools.init.found import found_for
from premodel.zoo_tools.init.images import TrialImages
from premodel.zoo_tools.init.inspect import inspect_model
from premodel.zoo_tools.init.labels import label_mappings
from premodel.zoo_tools.init.trial import Trial
from premodel.zoo_tools.label_fit import is_backward
from tiny_models import write_onnx

SIDE = 6
NAMES = list("abcdefgh")
PATTERNS = np.random.default_rng(8).choice([0.0, 0.2, 0.5, 0.9], (8, SIDE, SIDE), p=[0.5, 0.2, 0.15, 0.15])


def pattern_network(mean: Any, std: Any, *, sharpness: float = 2.5) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The nearest of the patterns, of inputs (x / 255 - mean) / std, the same for three channels; a negative std
    inverts."""
    flat = np.broadcast_to(PATTERNS.reshape(8, 1, SIDE, SIDE), (8, 3, SIDE, SIDE))
    mean, std = (np.broadcast_to(np.reshape(one, (-1, 1, 1)), (3, SIDE, SIDE)) for one in (mean, std))
    weights = (2 * flat * std).reshape(8, -1).T * sharpness / 3
    bias = (2 * (flat * mean).sum(axis=(1, 2, 3)) - (flat**2).sum(axis=(1, 2, 3))) * sharpness / 3
    return weights.astype(np.float32), bias.astype(np.float32)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per pattern of noisy grey pictures."""
    folder, rng = tmp_path_factory.mktemp("grey"), np.random.default_rng(2)
    for name, pattern in zip(NAMES, PATTERNS, strict=True):
        (folder / name).mkdir()
        for number in range(16):
            noisy = np.clip(255 * (pattern + rng.normal(0, 0.6, pattern.shape)), 0, 255).round().astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), noisy)
    return folder


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.0,), (1.0,)), ((0.1307,), (0.3081,)), ((1.0,), (-1.0,)), ((1.0,), (-1 / 255,)), ((0.8693,), (-0.3081,))],
    ids=["0..1", "MNIST", "0..1 inverted", "0..255 inverted", "MNIST inverted"],
)
def test_values_of_grey_networks_are_tried_where_no_picture_has_a_colour(
    grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    write_onnx(tmp_path / "net.onnx", *pattern_network(mean, std), ["N", 3, SIDE, SIDE], softmax=False)
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", grey, "--out", tmp_path / "zoo.toml")
    (model,) = answer["models"]
    given = model["input"]
    assert given["channels"] == "RGB"
    scale = (given["std"] or [1.0])[0]
    assert 0.2 < scale / std[0] < 5
    assert model["accuracy"] > 0.85


def test_what_grey_pictures_cannot_show_is_named_as_guessed(
    grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_onnx(tmp_path / "net.onnx", *pattern_network((0.0,), (1.0,)), ["N", 3, SIDE, SIDE], softmax=False)
    _, answer, text = run_init(capsys, tmp_path / "net.onnx", "--data", grey, "--out", tmp_path / "zoo.toml")
    (model,) = answer["models"]
    assert "# order of channels: RGB, guessed: no image has a colour" in text
    assert not model["clear"]
    assert model["input"]["channels"] == "RGB"


def test_a_network_of_colours_is_not_asked_about_inverted_values_by_coloured_pictures(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:6]), [1, 3, 8, 8], pooled=True, softmax=False)
    inspected = inspect_model(tmp_path / "net.onnx", (8, 8))
    usual, wider = list(colours(inspected)), list(colours(inspected, grey=True))
    inspected.backend.close()
    assert not any("inverted" in one.values for one in usual)
    assert any("inverted" in one.values for one in wider)
    # One number for every channel: the order of the channels makes no difference to a grey picture.
    assert {one.values for one in wider if one.channels == "BGR"} == {
        "ImageNet mean and std", "0..255 less the ImageNet mean",
        "ImageNet mean and std, inverted", "0..255 less the ImageNet mean, inverted",
    }  # fmt: skip
    data = write_data(tmp_path / "data", NAMES[:6], COLOURS[:6])
    assert not TrialImages(read_dataset(data, label_names=tuple(NAMES[:6])), 60).grey


def test_of_two_scales_with_the_same_answers_the_one_with_honest_confidence_is_taken(
    grey: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, bias = pattern_network((0.0,), (1.0,))
    # Without a bias the answers are the same for every scale of the input; only the confidence differs.
    weights -= weights.mean(axis=1, keepdims=True)
    write_onnx(tmp_path / "net.onnx", weights, 0 * bias, ["N", 3, SIDE, SIDE], softmax=False)
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", grey, "--out", tmp_path / "zoo.toml")
    (model,) = answer["models"]
    assert model["confidence"] < model["accuracy"] + 0.1
    assert np.abs(np.divide(1, model["input"]["std"] or [1.0])).max() < 10


def test_an_aspect_that_was_compared_with_nothing_is_not_clear(grey: Path, tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", *pattern_network((0.0,), (1.0,)), ["N", 3, SIDE, SIDE], softmax=False)
    inspected = inspect_model(tmp_path / "net.onnx", (SIDE, SIDE))
    images = TrialImages(read_dataset(grey, label_names=tuple(NAMES)), 128)
    trial = Trial(inspected, "none", label_mappings(8, 8), images)
    (one,) = [one for one in trial.usual_colours() if (one.values, one.channels) == ("0..1", "RGB")]
    trial.run([one], len(images), "alone")
    found = found_for(trial, one)
    inspected.backend.close()
    assert found.accuracy > 0.85
    assert [decision.clear for decision in found.decisions] == [False, False, False]
    assert not found.clear


class TestBackward:
    def test_negated_outputs_are_named_by_both_commands(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        weights, bias = nearest(COLOURS[:8])
        write_onnx(tmp_path / "net.onnx", -weights, -bias, [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", NAMES, COLOURS[:8])
        _, answer, text = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
        assert "# warning: accuracy" in text
        assert "the answers run backward: the lowest output is the right label" in text
        assert not answer["clear"]
        zoo = read_zoo(tmp_path / "zoo.toml")
        (found,) = check_zoo(zoo, draw_samples(read_dataset(data, label_names=zoo.labels)))
        assert any("the answers run backward" in warning for warning in found.warnings)

    def test_far_more_than_chance_is_asked_for(self) -> None:
        assert is_backward(11, 12, 0.1)
        assert is_backward(2_000, 2_400, 0.1)
        assert not is_backward(4, 12, 0.1)
        assert not is_backward(6, 6, 0.5)
        assert not is_backward(0, 0, 0.1)
        assert not is_backward(500, 1_200, 0.5)


def test_values_that_are_surely_better_under_the_order_of_labels_found_are_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However they compared before the order of the labels was found."""
    names = ["class 10", "class 11", "class 2", "class 3", "class 4", "class 5", "class 6", "class 7"]
    order = np.argsort([int(name.split()[1]) for name in names])
    weights, bias = nearest(COLOURS[:8][order], mean=0.0, std=1.0, sharpness=0.4)
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, 8, 8], pooled=True, softmax=False)
    data = write_data(tmp_path / "data", names, COLOURS[:8])
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    (model,) = answer["models"]
    assert model["accuracy"] > 0.95
    (colour,) = (one for one in model["decisions"] if one["aspect"] == "colour")
    assert all(other["behind_ci"][1] >= 0 for other in colour["others"])


def test_outputs_beyond_the_labels_stand_last_where_the_offset_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, bias = nearest(COLOURS[:8])
    bias[6:] -= 1000  # two outputs that are never used, as where their number was rounded up
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, 8, 8], pooled=True, softmax=False)
    data = write_data(tmp_path / "data", NAMES[:6], COLOURS[:6])
    words = [tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml"]
    code, refused, _ = run_init(capsys, *words)
    assert code == 2
    assert "say with --offset N how many outputs stand before the first label" in refused["error"]
    _, answer, _ = run_init(capsys, *words, "--offset", 0)
    (model,) = answer["models"]
    assert (model["label_offset"], model["dropped_last"], model["accuracy"]) == (0, 2, 1.0)


@pytest.mark.parametrize("seed", [4, 11, 18])
def test_of_few_images_the_luckiest_crop_does_not_decide_the_order_of_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    """A network for which the order matters little: BGR is taken only where RGB is clearly behind over all crops."""
    rng = np.random.default_rng(seed)
    for name, pattern in zip(NAMES, PATTERNS, strict=True):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            large = cv2.resize(pattern, (2 * SIDE, 2 * SIDE + 4), interpolation=cv2.INTER_NEAREST)
            noisy = 255 * (large[:, :, None] + rng.normal(0, 0.5, (*large.shape, 3)))
            cv2.imwrite(
                str(tmp_path / "data" / name / f"{number}.png"), np.clip(noisy, 0, 255).round().astype(np.uint8)
            )
    weights, bias = pattern_network((0.0,), (1.0,), sharpness=1.0)
    weights += rng.normal(0, 0.25, weights.shape).astype(np.float32)
    write_onnx(tmp_path / "net.onnx", weights, bias, ["N", 3, SIDE, SIDE], softmax=False)
    words = [tmp_path / "net.onnx", "--data", tmp_path / "data", "--out", tmp_path / "zoo.toml"]
    _, answer, _ = run_init(capsys, *words)
    (model,) = answer["models"]
    (colour,) = (one for one in model["decisions"] if one["aspect"] == "colour")
    values = colour["chosen"].split(", ", 1)[1]
    others = {one["name"]: one["behind_ci"][0] for one in colour["others"]}
    if model["input"]["channels"] == "BGR":
        assert others.get(f"RGB, {values}", 1.0) > 0
