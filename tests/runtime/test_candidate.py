"""Opened candidates on recorded answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from premodel.backends.replay import record
from premodel.domains.image.decode import decode
from premodel.domains.image.preprocess import Pyramid
from premodel.errors import ModelError, RunError, ZooError
from premodel.runtime.candidate import open_candidates, open_network
from premodel.zoo.manifest import read_zoo
from several_files import write_external_zoo
from tiny_models import write_onnx
from zoos import write_zoo


def test_small_zoo_answers_as_written(tmp_path: Path) -> None:
    correct = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], bool)
    small = write_zoo(tmp_path, correct=correct, n_labels=7)
    opened = open_candidates(read_zoo(small.zoo, require_files=True).candidates)
    for i, path in enumerate(small.images):
        image = decode(path)
        for j, candidate in enumerate(opened):
            prediction = candidate.predict(image)
            assert (prediction.labels[0] == small.truth[i]) == correct[i, j]
            assert sorted(prediction.labels) == list(range(7))
            np.testing.assert_array_equal(prediction.probabilities, small.probabilities[i, j][prediction.labels])


def test_views_share_one_network_and_are_candidates_of_their_own(tmp_path: Path) -> None:
    views = {"m0": [{"name": "mirror", "mirror": True}, {"name": "crop50", "crop_fraction": 0.5}]}
    small = write_zoo(tmp_path, correct=np.ones((3, 4), bool), views=views)
    assert small.names == ("m0", "m0@mirror", "m0@crop50", "m1")
    candidates = read_zoo(small.zoo).candidates
    assert len({candidate.prediction_key for candidate in candidates}) == 4
    opened = open_candidates(candidates)
    assert opened[0].network is opened[1].network is opened[2].network
    assert opened[3].network is not opened[0].network
    for i, path in enumerate(small.images):
        image = decode(path)
        pyramid = Pyramid(image)
        for j, candidate in enumerate(opened):
            shared, alone = candidate.predict(image, pyramid), candidate.predict(image)
            np.testing.assert_array_equal(shared.labels, alone.labels)
            np.testing.assert_array_equal(shared.probabilities, small.probabilities[i, j][shared.labels])


def test_a_view_of_another_size_is_opened_at_that_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    rng = np.random.default_rng(3)
    write_onnx(tmp_path / "m.onnx", rng.normal(size=(3, 2)).astype(np.float32), np.zeros(2, np.float32),
               ["N", 3, "H", "W"], pooled=True)  # fmt: skip
    write_onnx(tmp_path / "fixed.onnx", rng.normal(size=(48, 2)).astype(np.float32), np.zeros(2, np.float32),
               ["N", 3, 4, 4])  # fmt: skip
    entry = """
[[models]]
name = "{name}"
file = "{name}.onnx"
runtime = "onnx"
input = {{ size = [4, 4], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, interpolation = "area" }}
output = {{ activation = "softmax" }}
views = [{{ name = "half", size = [2, 2] }}, {{ name = "turned", size = [2, 2], mirror = true }}]
"""  # noqa: E501
    (tmp_path / "zoo.toml").write_text(
        'name = "z"\ntask = "image-classification"\nlabels = ["a", "b"]\n'
        + entry.format(name="m") + entry.format(name="fixed")
    )  # fmt: skip
    plain, half, turned, _, fixed, _ = read_zoo(tmp_path / "zoo.toml").candidates
    opened = open_candidates([plain, half, turned])
    assert opened[1].network is opened[2].network is not opened[0].network
    # Four pixels of each quarter are equal, so "area" keeps the mean: both sizes must say the same.
    image = decode(np.kron(rng.integers(0, 255, (2, 2, 3)), np.ones((2, 2, 1))).astype(np.uint8))
    assert opened[1].prepare(image).shape == (1, 3, 2, 2)
    one, other = opened[0].predict(image), opened[1].predict(image)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    with pytest.raises(ModelError, match=r"fixed cannot be run at the size of its view half .*; given: 2x2 pixels"):
        open_network(fixed)


def test_wrong_digest_names_both(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((2, 1), bool))
    candidate = read_zoo(small.zoo).candidates[0]
    model = candidate.model
    model.file.write_bytes(model.file.read_bytes() + b"x")
    with pytest.raises(ModelError, match="wrong sha256") as caught:
        open_network(candidate)
    assert model.sha256 is not None
    assert model.sha256 in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "states"),
    [
        ("size = [8, 8]", "size = [8, 9]", r"manifest states NHWC \(1, 8, 9, 3\).*file states \(1, 8, 8, 3\)"),
        ('layout = "NHWC"', 'layout = "NCHW"', r"manifest states NCHW \(1, 3, 8, 8\)"),
        ('dtype = "uint8"', 'dtype = "float32"', "manifest states float32; .*file states uint8"),
        (
            'dtype = "uint8"',
            'dtype = "uint8", mean = 0.5',
            "manifest states to quantise.*file states no quant",
        ),
        ('runtime = "replay"', 'runtime = "replay"\nlabel_offset = 1', "6 labels . label_offset 1.*6 outputs"),
    ],
)
def test_contradictions_name_both_sides(tmp_path: Path, old: str, new: str, states: str) -> None:
    small = write_zoo(tmp_path, correct=np.ones((2, 1), bool))
    text = small.zoo.read_text()
    assert old in text
    small.zoo.write_text(text.replace(old, new))
    with pytest.raises(ZooError, match=states):
        open_candidates(read_zoo(small.zoo).candidates)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([0.5, np.nan, 0.5], "NaN"),
        ([0.5, np.inf, 0.5], "infinite"),
        ([0.25, 0.25, 0.25], "constant output"),
        ([3.0, 1.0, -2.0], "must be probabilities.*activation = 'none'"),
    ],
)
def test_senseless_outputs_are_run_errors(tmp_path: Path, row: list[float], reason: str) -> None:
    small = write_zoo(tmp_path, np.array([[row], [[0.2, 0.5, 0.3]]]))
    opened = open_candidates(read_zoo(small.zoo).candidates)[0]
    with pytest.raises(RunError, match=reason):
        opened.predict(decode(small.images[0]))
    assert opened.predict(decode(small.images[1])).labels.tolist() == [1, 2, 0]


def test_two_entries_of_one_file_share_it_but_each_is_checked(tmp_path: Path) -> None:
    small = write_zoo(tmp_path, correct=np.ones((2, 1), bool))
    first = read_zoo(small.zoo).candidates[0]
    again = replace(first, model=replace(first.model, name="again", label_offset=0, activation="none"))
    opened = open_candidates([first, again])
    assert opened[0].network is opened[1].network
    with pytest.raises(ZooError, match="number of outputs of again"):
        open_candidates([first, replace(again, model=replace(again.model, label_offset=1))])
    with pytest.raises(ModelError, match="wrong git_blob_sha1"):
        open_candidates([first, replace(again, model=replace(again.model, git_blob_sha1="0" * 40))])


def test_a_failing_opening_closes_what_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from premodel.backends.replay import ReplayBackend

    small = write_zoo(tmp_path, correct=np.ones((2, 2), bool))
    closed = []
    monkeypatch.setattr(ReplayBackend, "close", lambda self: closed.append(self))
    candidates = read_zoo(small.zoo).candidates
    candidates[1].model.file.unlink()
    with pytest.raises(ModelError):
        open_candidates(candidates)
    assert len(closed) == 1


def test_quantised_output_with_background(tmp_path: Path) -> None:
    """Output 0 is dropped, the rest is not renormalised, ties go to the lower label."""
    small = write_zoo(tmp_path, correct=np.ones((1, 1), bool), n_labels=3)
    candidate = read_zoo(small.zoo).candidates[0]
    image = decode(small.images[0])
    tensor = open_candidates([candidate])[0].prepare(image)
    record(candidate.model.file, [tensor], np.array([[128, 32, 64, 32]], np.uint8), output_scale=1 / 256)
    text = small.zoo.read_text().replace('runtime = "replay"', 'runtime = "replay"\nlabel_offset = 1')
    small.zoo.write_text("\n".join(line for line in text.splitlines() if not line.startswith("sha256")))
    prediction = open_candidates(read_zoo(small.zoo).candidates)[0].predict(image)
    assert prediction.labels.tolist() == [1, 0, 2]
    assert prediction.probabilities.tolist() == [0.25, 0.125, 0.125]
    # (1/2, 1/4, 1/4) once scaled to sum 1: 1.5 bits.
    assert prediction.entropy == pytest.approx(1.5 * np.log(2), abs=1e-6)


def test_a_batch_fixed_in_the_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    folder = write_external_zoo(tmp_path)
    write_onnx(
        folder / "models" / "net.onnx", np.eye(3, dtype=np.float32), np.zeros(3, np.float32), [4, 3, 8, 8], pooled=True
    )
    text = "\n".join(
        line for line in (folder / "zoo.toml").read_text().split("\n") if not line.startswith(("sha256", "files"))
    )
    (folder / "zoo.toml").write_text(text)
    with pytest.raises(ZooError, match="net takes no input alone; the batch is fixed at 4 in the file"):
        open_candidates(read_zoo(folder / "zoo.toml").candidates)
