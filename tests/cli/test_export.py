"""`premodel export`: what it states and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles import Made
from fake_triton import make_mixed
from premodel.cli.main import main

pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_mixed(tmp_path_factory.mktemp("made"), "select, highest score")


def test_for_people(made: Made, tmp_path: Path, capsys: Any) -> None:
    assert main(["export", str(made.path), "--triton", str(tmp_path / "r")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'r'}: model edge",
        "  run by Triton: large, small",
        "  run inside edge: m0 (premodel needs their runtimes there)",
    ]


def test_as_json(made: Made, tmp_path: Path, capsys: Any) -> None:
    assert main(["export", str(made.path), "--triton", str(tmp_path / "r"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(tmp_path / "r"),
        "model": "edge",
        "networks": {"small": "small", "large": "large", "large@mirrored": "large"},
        "inside": ["m0"],
    }


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["absent.premodel", "--triton", "r"], "no such bundle"),
        (["edge", "--triton", "full"], "full: folder holds what premodel did not export"),
        (["edge", "--triton", "full/notes.txt"], "must be a folder"),
        (["edge", "--triton", "r", "--zoo", "absent"], "zoo must exist"),
    ],
)
def test_mistakes_are_one_line(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, words: list[str], reported: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    assert main(["export", *(str(made.path) if word == "edge" else word for word in words)]) == 2
    errors = capsys.readouterr().err
    assert reported in errors
    assert errors.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]
