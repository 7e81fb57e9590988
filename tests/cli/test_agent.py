"""`premodel agent`: what it states, what it refuses, how it ends."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from agents import board_manifest
from premodel.cli.main import main
from serving_client import running
from zoos import SmallZoo, write_zoo


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("board"), correct=np.ones((3, 2), bool))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_offers_and_ends_in_order(small: SmallZoo, end: signal.Signals) -> None:
    with running(small.zoo, "--threads", 1, command="agent") as (url, process):
        with urlopen(url + "/v2/models/m1") as response:
            assert json.loads(response.read())["name"] == "m1"
        process.send_signal(end)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors.splitlines()[0] == f"premodel agent: 2 candidates at {url}; Ctrl-C ends it"
    assert errors.splitlines()[-1] == "premodel agent: stopped"


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--token-file", "absent"], "absent"),
        (["--tls-cert", "cert.pem"], "go together"),
        (["--threads", "0"], "threads"),
        (["--port", "99999"], "no port"),
        (["--memory-budget-mb", "0.0001"], "memory budget"),
    ],
)
def test_mistakes_are_one_line(small: SmallZoo, capsys: Any, words: list[str], reported: str) -> None:
    assert main(["agent", str(small.zoo), *words]) == 2
    errors = capsys.readouterr().err
    assert reported in errors
    assert errors.count("\n") == 1


def test_a_zoo_that_is_elsewhere_or_absent(small: SmallZoo, tmp_path: Path, capsys: Any) -> None:
    manifest = board_manifest(small.zoo, "http://board:8090")
    assert main(["agent", str(manifest)]) == 2
    assert "m0 is remote" in capsys.readouterr().err
    assert main(["agent", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err
