"""Checking a zoo: every fault is found, named, and does not hide the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colour_networks import COLOURS, nearest, write_data
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.check import CandidateCheck, Samples, check_zoo, draw_samples, slow_start
from tiny_models import _bytes, write_onnx
from zoos import SmallZoo, write_zoo

RNG = np.random.default_rng(5)
RIGHT = np.ones((40, 3), bool)


def samples_of(small: SmallZoo, limit: int = 200) -> Samples:
    names = read_zoo(small.zoo).labels
    return draw_samples(read_dataset(small.data, small.labels, label_names=names), limit)


def check(small: SmallZoo, samples: Samples | None = None) -> dict[str, CandidateCheck]:
    return {found.candidate: found for found in check_zoo(read_zoo(small.zoo), samples)}


def test_a_good_zoo_is_counted(tmp_path: Path) -> None:
    correct = RIGHT.copy()
    correct[:10, 1] = False
    small = write_zoo(tmp_path, correct=correct, n_labels=9)
    found = check(small, samples_of(small))
    assert [(item.samples, item.top1) for item in found.values()] == [(40, 40), (40, 30), (40, 40)]
    assert all(not item.errors and not item.warnings and item.digest == "sha256" for item in found.values())
    top5 = sum(
        small.truth[i] in np.argsort(-small.probabilities[i, 1], kind="stable")[:5] for i in range(len(small.truth))
    )
    assert found["m1"].top5 == top5
    report = found["m1"].to_json()
    assert (report["top1"], report["samples"], report["input"]) == (0.75, 40, "uint8 8x8 RGB NHWC")


def test_without_images_files_are_opened_but_recordings_not_asked(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=RIGHT)
    found = check(small)
    assert [(item.samples, item.errors, item.to_json()["top1"]) for item in found.values()] == [(0, [], None)] * 3


def test_broken_candidates_do_not_hide_each_other(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((5, 4), bool))
    models = tmp_path / "models"
    (models / "m0.npz").write_bytes(b"")
    (models / "m1.npz").unlink()
    text = small.zoo.read_text().split("[[models]]")
    text[3] = text[3].replace("size = [8, 8]", "size = [9, 9]")
    small.zoo.write_text("[[models]]".join(text))
    found = check(small, samples_of(small))
    assert "wrong sha256" in found["m0"].errors[0]
    assert "is missing" in found["m1"].errors[0]
    assert "contradicts" in found["m2"].errors[0]
    assert not found["m3"].errors
    assert found["m3"].top1 == 5


def test_no_digest_is_a_warning(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=RIGHT)
    small.zoo.write_text("\n".join(line for line in small.zoo.read_text().splitlines() if "sha256" not in line))
    assert all("states no digest" in item.warnings[0] for item in check(small).values())


def test_chance_is_a_warning_and_skill_is_not(tmp_path: Path) -> None:
    correct = np.column_stack([np.arange(60) % 5 == 0, np.arange(60) % 2 == 0])
    small = write_zoo(tmp_path, correct=correct, truth=np.arange(60) % 5, n_labels=5)
    found = check(small, samples_of(small))
    assert "accuracy 20.0 % on 60 images is not above chance (20.0 %)" in found["m0"].warnings[0]
    assert not found["m1"].warnings


def test_always_naming_the_commonest_label_is_chance(tmp_path: Path) -> None:
    truth = np.where(np.arange(50) < 40, 2, np.arange(50) % 2)
    probabilities = np.tile(np.array([0.1, 0.1, 0.8]), (50, 1, 1))
    small = write_zoo(tmp_path, probabilities, truth=truth)
    assert "not above chance (80.0 %)" in check(small, samples_of(small))["m0"].warnings[0]


@pytest.mark.parametrize(("given", "needed"), [(0, 1), (2, 1)])
def test_a_shifted_label_offset_is_recognised(tmp_path: Path, given: int, needed: int) -> None:
    """The network has 2 + 6 outputs of which output label + `needed` means label; the manifest states `given`."""
    truth = np.arange(48) % 5 + (1 if given == 2 else 0)
    outputs = np.full((48, 1, 6 + given), 0.01)
    outputs[np.arange(48), 0, truth + needed] = 0.8
    small = write_zoo(tmp_path, outputs, truth=truth)
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\nf\n")
    text = small.zoo.read_text().replace('runtime = "replay"', f'runtime = "replay"\nlabel_offset = {given}')
    small.zoo.write_text(text)
    warning = check(small, samples_of(small))["m0"].warnings[0]
    assert f"it would be 100.0 % with label_offset = {needed}" in warning


def test_failing_runs_are_counted(tmp_path: Path) -> None:
    probabilities = RNG.dirichlet(np.ones(4), (6, 2))
    probabilities[:2, 0] = np.nan
    probabilities[:, 1] = 0.25
    truth = probabilities[:, 0].argmax(1)
    truth[2:4] = (0, 1)
    small = write_zoo(tmp_path, probabilities, truth=truth)
    found = check(small, samples_of(small))
    assert found["m0"].samples == 4
    assert "2 of 6 runs failed, first: output holds NaN" in found["m0"].warnings[0]
    assert found["m1"].samples == 0
    assert "6 of 6 runs failed, first: constant output" in found["m1"].errors[0]


def test_only_a_first_call_that_is_slow_by_itself_is_worth_a_word() -> None:
    (line,) = slow_start([3200.0, 4.0, 5.0, 6.0], is_callable=True)
    assert line.startswith("its first call took 3200 ms, later ones 5 ms: whoever asks first waits; ")
    assert "when it is made" in line
    (line,) = slow_start([1500.0, 40.0], is_callable=False)
    assert "when it is made" not in line
    for spent_ms in ([], [3200.0], [900.0, 4.0], [3200.0, 3000.0], [3200.0, 700.0]):
        assert slow_start(spent_ms, is_callable=True) == []


CODE = """
import functools, time

@functools.cache
def words():
    time.sleep(1.1)
    return {"ein"}

def late(text):
    return ("de" if words() & set(text.split()) else "en"), 0.9
"""


@pytest.mark.parametrize("has_data", [True, False])
def test_a_callable_that_loads_at_its_first_call_is_named(tmp_path: Path, has_data: bool) -> None:
    (tmp_path / "own_late.py").write_text(CODE)
    entry = '[[models]]\nname = "late"\nruntime = "python"\ncallable = "own_late.py:late"\n'
    head = 'name = "l"\ntask = "text-classification"\nlabels = ["de", "en"]\n'
    (tmp_path / "zoo.toml").write_text(head + entry)
    (tmp_path / "t.csv").write_text("text,label\nein Hund,de\na dog,en\nein Haus,de\n")
    zoo = read_zoo(tmp_path / "zoo.toml", trust_python=True)
    dataset = read_dataset(
        tmp_path / "t.csv", label_names=zoo.labels, options=DatasetOptions(task="text-classification")
    )
    (found,) = check_zoo(zoo, draw_samples(dataset) if has_data else None)
    assert [one for one in found.warnings if "its first call took" in one]
    assert not [one for one in found.warnings if "is slow" in one]


def test_limit_and_unreadable_images(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=RIGHT)
    small.images[3].write_bytes(b"no image")
    small.images[4].write_bytes(b"")
    everything = samples_of(small)
    assert len(everything.inputs) == len(everything.labels) == 38
    assert any("00003.png" in reason for reason in everything.unreadable)
    assert any("00004.png" in reason for reason in everything.unreadable)
    assert len(samples_of(small, 7).inputs) + len(samples_of(small, 7).unreadable) == 7


def onnx_zoo(folder: Path, **network: Any) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    (folder / "labels.txt").write_text("a\nb\nc\n")
    weights = network.pop("weights", RNG.normal(0, 0.1, (48, 3)).astype(np.float32))
    write_onnx(folder / "m.onnx", weights, np.zeros(3, np.float32), [1, 3, 4, 4], **network)
    (folder / "zoo.toml").write_text("""
name = "z"
task = "image-classification"
labels = "labels.txt"
[[models]]
name = "m"
file = "m.onnx"
runtime = "onnx"
output = { activation = "softmax" }
[models.input]
size = [4, 4]
layout = "NCHW"
dtype = "float32"
resize = "squash"
crop_fraction = 1
interpolation = "area"
""")
    return folder / "zoo.toml"


def test_a_network_is_run_once_even_without_images(tmp_path: Path) -> None:
    (good,) = check_zoo(read_zoo(onnx_zoo(tmp_path)))
    assert not good.errors


@pytest.mark.parametrize(
    ("network", "states"),
    [
        ({"softmax": False, "weights": np.full((48, 3), [1, -2, 3], np.float32)}, "activation = 'none'"),
        ({"weights": np.zeros((48, 3), np.float32)}, "constant output"),
        ({"weights": np.full((48, 3), [1, np.nan, 2], np.float32)}, "NaN"),
    ],
)
def test_a_senseless_network_is_found_without_images(tmp_path: Path, network: dict[str, Any], states: str) -> None:
    (found,) = check_zoo(read_zoo(onnx_zoo(tmp_path, **network)))
    assert states in found.errors[0]


def test_one_answer_to_everything_is_named(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=RIGHT)
    samples = samples_of(small)
    weights, bias = np.zeros((8 * 8 * 3, 6), np.float32), np.array([0, 0, 0, 5, 0, 0], np.float32)
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, 8, 8])
    (tmp_path / "zoo.toml").write_text(
        'name = "z"\ntask = "image-classification"\nlabels = ["a", "b", "c", "d", "e", "f"]\n[[models]]\nname = "net"\n'
        'file = "net.onnx"\nruntime = "onnx"\noutput = { activation = "softmax" }\ninput = { size = [8, 8], '
        'layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, interpolation = "bilinear" }\n'
    )
    (found,) = check_zoo(read_zoo(tmp_path / "zoo.toml"), samples)
    assert any(f"answers only one label, number 3, on all {found.samples} images" in text for text in found.warnings)


class TestLabels:
    """A network that answers far above chance may still have its labels in another order than the manifest."""

    def check(self, folder: Path, listed: list[str], data: list[str], outputs: list[int], **metadata: str) -> list[str]:
        """Warnings on pictures of folders `data`, of a network whose output i is colour outputs[i]."""
        write_data(folder / "data", data, COLOURS[: len(data)])
        colours = COLOURS[: len(data)][outputs]
        write_onnx(folder / "net.onnx", *nearest(colours), [1, 3, 8, 8], pooled=True, softmax=False)
        if metadata:
            more = b"".join(_bytes(14, _bytes(1, key) + _bytes(2, value)) for key, value in metadata.items())
            (folder / "net.onnx").write_bytes((folder / "net.onnx").read_bytes() + more)
        (folder / "labels.txt").write_text("\n".join(listed))
        mean, std = "[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]"
        (folder / "zoo.toml").write_text(
            'name = "z"\ntask = "image-classification"\nlabels = "labels.txt"\n[[models]]\nname = "m"\n'
            'file = "net.onnx"\nlicense = "MIT"\nruntime = "onnx"\ninput = { size = [8, 8], layout = "NCHW", '
            f'dtype = "float32", resize = "squash", crop_fraction = 1, interpolation = "area", mean = {mean}, '
            f'std = {std} }}\noutput = {{ activation = "none" }}\n'
        )
        zoo = read_zoo(folder / "zoo.toml")
        (found,) = check_zoo(zoo, draw_samples(read_dataset(folder / "data", label_names=zoo.labels)))
        return found.warnings[1:]

    def test_the_right_order_gives_no_warning(self, tmp_path: Path) -> None:
        names = [f"c{i}" for i in range(12)]
        assert self.check(tmp_path, names, names, list(range(12))) == []

    def test_natural_against_textual_order(self, tmp_path: Path) -> None:
        names = [f"c{i}" for i in range(12)]
        (warning,) = self.check(tmp_path, sorted(names), names, list(range(12)))
        assert "accuracy 16.7 % on 120 images" in warning
        assert "it would be 100.0 % with the labels in natural order" in warning

    def test_folders_of_numbers_in_a_list_of_words(self, tmp_path: Path) -> None:
        listed = sorted(range(12), key=str)
        (warning,) = self.check(tmp_path, list("abcdefghijkl"), [str(i) for i in range(12)], listed)
        assert "100.0 % with the labels in the textual order of their numbers (0, 1, 10, 11, ...)" in warning

    def test_the_names_in_the_file(self, tmp_path: Path) -> None:
        data = list("abcdef")
        (warning,) = self.check(tmp_path, data, data, [5, 0, 2, 1, 4, 3], names="['f','a','c','b','e','d']")
        assert "it would be 100.0 % with the labels in the order of the file's own names" in warning

    def test_a_pair_of_swapped_names_above_chance(self, tmp_path: Path) -> None:
        data = list("abcdefgh")
        (warning,) = self.check(tmp_path, data, data, [0, 1, 2, 3, 4, 5, 7, 6])
        assert "accuracy 75.0 % on 80 images; it would be 100.0 % with other names" in warning
        assert "'g' as 'h' (10 of 10)" in warning

    def test_a_shift_by_one_above_chance(self, tmp_path: Path) -> None:
        """Labels that count from 1, and one class that is right all the same."""
        data = list("abcdef")
        (warning,) = self.check(tmp_path, data, data, [1, 2, 3, 4, 5, 5])
        assert "% with every answer +1" in warning
