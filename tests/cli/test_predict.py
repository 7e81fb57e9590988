"""`premodel predict`: JSON, lines for people, mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_bundle(tmp_path_factory.mktemp("made"), MAKERS["select, the paper's chain"])


def predict(*words: object) -> int:
    return main(["predict", *(str(word) for word in words)])


def test_json_as_the_design_says(made: Made, capsys: Any) -> None:
    images = made.small.images[:3]
    assert predict(made.path, *images, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["answers"]
    assert [answer["path"] for answer in report["answers"]] == [str(image) for image in images]
    for answer in report["answers"]:
        assert list(answer) == [
            "path",
            "label",
            "class",
            "probabilities",
            "candidate",
            "ran",
            "abstained",
            "latency_ms",
        ]
        assert list(answer["latency_ms"]) == ["decode", "features", "select", "predict", "total"]
        assert list(answer["probabilities"][0]) == ["label", "class", "p"]
        assert answer["ran"] == [answer["candidate"]]
        assert answer["abstained"] is False


def test_lines_for_people(made: Made, capsys: Any) -> None:
    assert predict(made.path, made.small.images[0], "--explain") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{made.small.images[0]}: label ")
    assert lines[1].startswith("  run m")
    assert "scores: m0 " in lines[1]
    assert lines[2].startswith("  stop: ")
    assert lines[-1].startswith("  decode ")


def test_explained_lines_say_how_sure_it_is_where_that_was_learned(tmp_path: Path, capsys: Any) -> None:
    made = make_bundle(tmp_path, MAKERS["cascade-routing"])
    assert predict(made.path, made.small.images[0], "--explain") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "confidence" in line]
    assert predict(made.path, made.small.images[0], "--explain", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert line.split()[0] == f"{100 * answer['confidence']:.1f}"


def test_the_first_call_is_marked_as_cold_and_later_ones_are_not(made: Made, capsys: Any) -> None:
    image = made.small.images[0]
    assert predict(made.path, image, image, "--explain") == 0
    cold, warm = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  decode ")]
    assert "a cold call: it opened m" in cold
    assert "cold" not in warm
    assert predict(made.path, image, image) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "; opening m" in first
    assert "opening" not in second
    assert predict(made.path, image, image, "--explain", "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["answers"]
    assert (first["opened"], second["opened"]) == (first["ran"], [])


def test_labels_that_would_read_zero_are_left_out(made: Made, capsys: Any) -> None:
    assert predict(made.path, *made.small.images, "--explain") == 0
    lines = capsys.readouterr().out.splitlines()
    labels = [
        line for line in lines if line.strip().split("%")[0].strip().replace(".", "").isdecimal() and " %" in line
    ]
    assert labels
    assert not [line for line in labels if line.startswith("    0.0 %")]


def test_explain_in_json(made: Made, capsys: Any) -> None:
    assert predict(made.path, made.small.images[0], "--explain", "--json", "--cost-weight", "0.1") == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["steps"][0]["run"] == answer["candidate"]
    assert set(answer["steps"][0]["scores"]) == {"m0", "m1"}
    assert answer["steps"][-1]["stop"] == "answer"


def test_one_unreadable_image_does_not_stop_the_others(made: Made, tmp_path: Path, capsys: Any) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    assert predict(made.path, made.small.images[0], bad, made.small.images[1], "--json") == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert len(report["answers"]) == 2
    assert [entry["path"] for entry in report["unreadable"]] == [str(bad)]
    assert printed.err.splitlines() == [f"premodel predict: {report['unreadable'][0]['reason']}"]
    assert str(bad) in printed.err


def test_nothing_readable_is_exit_code_2(made: Made, tmp_path: Path, capsys: Any) -> None:
    assert predict(made.path, tmp_path / "absent.jpg", tmp_path, "--json") == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["answers"] == []
    assert len(printed.err.splitlines()) == 2


def test_an_image_on_which_all_candidates_fail(made: Made, tmp_path: Path, capsys: Any) -> None:
    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), np.full((9, 9, 3), 77, np.uint8))  # no answer is recorded for it
    assert predict(made.path, stranger, made.small.images[0], "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["answers"]) == 1
    assert "no candidate could answer" in report["failed"][0]["reason"]
    assert predict(made.path, stranger) == 1


def test_an_abstention_is_said(tmp_path: Path, capsys: Any) -> None:
    made = make_bundle(tmp_path, MAKERS["select, abstaining"])
    assert predict(made.path, *made.small.images, "--json") == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    abstained = [answer for answer in answers if answer["abstained"]]
    assert abstained
    assert all(answer["label"] is None and answer["candidate"] is None for answer in abstained)
    assert predict(made.path, abstained[0]["path"]) == 0
    assert "no answer (nothing ran" in capsys.readouterr().out


def test_a_missing_model_is_named_and_passed_over(tmp_path: Path, capsys: Any) -> None:
    made = make_bundle(tmp_path, MAKERS["single"])
    (made.small.zoo.parent / "models" / f"{made.policy.candidates[0]}.npz").unlink()
    assert predict(made.path, made.small.images[0]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("m0 is left out: ") == 1
    assert "  m0 is left out, as stated on stderr" in printed.out.splitlines()
    assert "model file" not in printed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-latency-ms", "0.1"], "no candidate can answer within max_latency_ms; given: 0.1 ms; allowed: "),
        (["--max-latency-ms", "-1"], "wrong max_latency_ms"),
        (["--threads", "0"], "wrong number of threads"),
        (["--zoo", "/nowhere"], "zoo must exist"),
        (["--memory-budget-mb", "0"], "wrong memory budget"),
        (["--memory-budget-mb", "0.0001"], "candidate m0 is larger than the whole memory budget"),
    ],
)
def test_mistakes_are_one_line(made: Made, capsys: Any, words: list[str], message: str) -> None:
    assert predict(made.path, made.small.images[0], *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("premodel predict: ")
    assert message in line


def test_a_damaged_bundle_is_one_line(made: Made, tmp_path: Path, capsys: Any) -> None:
    content = bytearray(made.path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.premodel"
    damaged.write_bytes(content)
    assert predict(damaged, made.small.images[0]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"premodel predict: {damaged}: damaged bundle")
