"""Manifests for models of one's own, on tiny networks whose right preprocessing is known by construction."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from premodel.backends.base import TensorSpec
from premodel.backends.registry import BACKENDS
from premodel.cli.main import main
from premodel.domains.image.decode import decode
from premodel.errors import DatasetError, ModelError, OptionError
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.candidate import open_candidates
from premodel.stats import paired_bootstrap
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.check import check_zoo
from premodel.zoo_tools.init.conventions import VALUES, Convention, colours, crops
from premodel.zoo_tools.init.draft import Draft, safe_name, toml
from premodel.zoo_tools.init.images import TrialImages
from premodel.zoo_tools.init.init import draft_models, write_manifest
from premodel.zoo_tools.init.inspect import activation_of, inspect_model, label_offset, runtime_of
from premodel.zoo_tools.init.labels import folder_labels, label_mappings
from premodel.zoo_tools.init.search import race
from premodel.zoo_tools.init.trial import Trial
from tiny_models import _bytes, _node, _number, _value, write_onnx, write_tflite
from toys import ToyBackend

NAMES = ("red dark", "red bright", "blue dark", "blue bright")
SIDE = 6
BRIGHT = 191.25
"""Mean pixel from which an image is bright: three quarters."""

# What (pixel / 255) becomes under each convention, and so where "three quarters" lies; written out by hand.
THRESHOLDS = {
    "ImageNet mean and std": (0.75 - 0.449) / 0.226,
    "-1..1": 0.5,
    "0..1": 0.75,
    "0..255": 191.25,
    "0..255 less the ImageNet mean": 0.75 * 255 - 0.449 * 255,
    "-0.5..0.5": 0.25,
    "0..255 less 127.5": 63.75,
}


def write_images(folder: Path, pictures: list[NDArray[np.uint8]], truth: list[int]) -> Path:
    """PNG files and labels.csv; pictures are RGB."""
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label"])
        for number, (picture, label) in enumerate(zip(pictures, truth, strict=True)):
            cv2.imwrite(str(folder / "images" / f"{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            rows.writerow([f"images/{number}.png", label])
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n")
    return folder


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 plain images, reddish or bluish, of every brightness; none so close to the border that rounding decides."""
    rng = np.random.default_rng(3)
    pictures, truth = [], []
    while len(pictures) < 160:
        mean, tint = rng.uniform(30, 225), rng.choice([-24, 24])
        if abs(mean - BRIGHT) < 6:
            continue
        pictures.append(np.full((10, 14, 3), [mean + tint, mean, mean - tint]).round().astype(np.uint8))
        truth.append(2 * int(tint < 0) + int(mean > BRIGHT))
    return write_images(tmp_path_factory.mktemp("coloured"), pictures, truth)


def colour_weights(values: str, channels: str, layout: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits of the four labels, right only under this convention: a colour part and a brightness part."""
    threshold = THRESHOLDS[values]
    unit = 255.0 if values.startswith("0..255") else 1.0
    red, blue = (0, 2) if channels == "RGB" else (2, 0)
    # The mean of ImageNet's red lies 0.079 above that of its blue: a grey image is not grey under it.
    tint = {"ImageNet mean and std": -0.35, "0..255 less the ImageNet mean": -0.079 * 255}.get(values, 0.0)
    pixels = np.zeros((SIDE, SIDE, 3, 2), np.float32)
    pixels[:, :, red, 0], pixels[:, :, blue, 0] = 1, -1
    pixels[:, :, :, 1] = 1 / 3
    pixels *= 40 / unit / SIDE**2
    parts = pixels if layout == "NHWC" else pixels.transpose(2, 0, 1, 3)
    signs = np.array([[1, 1, -1, -1], [-1, 1, -1, 1]], np.float32)
    bias = -40 / unit * np.array([tint, threshold], np.float32) @ signs
    return parts.reshape(-1, 2) @ signs, bias


def read_rows(table: Path) -> list[list[str]]:
    with table.open(newline="") as stream:
        return list(csv.reader(stream))


def init(*words: object) -> int:
    return main(["zoo", "init", *map(str, words)])


def with_data(data: Path) -> list[object]:
    return ["--labels", data / "names.txt", "--data", data, "--data-labels", data / "labels.csv"]


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("values", list(VALUES))
def test_the_colour_that_the_network_was_made_for_is_found(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], values: str, channels: str
) -> None:
    write_onnx(tmp_path / "net.onnx", *colour_weights(values, channels, "NCHW"), [1, 3, SIDE, SIDE])
    assert init(tmp_path / "net.onnx", *with_data(coloured), "--out", tmp_path / "zoo.toml", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    colour, crop, _ = model["decisions"]
    assert colour["chosen"] == f"{channels}, {values}"
    assert colour["clear"]
    assert len(colour["others"]) == 2 * len(VALUES) - 1
    assert min(other["behind_ci"][0] for other in colour["others"]) > 0
    assert model["accuracy"] == 1.0
    # Plain images look the same whatever the crop: nothing is left to decide, and it states so. Bars change them.
    assert crop["clear"]
    assert all(other["same_answers"] for other in crop["others"] if not other["name"].startswith("letterbox"))
    assert "the same answers: " in (tmp_path / "zoo.toml").read_text()
    zoo = read_zoo(tmp_path / "zoo.toml", require_files=True)
    (opened,) = open_candidates(zoo.candidates)
    assert zoo.labels == NAMES
    for path, truth in read_rows(coloured / "labels.csv")[1:40]:
        assert opened.predict(decode(coloured / path)).labels[0] == int(truth)


def test_litert_with_its_own_layout(coloured: Path, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    write_tflite(tmp_path / "net.tflite", *colour_weights("-1..1", "BGR", "NHWC"), [1, SIDE, SIDE, 3])
    assert init(tmp_path / "net.tflite", *with_data(coloured), "--out", tmp_path / "zoo.toml") == 0
    (candidate,) = read_zoo(tmp_path / "zoo.toml").candidates
    assert (candidate.model.runtime, candidate.input.layout, candidate.input.channels) == ("litert", "NHWC", "BGR")
    assert (candidate.input.mean, candidate.input.std) == ((0.5,) * 3, (0.5,) * 3)


def test_quantised_inputs_are_fed_as_they_are(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    weights, bias = colour_weights("-1..1", "BGR", "NHWC")
    write_tflite(tmp_path / "net.tflite", weights, bias, [1, SIDE, SIDE, 3], dtype="int8")
    assert init(tmp_path / "net.tflite", *with_data(coloured), "--out", tmp_path / "zoo.toml", "--json") == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    (candidate,) = read_zoo(tmp_path / "zoo.toml").candidates
    assert (candidate.input.dtype, candidate.input.channels, candidate.input.mean) == ("int8", "BGR", None)
    assert model["activation"] == "softmax"
    assert [other["name"] for other in model["decisions"][0]["others"]] == ["RGB, pixels as they are"]


def ring_images(folder: Path, height: int, width: int) -> Path:
    """Noise in a bright or dark frame; the left one tells the label."""
    rng = np.random.default_rng(8)
    pictures, truth = [], []
    for _ in range(80):
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        label = int(rng.integers(2))
        picture[:, :1] = 255 * label
        pictures.append(picture)
        truth.append(label)
    return write_images(folder, pictures, truth)


def ring_network(file: Path, side: int) -> None:
    """Label 1 if the middle of the left edge is bright, label 0 if dark; 2 and 3 never."""
    weights = np.zeros((side, side, 3, 4), np.float32)
    weights[side // 2, 0, :, 0], weights[side // 2, 0, :, 1] = -1, 1
    weights = np.ascontiguousarray(weights.transpose(2, 0, 1, 3)).reshape(-1, 4)
    write_onnx(file, 5 * weights, np.array([0, 0, -99, -99], np.float32), [1, 3, side, side])


def test_squash_is_told_from_crops_where_images_are_not_square(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ring_images(tmp_path / "data", 40, 60)
    ring_network(tmp_path / "net.onnx", 40)
    init(tmp_path / "net.onnx", *with_data(data), "--out", tmp_path / "zoo.toml", "--json")
    crop = json.loads(capsys.readouterr().out)["models"][0]["decisions"][1]
    assert (crop["chosen"], crop["clear"]) == ("squash", True)
    assert read_zoo(tmp_path / "zoo.toml").candidates[0].input.resize == "squash"


def test_squash_and_all_of_a_square_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ring_images(tmp_path / "data", 40, 40)
    ring_network(tmp_path / "net.onnx", 40)
    init(tmp_path / "net.onnx", *with_data(data), "--out", tmp_path / "zoo.toml", "--json")
    crop = json.loads(capsys.readouterr().out)["models"][0]["decisions"][1]
    assert (crop["chosen"], crop["clear"]) == ("center-crop 1", True)
    same = {other["name"] for other in crop["others"] if other["behind_ci"][0] <= 0}
    assert same == {"squash", "letterbox, padding 114", "letterbox, padding 0"}
    assert all(other["identical"] for other in crop["others"] if other["name"] in same)


def test_labels_in_another_order_are_no_better_than_chance(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The images' labels are drawn anew: nothing can be right above chance, and it must not claim to be."""
    write_onnx(tmp_path / "net.onnx", *colour_weights("0..1", "RGB", "NCHW"), [1, 3, SIDE, SIDE])
    rows = read_rows(coloured / "labels.csv")
    rng = np.random.default_rng(1)
    shuffled = [rows[0]] + [[str(coloured / path), str(rng.integers(4))] for path, _ in rows[1:]]
    with (tmp_path / "shuffled.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(shuffled)
    words = [tmp_path / "net.onnx", "--labels", coloured / "names.txt", "--data", tmp_path / "shuffled.csv"]
    assert init(*words, "--out", tmp_path / "zoo.toml", "--strict") == 2
    captured = capsys.readouterr()
    assert "is not above chance" in captured.out
    assert "not clear" in captured.err
    assert "is not above chance" in (tmp_path / "zoo.toml").read_text()


def test_few_images_settle_nothing(coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(tmp_path / "net.onnx", *colour_weights("0..1", "RGB", "NCHW"), [1, 3, SIDE, SIDE])
    init(tmp_path / "net.onnx", *with_data(coloured), "--out", tmp_path / "zoo.toml", "--limit", 20, "--json")
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["images"] == 20
    assert not any(decision["clear"] for decision in model["decisions"])


def test_without_images_the_guesses_are_marked(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, bias = colour_weights("0..1", "RGB", "NCHW")
    # Five outputs for four labels: the first is a background class.
    weights = np.concatenate([np.zeros((len(weights), 1), np.float32), weights], axis=1)
    write_onnx(tmp_path / "a b.onnx", weights, np.append(np.float32(-9), bias), [1, 3, SIDE, SIDE], softmax=False)
    words = [tmp_path / "a b.onnx", "--labels", coloured / "names.txt", "--out", tmp_path / "zoo.toml"]
    assert init(*words) == 0
    text = (tmp_path / "zoo.toml").read_text()
    assert "# guessed, not measured: channels, resize, crop_fraction, interpolation, mean, std" in text
    assert 'license = "unknown"' in text
    (candidate,) = read_zoo(tmp_path / "zoo.toml").candidates
    assert (candidate.name, candidate.model.label_offset, candidate.model.activation) == ("a_b", 1, "none")
    assert candidate.model.sha256 is not None
    (check,) = check_zoo(read_zoo(tmp_path / "zoo.toml"))
    assert check.errors == []
    # Never overwritten, unless asked to; --strict takes no guess.
    assert init(*words) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "zoo.toml").read_text() == text
    assert init(*words, "--force", "--strict", "--license", 'BSD "3"') == 2
    assert read_zoo(tmp_path / "zoo.toml").candidates[0].model.license == 'BSD "3"'


def test_a_link_is_named_by_its_own_name(coloured: Path, tmp_path: Path) -> None:
    """As in a cache of blobs: the further files that a model reads lie beside the link."""
    from several_files import WEIGHTS, write_external_zoo

    folder = write_external_zoo(tmp_path / "zoo")
    blobs = folder / "blobs"
    blobs.mkdir()
    model = folder / "models" / "net.onnx"
    model.rename(blobs / "0123")
    model.symlink_to(blobs / "0123")
    assert init(model, "--labels", coloured / "names.txt", "--out", folder / "zoo.toml", "--force") == 2, "4 labels"
    (folder / "names.txt").write_text("red\ngreen\nblue\n")
    assert init(model, "--labels", folder / "names.txt", "--out", folder / "zoo.toml", "--force") == 0
    text = (folder / "zoo.toml").read_text()
    assert 'file = "models/net.onnx"' in text
    (candidate,) = read_zoo(folder / "zoo.toml", require_files=True).candidates
    assert set(candidate.model.files) == {WEIGHTS}
    assert main(["zoo", "check", str(folder / "zoo.toml")]) == 0


def test_files_beneath_the_manifest_are_relative_and_others_absolute(coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "zoo" / "models").mkdir(parents=True)
    inside, outside = tmp_path / "zoo" / "models" / "net.onnx", tmp_path / "net.onnx"
    for file in (inside, outside):
        write_onnx(file, *colour_weights("0..1", "RGB", "NCHW"), [1, 3, SIDE, SIDE])
    (tmp_path / "zoo" / "link.onnx").symlink_to(outside)
    link = tmp_path / "zoo" / "link.onnx"
    manifest = tmp_path / "zoo" / "zoo.toml"
    assert init(inside, outside, link, "--labels", coloured / "names.txt", "--out", manifest) == 0
    text = manifest.read_text()
    assert 'file = "models/net.onnx"' in text
    assert f'file = "{outside}"' in text
    assert f'file = "{link}"' in text
    assert [candidate.name for candidate in read_zoo(manifest, require_files=True).candidates] == [
        "net", "net-2", "link",
    ]  # fmt: skip


def two_inputs(file: Path) -> Path:
    graph = _node("Add", ["x", "y"], "sum") + _bytes(2, "tiny")
    graph += _value(11, "x", "float32", [1, 3, 4, 4]) + _value(11, "y", "float32", [1, 3, 4, 4])
    graph += _value(12, "sum", "float32", [1, 3, 4, 4])
    file.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13)))
    return file


def test_what_is_no_candidate_is_refused_in_one_line(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, bias = colour_weights("0..1", "RGB", "NCHW")
    good, flat, deep = tmp_path / "good.onnx", tmp_path / "flat.onnx", tmp_path / "deep.onnx"
    write_onnx(good, weights, bias, [1, 3, SIDE, SIDE])
    write_onnx(flat, weights, bias, [1, len(weights)])
    write_onnx(deep, weights[:72], bias, [1, 2, SIDE, SIDE])
    (tmp_path / "noise.onnx").write_bytes(b"no network")
    (tmp_path / "notes.txt").write_text("no network")
    seven = tmp_path / "seven.txt"
    seven.write_text("".join(f"label {i}\n" for i in range(7)))
    wrong = {
        tmp_path / "noise.onnx": "cannot be opened",
        tmp_path / "notes.txt": "not a model file by its name",
        tmp_path / "none.onnx": "missing",
        two_inputs(tmp_path / "two.onnx"): "several inputs",
        flat: "not one image",
        deep: "no axis of 3 or 1 channels",
    }
    for file, states in wrong.items():
        assert init(good, file, "--labels", coloured / "names.txt", "--out", tmp_path / "zoo.toml") == 2
        captured = capsys.readouterr()
        assert states in captured.err
        assert len(captured.err.splitlines()) == 1
    assert init(good, "--labels", seven, "--out", tmp_path / "zoo.toml") == 2
    assert "4 outputs, 7 labels" in capsys.readouterr().err
    assert init(good, "--labels", coloured / "names.txt", "--offset", 2, "--out", tmp_path / "zoo.toml") == 2
    assert init(good, "--out", tmp_path / "zoo.toml") == 2
    assert "--labels" in capsys.readouterr().err
    assert init(good, "--labels", seven, "--out", tmp_path / "nowhere" / "zoo.toml") == 2
    assert not (tmp_path / "zoo.toml").exists()


def test_offset_can_be_said(tmp_path: Path) -> None:
    weights, bias = colour_weights("0..1", "RGB", "NCHW")
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, SIDE, SIDE])
    opened = inspect_model(tmp_path / "net.onnx")
    assert (label_offset(opened, 4), label_offset(opened, 3), label_offset(opened, 2, 2)) == (0, 1, 2)
    with pytest.raises(ModelError, match="4 outputs, 2 labels"):
        label_offset(opened, 2)


def test_a_free_size_must_be_said(tmp_path: Path) -> None:
    weights, bias = colour_weights("0..1", "RGB", "NCHW")
    write_onnx(tmp_path / "net.onnx", weights, bias, ["n", 3, "h", "w"])
    with pytest.raises(ModelError, match="--size"):
        inspect_model(tmp_path / "net.onnx")
    opened = inspect_model(tmp_path / "net.onnx", (SIDE, SIDE))
    assert (opened.size, opened.outputs, opened.guessed) == ((SIDE, SIDE), 4, ("size",))


def test_grey_networks(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", np.ones((16, 4), np.float32), np.arange(4, dtype=np.float32), [1, 1, 4, 4])
    opened = inspect_model(tmp_path / "net.onnx")
    assert (opened.layout, opened.depth) == ("NCHW", 1)
    tried = list(colours(opened))
    assert {one.channels for one in tried} == {"GRAY"}
    assert len({one.spec(opened) for one in tried}) == len(tried) == 16


def test_a_grey_image_without_an_axis_of_channels(coloured: Path, tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", np.ones((784, 4), np.float32), np.arange(4, dtype=np.float32), [1, 28, 28])
    opened = inspect_model(tmp_path / "net.onnx")
    assert (opened.layout, opened.depth, opened.size, opened.outputs) == ("NHW", 1, (28, 28), 4)
    assert init(tmp_path / "net.onnx", *with_data(coloured), "--out", tmp_path / "zoo.toml") == 0
    (candidate,) = read_zoo(tmp_path / "zoo.toml", require_files=True).candidates
    assert candidate.input.shape == (1, 28, 28)
    assert main(["zoo", "check", str(tmp_path / "zoo.toml")]) == 0


def test_a_batch_fixed_in_the_file_is_named(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", np.ones((48, 4), np.float32), np.zeros(4, np.float32), [8, 3, 4, 4])
    with pytest.raises(ModelError, match="the batch is fixed at 8 in the file: export it again with a batch of 1"):
        inspect_model(tmp_path / "net.onnx")


def several(file: Path, *sizes: int) -> Path:
    """A network whose outputs out0, out1, ... give so many numbers each."""
    from onnx import TensorProto, helper, save

    nodes = [helper.make_node("GlobalAveragePool", ["x"], ["mean"]), helper.make_node("Flatten", ["mean"], ["flat"])]
    outputs, constants = [], []
    for index, size in enumerate(sizes):
        constants.append(
            helper.make_tensor(f"w{index}", TensorProto.FLOAT, [3, size], [float(i % 5) for i in range(3 * size)])
        )
        nodes.append(helper.make_node("MatMul", ["flat", f"w{index}"], [f"out{index}"]))
        outputs.append(helper.make_tensor_value_info(f"out{index}", TensorProto.FLOAT, [1, size]))
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph(nodes, "g", [image], outputs, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
    return file


@pytest.mark.parametrize(
    ("sizes", "chosen"), [((1280, 4), "out1"), ((4, 1280), "out0"), ((5, 7), "out0"), ((5, 4, 9), "out1")]
)
def test_of_several_outputs_the_one_that_goes_with_the_labels_is_read(
    tmp_path: Path, sizes: tuple[int, ...], chosen: str
) -> None:
    pytest.importorskip("onnx", reason="the onnx package is not installed")
    file = several(tmp_path / "net.onnx", *sizes)
    assert inspect_model(file, n_labels=4).settings == {"output": chosen}
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    assert init(file, "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml") == 0
    (candidate,) = read_zoo(tmp_path / "zoo.toml").candidates
    assert candidate.model.settings == {"output": chosen}
    assert main(["zoo", "check", str(tmp_path / "zoo.toml")]) == 0


def test_another_output_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="the onnx package is not installed")
    file = several(tmp_path / "net.onnx", 4, 4, 9)
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    words = (file, "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml")
    assert init(*words) == 2
    said = capsys.readouterr().err
    assert "several outputs; allowed: out0 (1, 4), out1 (1, 4), out2 (1, 9); " in said
    assert "--output NAME" in said
    assert init(*words, "--output", "out3") == 2
    assert "no such output; given: out3; allowed: out0 (1, 4)" in capsys.readouterr().err
    assert init(*words, "--output", "out1") == 0
    assert read_zoo(tmp_path / "zoo.toml").candidates[0].model.settings == {"output": "out1"}


def test_conventions_as_the_manifest_writes_them(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", np.ones((48, 4), np.float32), np.arange(4, dtype=np.float32), [1, 3, 4, 4])
    opened = inspect_model(tmp_path / "net.onnx")
    spec = Convention("ImageNet mean and std", "BGR").spec(opened)
    assert (spec.mean, spec.std) == ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229))
    assert len({one.spec(opened) for one in colours(opened)}) == 14
    assert len({one.spec(opened) for one in crops(Convention("0..1", "RGB"))}) == 9


@pytest.mark.parametrize(
    ("rows", "activation"),
    [
        ([[0.25, 0.75], [1.0, 0.0]], "softmax"),
        ([[0.25, 0.95], [0.9, 0.8]], "sigmoid"),
        ([[25.0, 75.0], [100.0, 0.0]], "percent"),
        ([[-0.6931472, -0.6931472], [-0.2876821, -1.3862944]], "none"),
        ([[-0.5, 1.5]], "none"),
        ([[3.0, 8.0]], "none"),
        ([[np.nan, 1.0]], "none"),
    ],
)
def test_activation_from_outputs(rows: list[list[float]], activation: str) -> None:
    raw = [np.array([row], np.float32) for row in rows]
    assert activation_of(TensorSpec((1, 2), "float32"), raw)[0] == activation


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "activation"),
    [
        ("uint8", 1 / 256, 0, "softmax"),
        ("int8", 1 / 256, -128, "softmax"),
        ("uint8", 1 / 255, 0, "softmax"),
        ("uint8", 0.1, 60, "none"),
        ("int8", 1 / 256, 0, "none"),
    ],
)
def test_activation_from_quantisation(dtype: str, scale: float, zero_point: int, activation: str) -> None:
    assert activation_of(TensorSpec((1, 2), dtype, scale, zero_point), [])[0] == activation


def test_images_beyond_the_memory_set_aside_are_read_again(coloured: Path) -> None:
    dataset = read_dataset(coloured, coloured / "labels.csv", label_names=NAMES)
    kept, streamed = TrialImages(dataset, 50), TrialImages(dataset, 50, kept_bytes=2000)
    np.testing.assert_array_equal(kept.labels, streamed.labels)
    for (_, one), (_, other) in zip(kept.read(range(50)), streamed.read(range(50)), strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)


def test_a_race_runs_each_convention_once_per_image_and_drops_the_worse(coloured: Path, tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", *colour_weights("0..1", "RGB", "NCHW"), [1, 3, SIDE, SIDE])
    dataset = read_dataset(coloured, coloured / "labels.csv", label_names=NAMES)
    trial = Trial(inspect_model(tmp_path / "net.onnx"), "softmax", label_mappings(4, 4), TrialImages(dataset, 160))
    alive = race(trial, colours(trial.inspected), "colours")
    assert (alive[0].values, alive[0].channels) == ("0..1", "RGB")
    assert trial.runs < 7 * 160
    assert trial.runs == sum(int(trial.ran(one).sum()) for one in trial.tried())
    before = trial.runs
    race(trial, alive, "again")
    assert trial.runs == before


def test_labels_from_folders(tmp_path: Path) -> None:
    for name in ("zebra", "ant", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._a.png").write_bytes(b"x")
    assert folder_labels(tmp_path) == ("ant", "zebra")
    with pytest.raises(DatasetError, match="--labels"):
        folder_labels(tmp_path / "ant")


def test_folders_of_splits_are_no_labels(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / name / "ant").mkdir(parents=True)
        (tmp_path / name / "ant" / "a.png").write_bytes(b"x")
    with pytest.raises(DatasetError, match="the folders are splits and no labels; given: train, val"):
        folder_labels(tmp_path)


def test_a_manifest_with_its_own_labels(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", *colour_weights("0..1", "RGB", "NCHW"), [1, 3, SIDE, SIDE])
    names = ('a "quoted"', "tab\there", "ünïcode", "del\x7f")
    drafts: list[Draft] = list(draft_models([tmp_path / "net.onnx"], len(names)))
    write_manifest(tmp_path / "zoo.toml", "own", names, drafts, force=False)
    assert read_zoo(tmp_path / "zoo.toml").labels == names
    with pytest.raises(OptionError, match="--force"):
        write_manifest(tmp_path / "zoo.toml", "own", names, drafts, force=False)


def test_names() -> None:
    assert safe_name("mobilenet v2 (1.0)") == "mobilenet_v2_1.0_"
    assert safe_name("a", ["a", "a-2"]) == "a-3"
    assert safe_name("___") == "model"
    assert toml([1, 0.5, "x"]) == '[1, 0.5, "x"]'
    with pytest.raises(ModelError, match=r"allowed: .*\.onnx"):
        runtime_of(Path("a.pt"))


@pytest.mark.parametrize(
    ("file", "truth", "accuracy", "limit"),
    [
        ("squeezenet1_1.onnx", "squeezenet_11_224", 0.667, 40),
        ("mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v1_025_128", 0.553, 150),
    ],
)
def test_real_models_get_their_own_preprocessing_back(
    imagenet: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    truth: str,
    accuracy: float,
    limit: int,
) -> None:
    """The convention of the published manifest is found, or one that these images cannot tell from it."""
    pytest.importorskip("ai_edge_litert" if file.endswith(".tflite") else "onnxruntime")
    words: list[Any] = ["--labels", imagenet / "synset_words.txt", "--data", imagenet, "--data-labels"]
    words += [imagenet / "labels.csv", "--limit", limit, "--out", tmp_path / "zoo.toml", "--json"]
    assert init(imagenet / "models" / file, *words) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    low, high = model["accuracy_ci"]
    assert low <= accuracy <= high
    (found,) = read_zoo(tmp_path / "zoo.toml").candidates
    published = read_zoo(imagenet / "zoo.toml").candidate(truth)
    for name in ("size", "layout", "dtype", "channels"):
        assert getattr(found.input, name) == getattr(published.input, name)
    colour = model["decisions"][0]
    possible = [colour["chosen"], *(other["name"] for other in colour["others"] if other["behind_ci"][0] <= 0)]
    assert ("RGB, ImageNet mean and std" if published.input.mean else "RGB, pixels as they are") in possible
    if limit > 100:  # fewer images cannot rule it out for every network
        assert not any(name.startswith("BGR") for name in possible)
    assert found.model.label_offset == published.model.label_offset
    assert found.model.activation == published.model.activation
    assert found.model.sha256 == published.model.sha256
    dataset = read_dataset(imagenet, imagenet / "labels.csv", label_names=read_zoo(imagenet / "zoo.toml").labels)
    images = TrialImages(dataset, limit)
    right = [
        [opened.predict(image).labels[0] == images.labels[i] for i, image in images.read(range(len(images)))]
        for opened in open_candidates([found, published])
    ]
    difference = np.subtract(*np.array(right, float))
    assert paired_bootstrap(difference)[1] >= 0, "clearly less accurate than with the published preprocessing"


def test_a_backend_from_outside_is_found_by_its_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "toy", "toys:ToyBackend")
    monkeypatch.setattr(ToyBackend, "suffixes", (".toy", ".onnx"))
    assert runtime_of(Path("model.TOY")) == "toy"
    assert runtime_of(Path("model.onnx")) == "onnx", "the first registered keeps its suffix"
    with pytest.raises(ModelError, match=r"model\.net: not a model file by its name; allowed: \.onnx, .*\.toy$"):
        runtime_of(Path("model.net"))
