"""The README's commands and Python run as they are written, in a folder like its reader's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from premodel.cli.main import main
from zoos import write_zoo

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
WRITES_MANIFEST = "zoo init"
"""Needs real model files; tests/profiling/test_zoo_init.py runs it. Here recorded answers stand in for models."""


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, unindented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with zoo.toml, labels.txt and photos/ with labels.csv."""
    rng = np.random.default_rng(0)
    hard = rng.random(120)
    correct = np.stack([rng.random(120) > hard, rng.random(120) > hard / 4], axis=1)
    zoo = write_zoo(tmp_path, correct=correct, latency_ms=(0.2, 2.0))
    (tmp_path / "images").rename(tmp_path / "photos")
    (tmp_path / "photos" / "labels.csv").write_text(zoo.labels.read_text().replace("images/", ""))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_python(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = 0
    for words in commands():
        if words[0] != "premodel":
            assert words[0] == "pip"
            continue
        if words[1:3] == WRITES_MANIFEST.split():
            continue
        assert main(words[1:]) == 0, words
        ran += 1
    assert ran >= 7
    assert (reader / "edge.premodel").is_file()
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_scripts_named_are_there() -> None:
    for name in re.findall(r"^scripts/(\w+)", README, re.MULTILINE):
        assert (ROOT / "scripts" / name).stat().st_mode & 0o111


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
