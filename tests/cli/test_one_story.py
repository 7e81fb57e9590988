"""One store, one story: what doctor, train, evaluate, report and bench say of it does not contradict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from premodel.cli.main import main
from premodel.runtime.bundle import read_bundle
from stories import experts, ladder
from zoos import SmallZoo

FAST = ("--policy", "cascade-routing")
TOO_FEW = "too few samples for a verdict: 20, at least 50 are needed"


def profiled(small: SmallZoo) -> Path:
    store = small.zoo.parent / "profile.db"
    words = ["profile", small.zoo, small.data, "--labels", small.labels, "--store", store, "--max-timing-seconds", "3"]
    assert main([str(word) for word in words]) == 0
    return store


def say(capsys: Any, *words: object, code: int = 0) -> str:
    """What a command prints on stdout and stderr."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.err


def test_two_experts_of_equal_cost(tmp_path: Path, capsys: Any) -> None:
    """Speed cannot be won, accuracy can: every command states both, and none calls one alone unbeaten."""
    small = experts(tmp_path / "zoo", n=60)
    store = profiled(small)
    doctor = say(capsys, "doctor", store)
    assert doctor.startswith("for the highest accuracy use policy cascade-routing with --cost-weight 0: ")
    assert "accuracy higher (+50.0 points" in doctor
    assert "For the lowest latency at the accuracy of one candidate use m" in doctor
    out = tmp_path / "edge.premodel"
    train = say(capsys, "train", store, "--out", out)
    assert "\nchosen: single" in train
    assert "\nfor the highest accuracy: cascade-routing with --cost-weight 0: " in train
    assert "accuracy higher (+50.0 points" in train
    assert read_bundle(out).policy.kind == "single"
    hint = "premodel doctor states what of that a policy reaches, and --cost-weight 0 trains for it"
    evaluate = say(capsys, "evaluate", store, "--folds", 2)
    report = say(capsys, "report", store, "--out", tmp_path / "r.html", "--folds", 2, *FAST)
    for said in (evaluate, report):
        assert "Some candidate is right on 100.0 % of the samples, m" in said
        assert hint in said
        assert "BELOW" not in said
        assert "Won" not in said
    assert hint in (tmp_path / "r.html").read_text()
    accurate = tmp_path / "accurate.premodel"
    train = say(capsys, "train", store, "--out", accurate, "--policy", "cascade-routing", "--cost-weight", 0)
    assert "tested: cascade-routing, on 60 samples in 5 folds" in train
    assert "better than every single candidate that meets the objective" in train
    bench = say(capsys, "bench", accurate, small.data, "--labels", small.labels, "--quick")
    assert "accuracy higher" in bench.splitlines()[0]
    assert "when it was trained\n  tested: cascade-routing" in bench
    assert read_bundle(accurate).training_record["test"]["passed"] is True


def test_twenty_images(tmp_path: Path, capsys: Any) -> None:
    """The least n of every command is the same, in the same words; nothing is advised on fewer."""
    small = ladder(tmp_path / "zoo", 20)
    store = profiled(small)
    assert "too few samples for a verdict; given: 20; allowed: 50 or more" in say(capsys, "doctor", store, code=2)
    out = tmp_path / "edge.premodel"
    train = say(capsys, "train", store, "--out", out)
    assert TOO_FEW in train
    assert "beats" not in train
    assert "better than every single" not in train
    assert read_bundle(out).policy.kind == "single"
    evaluate = say(capsys, "evaluate", store, "--folds", 2)
    report = say(capsys, "report", store, "--out", tmp_path / "r.html", "--folds", 2, *FAST)
    bench = say(capsys, "bench", out, small.data, "--labels", small.labels, "--quick")
    for said in (evaluate, report, bench):
        assert TOO_FEW in said
        assert "Won" not in said


def test_answers_that_go_with_other_labels_are_named_by_train_as_by_doctor(tmp_path: Path, capsys: Any) -> None:
    """A bundle of a network whose labels are in another order is not made without a word."""
    small = ladder(tmp_path / "zoo", 120)
    rows = small.labels.read_text().splitlines()
    head, rows = rows[0], [row.rsplit(",", 1) for row in rows[1:]]
    moved = [f"{path},{9 - int(label) if label.isdecimal() else label}" for path, label in rows]
    small.labels.write_text("\n".join([head, *moved]) + "\n")
    store = profiled(small)
    train = say(capsys, "train", store, "--out", tmp_path / "edge.premodel", "--policy", "single")
    doctor = say(capsys, "doctor", store)
    warnings = [line for line in train.splitlines() if line.startswith("warning: ")]
    assert any("it would be" in line for line in warnings)
    assert warnings == [line for line in doctor.splitlines() if line.startswith("warning: ")]
