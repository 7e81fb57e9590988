"""The front of a premodel on Ray Serve, with stand-ins for its replicas; real ones are in tests/test_ray.py."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'premodel[cluster]'")

from starlette.requests import Request

from bundles import make_bundle
from policy_makers import MAKERS
from premodel.errors import OptionError
from premodel.runtime.engine import Premodel
from premodel.serving.limits import Limits
from premodel.serving.ray_serve import TRIES, Asked, Front, Replica, Reply, build


class Dying:
    """Stands for the handle of replicas: the first ones die while they are at work."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.asked: list[Asked] = []
        self.answer = self

    async def remote(self, asked: Asked) -> Reply:
        from ray.exceptions import ActorDiedError

        self.asked.append(asked)
        if len(self.asked) <= self.deaths:
            raise ActorDiedError
        return Reply(200, ((b"x-reply", b"yes"),), b"answer")


def ask(replicas: Dying, body: bytes = b"image") -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http", "method": "POST", "path": "/v2/models/small/infer", "query_string": b"",
        "headers": [(b"a", b"b")],
    }  # fmt: skip
    front = Front(replicas, Limits(max_body_bytes=1024))
    return asyncio.run(front(Request(scope, receive)))


def test_another_replica_is_asked_if_one_dies_at_work() -> None:
    replicas = Dying(deaths=2)
    response = ask(replicas)
    assert (response.status_code, response.body, response.headers["x-reply"]) == (200, b"answer", "yes")
    assert replicas.asked == [Asked("POST", "/v2/models/small/infer", b"", ((b"a", b"b"),), b"image")] * 3


def test_replicas_that_keep_dying_are_told() -> None:
    replicas = Dying(deaths=1000)
    response = ask(replicas)
    assert response.status_code == 503
    assert "its replicas keep dying" in json.loads(response.body)["error"]
    assert len(replicas.asked) == TRIES


def test_a_body_that_is_too_large_goes_nowhere() -> None:
    replicas = Dying(deaths=0)
    response = ask(replicas, b"x" * 2000)
    assert response.status_code == 413
    assert replicas.asked == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "no bundle"),
        ({"bundle": "a.premodel", "zoos": "."}, "unknown argument zoos"),
        ({"bundle": "a.premodel", "limits": {"worker": 1}}, "wrong limits"),
        ({"bundle": "a.premodel", "limits": {"workers": 0}}, "workers is out of range"),
    ],
)
def test_wrong_arguments(args: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build(args)


def test_a_replica_whose_candidates_open_slowly_is_healthy_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = Premodel.warm

    def slowly(self: Premodel) -> Any:
        time.sleep(0.3)
        return warm(self)

    monkeypatch.setattr(Premodel, "warm", slowly)
    replica = Replica({"bundle": str(make_bundle(tmp_path, MAKERS["select, the paper's chain"]).path)})
    replica.check_health()
    replica.__del__()
