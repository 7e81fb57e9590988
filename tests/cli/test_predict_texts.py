"""`premodel predict` of texts: which input a message is about, and tables that are given as if they were one text."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.manifest import read_zoo

CODE = """
def short(text):
    if "fail" in text:
        raise RuntimeError("as it should")
    return ("yes" if len(text) < 20 else "no"), 0.9
"""
ZOO = """
name = "words"
task = "text-classification"
labels = ["no", "yes"]

[[models]]
name = "short"
runtime = "python"
callable = "own_lengths.py:short"
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lengths")
    (folder / "own_lengths.py").write_text(CODE)
    (folder / "zoo.toml").write_text(ZOO)
    candidates = read_zoo(folder / "zoo.toml").candidates
    made = Bundle(Single(("short",), (0.9,), Costs((1.0,), 0.0)), candidates, ("no", "yes"), "top1", None)
    write_bundle(folder / "lengths.premodel", made, folder=folder)
    return folder / "lengths.premodel"


def predict(*words: object) -> int:
    return main(["predict", *(str(word) for word in words), "--trust-python"])


def test_a_line_or_text_that_is_refused_or_fails_is_named(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n\nfail\n\xff\n")))
    assert predict(bundle, "-", "--text", " ", "--text", "fail", "--json") == 0
    printed = capsys.readouterr()
    refused = ("line 2: text must hold more", "line 3: no candidate", "line 4: text must be UTF-8", "text 1: text must",
               "text 2: no candidate")  # fmt: skip
    for line, start in zip(printed.err.splitlines(), refused, strict=True):
        assert line.startswith(f"premodel predict: {start}")
    report = json.loads(printed.out)
    assert [one["path"] for one in report["unreadable"]] == ["line 2", "line 4", "text 1"]
    assert [one["path"] for one in report["failed"]] == ["line 3", "text 2"]


def test_a_file_is_named_once(bundle: Path, tmp_path: Path, capsys: Any) -> None:
    fails, blank = tmp_path / "fails.txt", tmp_path / "blank.txt"
    fails.write_text("fail")
    blank.write_text(" ")
    assert predict(bundle, fails, blank) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.count(str(file)) for line, file in zip(lines, (fails, blank), strict=True)] == [1, 1]


@pytest.mark.parametrize("name", ["messages.csv", "messages.TSV", "messages.jsonl"])
def test_a_table_that_is_answered_as_one_text_is_pointed_out(
    bundle: Path, tmp_path: Path, capsys: Any, name: str
) -> None:
    table = tmp_path / name
    table.write_text("text,label\none,yes\n")
    assert predict(bundle, table, "--text", "one") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{table}: yes")
    (line,) = printed.err.splitlines()
    assert line == (
        f"premodel predict: {table} is answered as one text; if it is a table of texts, give them one a line with -, "
        "or run premodel bench on it"
    )
    table.write_text("")
    assert predict(bundle, table) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "more than white space" in line
    assert line.endswith("; if it is a table of texts, give them one a line with -, or run premodel bench on it")


def test_no_other_file_is_taken_for_a_table(bundle: Path, tmp_path: Path, capsys: Any) -> None:
    for name in ("one", "one.txt", "one.md"):
        (tmp_path / name).write_text("one")
        assert predict(bundle, tmp_path / name) == 0
    assert capsys.readouterr().err == ""
