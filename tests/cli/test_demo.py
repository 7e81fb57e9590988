"""What `premodel demo` tells to type next."""

from __future__ import annotations

from pathlib import Path

import pytest

from premodel.cli.demo import command


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed program in a folder that is not on the path."""
    made = tmp_path / ".venv" / "demo" / "bin" / "premodel"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.argv", [str(made), "demo"])
    return made


def test_what_the_shell_does_not_find_is_given_with_its_path(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command() == ".venv/demo/bin/premodel"
    monkeypatch.chdir("/")
    assert command() in (str(program), str(program).lstrip("/"))


def test_what_the_shell_finds_is_given_by_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert command() == "premodel"


def test_a_module_or_another_program_is_given_by_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [str(program.with_name("main.py")), "demo"])
    assert command() == "premodel"
