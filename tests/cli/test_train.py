"""`premodel train` on a small profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import premodel
from premodel.cli.main import main
from premodel.runtime.bundle import read_bundle
from premodel.training.load import load_tables
from premodel.training.policies.registry import TRAINERS
from premodel.training.simulate import simulate


def train(store: Path, out: Path, *words: object) -> int:
    return main(["train", str(store), "--out", str(out), *(str(word) for word in words)])


@pytest.mark.parametrize("policy", TRAINERS)
@pytest.mark.parametrize("embed", [False, True])
def test_a_trained_bundle_answers(profiled: Any, tmp_path: Path, capsys: Any, policy: str, embed: bool) -> None:
    out = tmp_path / "edge.premodel"
    assert train(profiled.store, out, "--policy", policy, *(["--embed"] if embed else [])) == 0
    printed = capsys.readouterr()
    assert "decides: " in printed.out
    assert f"wrote {out}" in printed.out
    assert "decisions checked on 60 samples" in printed.out
    tables = load_tables(profiled.store)
    expected = simulate(read_bundle(out).policy, tables)
    by_digest = {digest: row for row, digest in enumerate(tables.samples)}
    with premodel.load(out) as clf:
        assert bool(clf.bundle.embedded) is embed
        for image in profiled.small.images[:10]:
            import hashlib

            row = by_digest[hashlib.sha256(image.read_bytes()).hexdigest()]
            assert clf.predict(image).label == expected.labels[row, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["edge.premodel"]


def test_json(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert train(profiled.store, tmp_path / "a.premodel", "--policy", "paper", "--json", "--fallback", "m2") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["bundle"] == str(tmp_path / "a.premodel")
    assert report["bytes"] == (tmp_path / "a.premodel").stat().st_size
    assert report["policy"] == "paper"
    assert report["samples"] == 60
    assert "m2" in report["candidates"]
    assert any(line.startswith("decides: ") for line in report["summary"])
    assert report["training"]["models"]["steps"]
    tables = load_tables(profiled.store)
    needed = dict(zip(tables.candidates, tables.memory_mb.tolist(), strict=True))
    assert report["resident_mb"] == pytest.approx(sum(needed[name] for name in report["candidates"]))


def test_equal_training_is_equal_bytes(profiled: Any, tmp_path: Path) -> None:
    for policy in TRAINERS:
        for name in ("a", "b"):
            assert train(profiled.store, tmp_path / f"{name}.premodel", "--policy", policy, "--seed", 3) == 0
        assert (tmp_path / "a.premodel").read_bytes() == (tmp_path / "b.premodel").read_bytes()


def test_no_path_of_this_machine_is_in_the_bundle(profiled: Any, tmp_path: Path) -> None:
    out = profiled.store.parent / "beside.premodel"
    assert train(profiled.store, out, "--policy", "paper") == 0
    assert str(profiled.store.parent).encode() not in out.read_bytes()
    out.unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "guess"], "unknown policy; given: guess; allowed: "),
        (["--policy", "paper", "--fallback", "nobody"], "unknown fallback; given: nobody"),
        (["--min-accuracy", "78"], "wrong min-accuracy; given: 78; allowed: best, best-1pt"),
        (["--max-latency-ms", "0"], "wrong max-latency-ms"),
        (["--policy", "paper", "--max-latency-ms", "0.001"], "no candidate keeps max-latency-ms"),
        (["--policy", "paper", "--cost-weight", "0.1"], "policy paper has no cost-weight"),
        (["--policy", "single", "--min-accuracy", "1.0"], "no single candidate meets the objective"),
        (["--policy", "paper", "--technique", "guess"], "unknown technique"),
        (["--device", "nowhere"], "no timings of this device"),
    ],
)
def test_mistakes_are_one_line(profiled: Any, tmp_path: Path, capsys: Any, words: list[str], message: str) -> None:
    assert train(profiled.store, tmp_path / "x.premodel", *words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("premodel train: ")
    assert message in lines[-1]
    assert list(tmp_path.iterdir()) == []


def test_wrong_places(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert train(tmp_path / "absent.db", tmp_path / "x.premodel") == 2
    assert "store must exist" in capsys.readouterr().err
    for out in (tmp_path, tmp_path / "absent" / "x.premodel"):
        assert train(profiled.store, out) == 2
        assert "the bundle cannot be written there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cost_matrix_is_the_criterion_and_the_bundle_states_it(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    costs, out = tmp_path / "costs.csv", tmp_path / "costly.premodel"
    costs.write_text("truth,answer,cost\nlabel 0,*,20\n")
    words = [str(profiled.store), "--policy", "single", "--cost-matrix", str(costs)]
    assert main(["train", *words, "--out", str(out)]) == 0
    assert "(cost)" in capsys.readouterr().out
    bundle = read_bundle(out)
    assert bundle.criterion == "top1", "what a deployed answer can be judged by without the matrix"
    assert (bundle.training_record["criterion"], bundle.training_record["highest_cost"]) == ("cost", 20.0)
    assert main(["evaluate", *words, "--folds", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["criterion"] == "cost"
    assert main(["train", *words, "--criterion", "top1", "--out", str(out)]) == 2
    assert "--cost-matrix and --criterion exclude each other" in capsys.readouterr().err
