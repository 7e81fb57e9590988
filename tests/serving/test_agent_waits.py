"""No wait of an agent is without a bound: a run that hangs holds up neither other requests nor the end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the serve extra is not installed")

from starlette.testclient import TestClient

from bundles import small_zoo
from premodel.serving.agent import make_agent
from premodel.serving.board import Board
from premodel.serving.limits import Limits
from premodel.zoo.manifest import read_zoo
from serving_client import until


def test_a_run_that_hangs_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("premodel.serving.workers.STOP_S", 0.1)
    zoo = read_zoo(small_zoo(tmp_path).zoo)
    limits = Limits(workers=1, timeout_s=0.2)
    board = Board(zoo, limits)
    release, metadata = threading.Event(), board.metadata

    def hang(name: str) -> Any:
        release.wait(60)
        return metadata(name)

    monkeypatch.setattr(board, "metadata", hang)
    with TestClient(make_agent(board, limits), base_url="http://127.0.0.1") as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2/models/m0").status_code == 504
        assert client.get("/v2/models/m1").status_code == 504, "the thread is not free"
        until(lambda: client.get("/v2/health/ready").status_code == 400)
        assert client.get("/v2/health/live").status_code == 200
    assert board.hung
    release.set()
