"""`premodel reproduce` on a small profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main

pytest.importorskip("bokeh", reason="the extra report is not installed")


def reproduce(store: Path, out: Path, *words: str) -> int:
    return main(["reproduce", str(store), "--out", str(out), "--folds", "2", *words])


def test_the_verdict_comes_first_and_the_files_are_there(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert reproduce(profiled.store, out) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("the paper's premodel (")
    assert lines[-1].startswith(f"wrote {out / 'reproduce.html'} (")
    data = json.loads((out / "reproduce.json").read_text())
    assert data["verdict"] == lines[0]
    assert all((out / name).is_file() for name in data["files"])
    assert "reproduce" in printed.err
    # once more over its own files, as one object
    assert reproduce(profiled.store, out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == data["samples"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--folds", "1"], "too few folds"), (["--features", "0"], "wrong number of features to keep")],
)
def test_wrong_input_is_one_line(profiled: Any, tmp_path: Path, capsys: Any, words: list[str], said: str) -> None:
    assert reproduce(profiled.store, tmp_path / "out", *words) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_file_of_another_origin_is_kept(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "reproduce.html"
    page.write_text("mine")
    assert reproduce(profiled.store, tmp_path) == 2
    assert "of another origin" in capsys.readouterr().err
    assert page.read_text() == "mine"
