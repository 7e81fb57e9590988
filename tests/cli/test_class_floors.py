"""`--min-recall` and `--min-precision` at the command line: of `train` and of `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main


def test_train_refuses_what_it_cannot_know_in_one_line(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "edge.premodel"
    words = ["train", str(profiled.store), "--policy", "single", "--out", str(out), "--min-recall", "label 3=0.9"]
    assert main(words) == 2
    printed = capsys.readouterr().err.splitlines()
    assert "recall of label 3 at 0.9 or more cannot be known; given: " in printed[-1]
    assert "29 or more where all are right, 58 in all" in printed[-1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["--min-recall", "label 3"], "wrong min-recall; given: label 3; allowed: CLASS=SHARE, such as cat=0.95"),
        (["--min-precision", "label 33=0.5"], "min-precision of an unknown class; given: label 33"),
        (["--min-recall", "label 3=0.9", "--guarantee", "loss<=5pt@95%"], "exclude each other"),
    ],
)
def test_mistakes_are_one_line(profiled: Any, tmp_path: Path, capsys: Any, words: list[str], reported: str) -> None:
    out = str(tmp_path / "edge.premodel")
    assert main(["train", str(profiled.store), "--policy", "cascade", "--out", out, *words]) == 2
    assert reported in capsys.readouterr().err.splitlines()[-1]


def test_evaluate_counts_every_class_with_a_floor(profiled: Any, capsys: Any) -> None:
    floors = ["--min-recall", "label 3=0.2", "--min-precision", "label 1=0.9"]
    words = ["evaluate", str(profiled.store), "--policy", "single", "--folds", "3", *floors]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    (found,) = report["class_floors"]
    assert found["premodel"] == "single"
    assert found["folds_served_by_best_single"] == 3
    assert [(one["measure"], one["name"], one["least"]) for one in found["floors"]] == [
        ("recall", "label 3", 0.2), ("precision", "label 1", 0.9)
    ]  # fmt: skip
    assert main(words) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("single, ")]
    assert len(lines) == 2
    assert lines[0].startswith("single, recall of label 3: ")
    assert lines[1].endswith("not shown to be kept; in 3 of 3 folds the best single candidate served without it")
