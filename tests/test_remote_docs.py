"""`docs/remote.md` and its service file say what the program takes."""

from __future__ import annotations

import configparser
import re
import shlex
from pathlib import Path

import pytest

from premodel.backends.oip import SETTINGS
from premodel.cli.main import build_parser
from premodel.protocol.client import CA_FILE_VARIABLE, PATIENCE_S, TIMEOUT_S, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from premodel.zoo.manifest import read_zoo

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "remote.md").read_text()


def test_the_manifest_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"^ *```toml\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "board.toml").write_text(text)
    (candidate,) = read_zoo(tmp_path / "board.toml", require_files=True).candidates
    assert (candidate.model.is_remote, candidate.home.model.runtime) == (True, "onnx")


def test_commands_are_taken() -> None:
    blocks = re.findall(r"^( *)```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for _, block in blocks for line in block.splitlines()]
    commands = [line for line in lines if re.match(r"(\S*/)?premodel ", line)]
    assert len(commands) >= 4
    for line in commands:
        words = shlex.split(line.replace("~/", ""), comments=True)[1:]
        build_parser(words[0]).parse_args(words)


def test_the_service_starts_what_there_is() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DOCS / "premodel-agent.service")
    words = shlex.split(unit["Service"]["ExecStart"])[1:]
    args = build_parser(words[0]).parse_args(words)
    assert (args.command, args.port) == ("agent", 8090)
    assert args.token_file is not None, "it listens to others"


def test_settings_variables_and_waits_are_all_named() -> None:
    for name in (*SETTINGS, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, CA_FILE_VARIABLE):
        assert f"`{name}`" in PAGE
    assert f"`timeout_s` | of one request; {TIMEOUT_S:g}" in PAGE
    assert f"while profiling; {PATIENCE_S:g}" in PAGE


@pytest.mark.parametrize("name", re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE))
def test_links_lead_somewhere(name: str) -> None:
    assert (DOCS / name).is_file()
