"""`--guarantee` of `premodel train` and `premodel evaluate`, on a small profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main
from premodel.runtime.bundle import read_bundle

ONE_POINT = "loss<=1pt@95%"


def words(command: str, *others: object) -> list[str]:
    return [command, *(str(word) for word in others)]


def test_the_bundle_holds_the_guarantee(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "edge.premodel"
    asked = words("train", profiled.store, "--out", out, "--policy", "single", "--guarantee", ONE_POINT)
    assert main(asked) == 0
    assert capsys.readouterr().out.startswith("guarantee: no loss of accuracy to ")
    bundle = read_bundle(out)
    assert bundle.objective == {
        "min_accuracy": None,
        "max_latency_ms": None,
        "cost_weight": None,
        "guarantee": ONE_POINT,
    }
    assert bundle.training_record["training"]["guarantee"]["reference"] == bundle.policy.candidates[0]


def test_too_few_samples_name_a_way_out_that_works(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    asked = words("train", profiled.store, "--out", tmp_path / "x.premodel", "--guarantee", ONE_POINT)
    assert main([*asked, "--policy", "cascade-routing"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("premodel train: ")]
    assert "it takes 598 samples in all" in line
    assert line.endswith("or use --policy single, which loses nothing")
    assert main([*asked, "--policy", "single"]) == 0


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (["--policy", "paper"], "policy paper has no operating points to give a guarantee for"),
        (["--policy", "cascade", "--max-latency-ms", 5], "a guarantee and max-latency-ms exclude each other"),
        (["--policy", "cascade", "--cost-weight", 5], "a guarantee and cost-weight exclude each other"),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
def test_what_excludes_a_guarantee_is_refused_before_any_work(
    tmp_path: Path, capsys: Any, command: str, others: list[object], message: str
) -> None:
    """The store is not even opened: it does not exist."""
    out = [] if command == "evaluate" else ["--out", tmp_path / "made"]
    assert main(words(command, tmp_path / "absent.db", *out, "--guarantee", ONE_POINT, *others)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_evaluate_counts_the_folds_that_cannot_be_guaranteed(profiled: Any, capsys: Any) -> None:
    asked = words("evaluate", profiled.store, "--folds", 2, "--workers", 1, "--guarantee", ONE_POINT)
    policies = ["--policy", "cascade-routing", "--policy", "single"]
    assert main([*asked, *policies]) == 0
    printed = capsys.readouterr().out
    alone = "given in 0 of 2 folds, the others are served by their best single candidate alone"
    assert f"guarantee {ONE_POINT}, cascade-routing: {alone}" in printed
    assert f"guarantee {ONE_POINT}, single: given in 2 of 2 folds\n" in printed
    assert main([*asked, *policies, "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)["guarantee"]
    assert reported == {"text": ONE_POINT, "folds_served_by_best_single": {"cascade-routing": 2, "single": 0}}


def test_evaluate_leaves_paper_out_of_its_default_under_a_guarantee(profiled: Any, capsys: Any) -> None:
    asked = words("evaluate", profiled.store, "--folds", 2, "--workers", 1, "--json")
    assert main([*asked, "--guarantee", ONE_POINT]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in reported["rows"] if row["kind"] == "premodel"] == ["auto"]
    assert list(reported["guarantee"]["folds_served_by_best_single"]) == ["auto"]
