"""Preprocessing that an exporter states: read, proposed where there are no images, and raced where there are."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colour_networks import COLOURS, checked_accuracy, close_colours, nearest, run_init, write_data
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.init.notes import read_notes
from premodel.zoo_tools.init.stated import Stated, read_stated
from tiny_models import write_onnx

ODD = ((0.61, 0.37, 0.29), (0.17, 0.33, 0.21))
"""Mean and std that no convention has."""


def write_config(folder: Path, name: str = "preprocessor_config.json", **entries: Any) -> Path:
    """A configuration beside a model, and the model's place."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(entries))
    return folder / "net.onnx"


def stated(file: Path) -> Stated:
    found = read_stated(file)
    assert found is not None
    return found


def test_the_usual_processor_of_a_vision_transformer(tmp_path: Path) -> None:
    file = write_config(
        tmp_path, do_resize=True, size={"height": 224, "width": 192}, resample=2, do_rescale=True,
        rescale_factor=1 / 255, do_normalize=True, image_mean=[0.5, 0.4, 0.3], image_std=[0.5, 0.6, 0.7],
    )  # fmt: skip
    found = stated(file)
    assert (found.mean, found.std) == (pytest.approx((0.5, 0.4, 0.3)), pytest.approx((0.5, 0.6, 0.7)))
    assert (found.resize, found.crop_fraction, found.size) == ("squash", 1.0, (224, 192))
    assert (found.channels, found.interpolation) == ("RGB", "bilinear-antialias")


def test_a_central_crop_of_the_shorter_side(tmp_path: Path) -> None:
    file = write_config(
        tmp_path, size={"shortest_edge": 256}, do_center_crop=True, crop_size={"height": 224, "width": 224}, resample=3,
        image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip
    found = stated(file)
    assert (found.resize, found.crop_fraction, found.size) == ("center-crop", 0.875, (224, 224))
    assert found.interpolation == "bicubic-antialias"


@pytest.mark.parametrize(
    ("entries", "resize", "fraction"),
    [
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, "center-crop", 0.875),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, "squash", 1.0),
        (
            {"size": {"shortest_edge": 224}, "image_processor_type": "LevitImageProcessor"},
            "center-crop",
            pytest.approx(0.875),
        ),
        ({"size": 224}, "squash", 1.0),
        ({"size": 256, "crop_size": 224, "do_center_crop": True}, "center-crop", 0.875),
        ({}, None, 1.0),
    ],
    ids=["crop_pct", "crop_pct of a large input", "levit", "one side", "one side and a crop", "nothing"],
)
def test_crops_in_the_spellings_of_processors(
    tmp_path: Path, entries: dict[str, Any], resize: str | None, fraction: float
) -> None:
    found = stated(write_config(tmp_path, image_mean=[0.5] * 3, image_std=[0.5] * 3, **entries))
    assert (found.resize, found.crop_fraction) == (resize, fraction)


def test_values_that_are_only_rescaled(tmp_path: Path) -> None:
    assert stated(write_config(tmp_path / "a", do_rescale=True, do_normalize=False)).std == (1.0,)
    assert stated(write_config(tmp_path / "b", do_rescale=False, do_normalize=False)).std == pytest.approx((1 / 255,))
    offset = stated(write_config(tmp_path / "c", rescale_factor=1 / 127.5, rescale_offset=True, do_normalize=False))
    assert (offset.mean, offset.std) == (pytest.approx((0.5,)), pytest.approx((0.5,)))
    flipped = stated(write_config(tmp_path / "d", do_rescale=True, do_normalize=False, do_flip_channel_order=True))
    assert flipped.channels == "BGR"


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"image_mean": "0.5", "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0},
        {"image_mean": [0.5] * 3, "image_std": [0.5, 0.0, 0.5]},
        {"image_mean": [1e9] * 3, "image_std": [1] * 3},
    ],
)
def test_what_states_no_usable_numbers_is_passed_over(tmp_path: Path, entries: dict[str, Any]) -> None:
    assert read_stated(write_config(tmp_path, **entries)) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 100_000, "\xff"])
def test_a_damaged_configuration_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text, encoding="latin-1")
    assert read_stated(tmp_path / "net.onnx") is None


def test_a_configuration_above_the_folder_of_the_network(tmp_path: Path) -> None:
    write_config(tmp_path, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6])
    assert stated(tmp_path / "onnx" / "model.onnx").mean == pytest.approx((0.1, 0.2, 0.3))
    assert read_stated(tmp_path / "other" / "model.onnx") is None


def test_the_configuration_of_timm(tmp_path: Path) -> None:
    inner = {
        "input_size": [3, 288, 288], "crop_pct": 0.95, "crop_mode": "center", "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    file = write_config(tmp_path, "config.json", pretrained_cfg=inner, label_names=["ant", "bee"])
    found = stated(file)
    assert (found.resize, found.crop_fraction, found.size) == ("center-crop", 0.95, (288, 288))
    assert found.interpolation == "bicubic-antialias"
    assert read_notes(file).names == ("ant", "bee")


def test_the_model_info_of_openvino(tmp_path: Path) -> None:
    info = (
        '<labels value="ant bee wild&amp;cat" /><mean_values value="127.5 51 0" /><scale_values value="255 51 102" />'
    )
    (tmp_path / "net.xml").write_text(f"<net><rt_info><model_info>{info}</model_info></rt_info></net>")
    found = stated(tmp_path / "net.xml")
    assert (found.mean, found.std) == (pytest.approx((0.5, 0.2, 0.0)), pytest.approx((1.0, 0.2, 0.4)))
    assert read_notes(tmp_path / "net.xml").names == ("ant", "bee", "wild&cat")


def with_metadata(mean: list[float], std: list[float]) -> bytes:
    """A `.tflite` file of nothing but metadata, as the flatbuffers library writes it."""
    flatbuffers = pytest.importorskip("flatbuffers")

    def vector(builder: Any, offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    def record(builder: Any, n: int, **offsets: int) -> int:
        builder.StartObject(n)
        for name, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
        return int(builder.EndObject())

    inner = flatbuffers.Builder(0)
    numbers = [inner.CreateNumpyVector(np.array(values, np.float32)) for values in (mean, std)]
    options = record(inner, 2, _0=numbers[0], _1=numbers[1])
    inner.StartObject(2)
    inner.PrependUint8Slot(0, 1, 0)
    inner.PrependUOffsetTRelativeSlot(1, options, 0)
    unit = int(inner.EndObject())
    tensor = record(inner, 7, _4=vector(inner, [unit]))
    graph = record(inner, 5, _2=vector(inner, [tensor]))
    inner.Finish(record(inner, 8, _3=vector(inner, [graph])), b"M001")
    outer = flatbuffers.Builder(0)
    content = outer.CreateByteVector(bytes(inner.Output()))
    buffers = vector(outer, [record(outer, 1), record(outer, 1, _0=content)])
    name = outer.CreateString("TFLITE_METADATA")
    outer.StartObject(2)
    outer.PrependUOffsetTRelativeSlot(0, name, 0)
    outer.PrependUint32Slot(1, 1, 0)
    entry = int(outer.EndObject())
    outer.Finish(record(outer, 8, _4=buffers, _6=vector(outer, [entry])), b"TFL3")
    return bytes(outer.Output())


def test_the_normalisation_in_the_metadata_of_a_tflite(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(with_metadata([127.5], [51.0]))
    found = stated(tmp_path / "net.tflite")
    assert (found.mean, found.std) == (pytest.approx((0.5,)), pytest.approx((0.2,)))


def test_any_damage_to_a_tflite_leaves_no_normalisation_or_an_error(tmp_path: Path) -> None:
    whole = with_metadata([127.5], [51.0])
    for cut in range(0, len(whole), 7):
        (tmp_path / "net.tflite").write_bytes(whole[:cut])
        assert read_stated(tmp_path / "net.tflite") is None
    for place in range(0, len(whole) - 4, 5):
        (tmp_path / "net.tflite").write_bytes(whole[:place] + struct.pack("<I", 0xFFFFFFF0) + whole[place + 4 :])
        read_stated(tmp_path / "net.tflite")


def test_without_images_what_is_stated_is_written_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:4]), [1, 3, 8, 8], pooled=True)
    write_config(tmp_path, image_mean=ODD[0], image_std=ODD[1], resample=3, size={"height": 8, "width": 8})
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    words = [tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml"]
    _, _, text = run_init(capsys, *words)
    spec: Any = read_zoo(tmp_path / "zoo.toml").candidates[0].input
    assert (spec.mean, spec.std, spec.resize, spec.interpolation) == (*ODD, "squash", "bicubic-antialias")
    assert "stated by preprocessor_config.json, not measured: channels, resize, crop_fraction, interpolation" in text


def test_a_configuration_for_another_size_is_not_this_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:4]), [1, 3, 8, 8], pooled=True)
    write_config(tmp_path, image_mean=ODD[0], image_std=ODD[1], size={"height": 224, "width": 224})
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    words = [tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml"]
    _, _, text = run_init(capsys, *words)
    spec: Any = read_zoo(tmp_path / "zoo.toml").candidates[0].input
    assert spec.mean == pytest.approx((0.485, 0.456, 0.406))
    assert "guessed, not measured: channels, resize, crop_fraction, interpolation, mean, std" in text


def test_what_is_stated_is_taken_where_images_bear_it_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    colours = close_colours()
    data = write_data(tmp_path / "data", list("abcdefghij"), colours, 10)
    write_onnx(tmp_path / "net.onnx", *nearest(colours, *ODD, 400), [1, 3, 8, 8], pooled=True, softmax=False)
    write_config(tmp_path, image_mean=ODD[0], image_std=ODD[1])
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    (model,) = answer["models"]
    assert model["decisions"][0]["chosen"] == "RGB, as stated by preprocessor_config.json"
    assert model["input"]["mean"] == list(ODD[0])
    assert checked_accuracy(tmp_path / "zoo.toml", data) > 0.9


def test_what_is_stated_is_dropped_where_images_speak_against_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data", list("abcdefghij"), COLOURS[:10], 10)
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:10]), [1, 3, 8, 8], pooled=True, softmax=False)
    write_config(tmp_path, image_mean=ODD[0], image_std=[3.0, 5.0, 4.0], do_flip_channel_order=True)
    _, answer, text = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    assert answer["models"][0]["decisions"][0]["chosen"] == "RGB, ImageNet mean and std"
    assert "preprocessor_config.json states BGR, as stated by preprocessor_config.json: tried, and not" in text
    assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0
