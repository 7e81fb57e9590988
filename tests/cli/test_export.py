"""`premodel export`: what it states and what it refuses, of either form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles import Made
from c_programs import write_policy
from fake_triton import make_mixed
from policy_makers import make_single
from premodel.cli.main import main
from profiles import predictable_tables

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
        (["absent.premodel", "--c", "r"], "no such bundle"),
        (["edge", "--c", "r"], "policy select reads the input before it decides, and has no form in C"),
        (["edge", "--c", "r", "--zoo", "models"], "--zoo does not apply to --c"),
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


def test_c_for_people_and_as_json(tmp_path: Path, capsys: Any) -> None:
    tables = predictable_tables(n=20, m=2)
    path = write_policy(tmp_path / "edge.premodel", make_single(tables), tables)
    folder = tmp_path / "src"
    header, source, example = (folder / f"premodel_edge{end}" for end in (".h", ".c", "_main.c"))
    assert main(["export", str(path), "--c", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{header}, premodel_edge.c: policy single, names begin with premodel_edge",
        "  state 320 bytes, stack below 512 bytes, constant data 40 bytes",
        f"  example: cc -std=c99 -O2 {example} {source} -lm -o premodel_edge",
    ]
    assert main(["export", str(path), "--c", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(folder),
        "files": ["premodel_edge.h", "premodel_edge.c", "premodel_edge_main.c"],
        "prefix": "premodel_edge",
        "policy": "single",
        "state_bytes": 320,
        "stack_bytes": 512,
        "table_bytes": 40,
    }


def test_one_form_is_asked_for(made: Made, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["export", str(made.path), "--c", "a", "--triton", "b"])
    assert "not allowed with argument" in capsys.readouterr().err
