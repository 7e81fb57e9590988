"""Which output is which label, and values beyond the usual: on networks that name the nearest of some colours."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from colour_networks import COLOURS, checked_accuracy, close_colours, nearest, run_init, write_data
from premodel.errors import ModelError
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.init.conventions import GREY_VALUES, INVERTED, mean_and_std
from premodel.zoo_tools.init.inspect import inspect_model
from premodel.zoo_tools.init.labels import NO_LABEL, label_mappings, matching, natural_key, orders_of
from premodel.zoo_tools.init.notes import read_notes
from tiny_models import _bytes, write_onnx


def add_metadata(file: Path, **entries: str) -> None:
    """As an exporter appends its notes to an `.onnx` file."""
    more = b"".join(_bytes(14, _bytes(1, key) + _bytes(2, value)) for key, value in entries.items())
    file.write_bytes(file.read_bytes() + more)


class TestSurplusOutputs:
    @pytest.mark.parametrize("gap", [1, 4, 6])
    def test_a_class_without_a_folder_gets_a_placeholder(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], gap: int
    ) -> None:
        names = [f"class {letter}" for letter in "abcdefgh"]
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:8]), [1, 3, 8, 8], pooled=True, softmax=False)
        kept = [i for i in range(8) if i != gap]
        data = write_data(tmp_path / "data", [names[i] for i in kept], COLOURS[kept])
        words = [tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml"]
        _, answer, text = run_init(capsys, *words)
        assert answer["models"][0]["accuracy"] == 1.0
        assert f"warning: output {gap} is a class without a folder" in text
        labels = read_zoo(tmp_path / "zoo.toml").labels
        assert (len(labels), labels[:gap], labels[gap + 1 :]) == (8, tuple(names[:gap]), tuple(names[gap + 1 :]))
        assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0

    def test_a_folder_without_images_is_a_class_where_the_outputs_say_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = list("abcdef")
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:6]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", names, COLOURS[:6], missing=("c",))
        (data / "__MACOSX").mkdir()
        _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
        assert answer["models"][0]["accuracy"] == 1.0
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)

    @pytest.mark.parametrize("first", [True, False])
    def test_a_background_class_is_first_or_last(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], first: bool
    ) -> None:
        names = list("abcdef")
        weights, bias = nearest(COLOURS[:6])
        at = 0 if first else 6
        weights, bias = np.insert(weights, at, 0, axis=1), np.insert(bias, at, -99)
        write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", names, COLOURS[:6])
        (tmp_path / "names.txt").write_text("\n".join(names))
        words = [tmp_path / "net.onnx", "--data", data, "--labels", tmp_path / "names.txt"]
        _, answer, _ = run_init(capsys, *words, "--out", tmp_path / "zoo.toml")
        (model,) = answer["models"]
        assert (model["label_offset"], model["dropped_last"]) == ((1, 0) if first else (0, 1))
        assert model["outputs_and_labels"]["clear"]
        assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0

    def test_without_images_it_is_listed_as_guessed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:6]), [1, 3, 8, 8], pooled=True)
        (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
        words = [tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml"]
        _, _, text = run_init(capsys, *words)
        assert "guessed, not measured: label_offset 1" in text


class TestOrders:
    @pytest.mark.parametrize(
        "names",
        [
            [f"c{i}" for i in range(12)],
            [str(i) for i in range(12)],
            [str(i) for i in range(1, 13)],
            ["apple", "Banana", "cherry", "Date", "elder", "Fig"],
        ],
        ids=["natural", "numbers", "numbers from 1", "case"],
    )
    def test_folders_are_in_the_order_that_the_network_was_trained_with(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str]
    ) -> None:
        colours = COLOURS[: len(names)]
        write_onnx(tmp_path / "net.onnx", *nearest(colours), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", names, colours)
        run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)
        assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0

    def test_numbers_in_textual_order_are_found_and_every_command_reads_them(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As torchvision's ImageFolder sorts folders that are called 0, 1, 10, 11, 2, ..."""
        names = sorted(str(i) for i in range(12))
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:12]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", names, COLOURS[:12])
        _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)
        assert answer["models"][0]["outputs_and_labels"]["chosen"] == "the labels in textual order"
        assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0

    def test_words_for_folders_of_numbers_that_the_network_sorted_as_texts(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The list is in the order of the numbers, the network in that of the folders' names."""
        listed = sorted(range(12), key=str)
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:12][listed]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", [str(i) for i in range(12)], COLOURS[:12])
        (tmp_path / "names.txt").write_text("\n".join("zyxwvutsrqpo"))
        words = [tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--data", data]
        _, answer, text = run_init(capsys, *words, "--out", tmp_path / "zoo.toml")
        assert not answer["clear"]
        assert "the textual order of their numbers (0, 1, 10, 11, ...) it would be 100.0 %" in text

    def test_two_names_that_are_swapped_are_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        names = list("qbxadcfe")
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:8]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", names, COLOURS[:8])
        (tmp_path / "names.txt").write_text("\n".join("qbxdacfe"))
        words = [tmp_path / "net.onnx", "--data", data, "--labels", tmp_path / "names.txt"]
        _, answer, text = run_init(capsys, *words, "--out", tmp_path / "zoo.toml")
        assert not answer["clear"]
        assert "accuracy 75.0 % on 80 images; it would be 100.0 % with other names" in text
        assert "'d' as 'a' (10 of 10), 'a' as 'd' (10 of 10)" in text

    def test_names_in_the_file_come_before_the_order_of_folders(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = ["zebra", "ant", "Mule", "bee", "yak"]
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:5]), [1, 3, 8, 8], pooled=True)
        add_metadata(tmp_path / "net.onnx", names=str(dict(enumerate(name.lower() for name in names))))
        # One of the classes has no folder at all: the file holds its name.
        data = write_data(tmp_path / "data", names[:4], COLOURS[:4])
        run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)
        assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0

    def test_names_in_the_file_are_taken_without_a_list_or_images(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:3]), [1, 3, 8, 8], pooled=True)
        add_metadata(tmp_path / "net.onnx", names="{0: 'x', 1: 'y', 2: 'z'}")
        code, _, _ = run_init(capsys, tmp_path / "net.onnx", "--out", tmp_path / "zoo.toml")
        assert (code, read_zoo(tmp_path / "zoo.toml").labels) == (0, ("x", "y", "z"))

    def test_a_list_in_another_order_is_named_and_kept(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = ["delta", "alpha", "charlie", "bravo", "echo", "golf", "foxtrot"]
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:7]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", sorted(names), COLOURS[:7])
        (tmp_path / "names.txt").write_text("\n".join(names))
        words = [tmp_path / "net.onnx", "--data", data, "--labels", tmp_path / "names.txt"]
        _, answer, text = run_init(capsys, *words, "--out", tmp_path / "zoo.toml")
        assert "with the labels in textual order it would be 100.0 %" in text
        assert "clearly" not in text
        assert not answer["clear"]
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)

    @pytest.mark.parametrize("shift", [-1, 1])
    def test_labels_that_are_off_by_one_are_named_with_the_right_preprocessing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], shift: int
    ) -> None:
        names = list("abcdefgh")
        places = range(8)[:-1] if shift > 0 else range(8)[1:]
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:8]), [1, 3, 8, 8], pooled=True, softmax=False)
        data = write_data(tmp_path / "data", [names[i + shift] for i in places], COLOURS[list(places)])
        (tmp_path / "names.txt").write_text("\n".join(names))
        words = [tmp_path / "net.onnx", "--data", data, "--labels", tmp_path / "names.txt"]
        _, answer, text = run_init(capsys, *words, "--out", tmp_path / "zoo.toml")
        assert f"with every answer {shift:+d} it would be 100.0 %" in text
        assert answer["models"][0]["decisions"][0]["chosen"] == "RGB, ImageNet mean and std"

    def test_two_models_in_different_orders_are_told_apart(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [f"c{i}" for i in range(12)]
        data = write_data(tmp_path / "data", names, COLOURS[:12])
        textual = [names.index(name) for name in sorted(names)]
        for file, colours in (("a.onnx", COLOURS[:12]), ("b.onnx", COLOURS[:12]), ("c.onnx", COLOURS[textual])):
            write_onnx(tmp_path / file, *nearest(colours), [1, 3, 8, 8], pooled=True, softmax=False)
        files = [tmp_path / file for file in ("c.onnx", "a.onnx", "b.onnx")]
        _, answer, _ = run_init(capsys, *files, "--data", data, "--out", tmp_path / "zoo.toml")
        assert read_zoo(tmp_path / "zoo.toml").labels == tuple(names)
        warned = {
            model["name"]: any("another order" in text for text in model["warnings"]) for model in answer["models"]
        }
        assert warned == {"a": False, "b": False, "c": True}


def test_one_output_answers_for_two_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, bias = nearest(COLOURS[:2])
    data = write_data(tmp_path / "data", ["no", "yes"], COLOURS[:2], 30)
    one = (weights[:, 1:] - weights[:, :1], bias[1:] - bias[:1])
    write_onnx(tmp_path / "net.onnx", *one, [1, 3, 8, 8], pooled=True, softmax=False)
    code, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    assert (code, answer["models"][0]["accuracy"]) == (0, 1.0)
    assert checked_accuracy(tmp_path / "zoo.toml", data) == 1.0
    other = (-one[0], -one[1])
    write_onnx(tmp_path / "other.onnx", *other, [1, 3, 8, 8], pooled=True, softmax=False)
    run_init(capsys, tmp_path / "other.onnx", "--data", data, "--out", tmp_path / "other.toml")
    assert read_zoo(tmp_path / "other.toml").labels == ("yes", "no")
    assert checked_accuracy(tmp_path / "other.toml", data) == 1.0


def test_one_output_for_three_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:1]), [1, 3, 8, 8], pooled=True, softmax=False)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    words = [tmp_path / "net.onnx", "--labels", tmp_path / "names.txt", "--out", tmp_path / "zoo.toml"]
    code, answer, _ = run_init(capsys, *words)
    assert code == 2
    assert "1 outputs, 3 labels" in answer["error"]


@pytest.mark.parametrize("values", [*GREY_VALUES, "0..1" + INVERTED, "MNIST mean and std" + INVERTED])
def test_grey_values_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], values: str) -> None:
    levels = np.linspace(0.05, 0.95, 10)[:, None]
    mean, std = (numbers or (default,) for numbers, default in zip(mean_and_std(values, "GRAY"), (0, 1), strict=True))
    data = write_data(tmp_path / "data", list("abcdefghij"), levels)
    weights, bias = nearest(levels, mean, std, 200)
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 1, 8, 8], pooled=True, softmax=False)
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    assert answer["models"][0]["accuracy"] >= 0.97
    assert answer["models"][0]["decisions"][0]["chosen"] == f"GRAY, {values}"
    assert checked_accuracy(tmp_path / "zoo.toml", data) >= 0.97


def test_a_scale_and_a_shift_that_no_convention_has_are_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colours = close_colours()
    data = write_data(tmp_path / "data", list("abcdefghij"), colours, 16)
    weights, bias = nearest(colours, 0.31, 0.67, 400)
    write_onnx(tmp_path / "net.onnx", weights, bias, [1, 3, 8, 8], pooled=True, softmax=False)
    _, answer, _ = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    assert answer["models"][0]["accuracy"] > 0.9


def test_accuracy_far_below_the_confidence_is_never_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images of five bear a wrong label: the network is surer than it is right, and no preprocessing helps."""
    names = list("abcdefgh")
    data = write_data(tmp_path / "data", names, COLOURS[:8])
    for place, name in enumerate(names):
        for number in range(4):
            wrong = data / names[(place + 3) % 8] / f"{name}{number}.png"
            (data / name / f"{number}.png").rename(wrong)
    write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:8], sharpness=200), [1, 3, 8, 8], pooled=True)
    words = [tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml"]
    _, answer, text = run_init(capsys, *words)
    assert 0.5 < answer["models"][0]["accuracy"] < 0.7 < answer["models"][0]["confidence"]
    assert "far below the confidence" in text
    assert "clearly" not in text
    assert not answer["clear"]


def test_one_answer_to_everything_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["red", "green", "blue", "yellow"]
    data = write_data(tmp_path / "data", names, COLOURS[:4], 15)
    bias = np.array([0, 0, 5, 0], np.float32)
    write_onnx(tmp_path / "net.onnx", np.zeros((3, 4), np.float32), bias, [1, 3, 8, 8], pooled=True)
    _, answer, text = run_init(capsys, tmp_path / "net.onnx", "--data", data, "--out", tmp_path / "zoo.toml")
    assert "answers only one label, 'red', on all 60 images" in text
    assert not answer["clear"]


class TestNotes:
    def test_size_and_task_of_the_exporter(self, tmp_path: Path) -> None:
        file = tmp_path / "net.onnx"
        write_onnx(file, *nearest(COLOURS[:3]), [1, 3, "height", "width"], pooled=True)
        with pytest.raises(ModelError, match="--size"):
            inspect_model(file)
        add_metadata(file, imgsz="[96, 128]", task="classify")
        assert (inspect_model(file).size, inspect_model(file, (8, 8)).size) == ((96, 128), (8, 8))
        add_metadata(file, task="detect")
        with pytest.raises(ModelError, match="another task"):
            inspect_model(file)

    @pytest.mark.parametrize(
        "text", ["{0: 'cat', 1: 'dog'}", '{"0": "cat", "1": "dog"}', "['cat', 'dog']", '["cat", "dog"]', "cat, dog"]
    )
    def test_names_in_the_spellings_of_exporters(self, tmp_path: Path, text: str) -> None:
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:2]), [1, 3, 8, 8], pooled=True)
        add_metadata(tmp_path / "net.onnx", names=text)
        assert read_notes(tmp_path / "net.onnx").names == ("cat", "dog")

    @pytest.mark.parametrize("text", ["", "cat", "{1: 'cat', 2: 'dog'}", "{'a': 'cat', 'b': 'dog'}", "[[[", "7"])
    def test_what_is_no_list_of_names_is_none(self, tmp_path: Path, text: str) -> None:
        write_onnx(tmp_path / "net.onnx", *nearest(COLOURS[:2]), [1, 3, 8, 8], pooled=True)
        add_metadata(tmp_path / "net.onnx", names=text)
        assert read_notes(tmp_path / "net.onnx").names == ()

    def test_the_label_file_inside_a_tflite(self, tmp_path: Path) -> None:
        file = tmp_path / "net.tflite"
        file.write_bytes(b"TFL3 and so on" * 9)
        assert read_notes(file).names == ()
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("readme.txt", "one line")
            archive.writestr("labels.txt", "cat\ndog\nhen\n")
        assert read_notes(file).names == ("cat", "dog", "hen")

    def test_names_in_a_configuration_beside_the_model(self, tmp_path: Path) -> None:
        write_onnx(tmp_path / "model.onnx", *nearest(COLOURS[:2]), [1, 3, 8, 8], pooled=True)
        (tmp_path / "config.json").write_text(json.dumps({"id2label": {"1": "dog", "0": "cat"}}))
        assert read_notes(tmp_path / "model.onnx").names == ("cat", "dog")


class TestMappings:
    def test_as_many_outputs_as_labels(self) -> None:
        usual, back, on = label_mappings(3, 3)
        assert (usual.outputs, usual.offset, usual.last) == ((0, 1, 2), 0, 0)
        assert (back.outputs, on.outputs) == ((1, 2, NO_LABEL), (NO_LABEL, 0, 1))

    def test_one_output_more(self) -> None:
        found = label_mappings(4, 3, gaps=True)
        assert [one.outputs for one in found] == [(1, 2, 3), (0, 1, 2), (0, 2, 3), (0, 1, 3)]
        assert [(one.offset, one.last, one.gap) for one in found] == [(1, 0, None), (0, 1, None), (0, 0, 1), (0, 0, 2)]

    def test_a_given_offset_leaves_no_choice_of_the_surplus(self) -> None:
        assert {(one.offset, one.last) for one in label_mappings(5, 3, 2)} == {(2, 0)}

    def test_orders_are_listed_once_and_without_the_lists_own(self) -> None:
        assert orders_of(["a", "b", "c"]) == []
        (order,) = orders_of(["b", "c", "a"])
        assert order.sorted(["b", "c", "a"]) == ("a", "b", "c")
        found = [one.name for one in orders_of(["b", "C", "a10", "a9"])]
        assert found == ["textual order", "natural order", "order without case", "natural order without case"]

    def test_names_match_labels_whatever_case_and_underscores(self) -> None:
        assert matching(["Great_Dane", "pug", "cat"], ["great dane", "cat"]) == ("great dane", "pug", "cat")
        assert matching(["pug"], ["cat"]) is None
        assert matching(["cat", "Cat"], ["cat", "dog"]) is None

    def test_numbers_count_as_numbers(self) -> None:
        assert sorted(["c10", "c9", "b", "10", "9"], key=natural_key) == ["9", "10", "b", "c9", "c10"]
