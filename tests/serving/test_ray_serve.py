"""A premodel on Ray Serve: a real cluster of two one-core nodes, load, and a replica that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.runtime.engine import Premodel
from ray_cluster import small_cluster
from serving_client import binary_request, outputs_of

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'premodel[cluster]'")

import httpx2
import yaml
from starlette.requests import Request

from premodel.errors import OptionError
from premodel.serving.limits import Limits
from premodel.serving.ray_serve import TRIES, Asked, Front, Told, build

CONFIG = Path(__file__).parents[2] / "docs" / "ray-serve.yaml"
CLIENTS, ANSWERS = 4, 20
PATIENCE_S = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Slow enough that each replica is at work on something at any moment under load."""
    return make_bundle(tmp_path_factory.mktemp("slow"), MAKERS["select, the paper's chain"], latency_ms=40)


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[str]:
    """The example's config, with replicas small enough for two on two cores; gives the address of the model."""
    import ray
    from ray import serve
    from ray.serve.schema import ServeDeploySchema

    config = yaml.safe_load(CONFIG.read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = config["http_options"]["port"] = free.getsockname()[1]
    config["proxy_location"] = "HeadOnly"  # both nodes have one address here
    (app,) = config["applications"]
    config["http_options"]["request_timeout_s"] = PATIENCE_S
    app["args"] |= {"bundle": str(made.path), "limits": {"workers": 2, "queue": 32, "timeout_s": PATIENCE_S}}
    for deployment in app["deployments"]:
        deployment["ray_actor_options"]["num_cpus"] = 0.6 if deployment["name"] == "Replica" else 0.1
    with small_cluster(2) as cluster:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        try:
            serve.start(proxy_location="HeadOnly", http_options=config["http_options"])
            serve.context._get_global_client().deploy_apps(ServeDeploySchema.model_validate(config), _blocking=True)
            yield f"http://127.0.0.1:{port}/v2/models/{made.path.stem}"
        finally:
            serve.shutdown()
            ray.shutdown()


def replicas() -> set[int]:
    """Processes of the replicas of this test's own cluster."""
    parents, found = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"ServeReplica:premodel:Replica" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))

    def ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and ours(parents[process]))

    return {process for process in found if ours(process)}


def test_answers_are_those_of_the_engine(served: str, made: Made) -> None:
    with Premodel(made.path) as premodel:
        for image in made.small.images[:6]:
            body, headers = binary_request([image.read_bytes()])
            response = httpx2.post(served + "/infer", content=body, headers=headers)
            assert response.status_code == 200, response.text
            assert outputs_of(response)["label"] == [premodel.predict(image).label]
    assert httpx2.get(served).json()["name"] == made.path.stem


def test_what_is_wrong_is_refused_as_by_serve(served: str) -> None:
    refused = httpx2.post(served + "/infer", content=b"no", headers={"inference-header-content-length": "x"})
    assert refused.status_code == 400
    assert "Inference-Header-Content-Length is no number" in refused.json()["error"]
    assert httpx2.get(served.replace("/v2/models", "/v2/other")).status_code == 404


def test_killed_replicas_lose_no_request(served: str, made: Made) -> None:
    """One replica is killed under load, then the other: one of them is at work, wherever the front sends requests."""
    with Premodel(made.path) as premodel:
        expected = [premodel.predict(image).label for image in made.small.images]
    requests = [binary_request([image.read_bytes()]) for image in made.small.images]
    answers: queue.Queue[tuple[int, Any]] = queue.Queue()
    ended = threading.Event()

    def send(first: int) -> None:
        with httpx2.Client(timeout=PATIENCE_S) as client:
            for number in itertools.count(first, CLIENTS):
                if ended.is_set():
                    return
                body, headers = requests[number % len(requests)]
                answers.put((number, client.post(served + "/infer", content=body, headers=headers)))

    found: list[tuple[int, Any]] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        waiting = [pool.submit(send, first) for first in range(CLIENTS)]
        try:
            found += [answers.get(timeout=PATIENCE_S) for _ in range(ANSWERS)]
            for killed in sorted(replicas()):
                os.kill(killed, signal.SIGKILL)
                found += [answers.get(timeout=PATIENCE_S) for _ in range(ANSWERS)]
                until(lambda killed=killed: len(replicas() - {killed}) == 2)  # it was replaced
        finally:
            ended.set()
        for one in waiting:
            one.result()
    found += list(answers.queue)
    assert len(found) >= 3 * ANSWERS
    assert {response.status_code for _, response in found} == {200}
    for number, response in found:
        assert outputs_of(response)["label"] == [expected[number % len(expected)]]


def until(right: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not right():
        assert time.monotonic() < end
        time.sleep(0.1)


class Dying:
    """Stands for the handle of replicas: the first ones die while they are at work."""

    def __init__(self, deaths: int) -> None:
        self.deaths = deaths
        self.asked: list[Asked] = []
        self.answer = self

    async def remote(self, asked: Asked) -> Told:
        from ray.exceptions import ActorDiedError

        self.asked.append(asked)
        if len(self.asked) <= self.deaths:
            raise ActorDiedError
        return Told(200, ((b"x-told", b"yes"),), b"answer")


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
    assert (response.status_code, response.body, response.headers["x-told"]) == (200, b"answer", "yes")
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
