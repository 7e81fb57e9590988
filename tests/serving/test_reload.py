"""Loading a premodel again under a running server: no request is lost, and a bad bundle changes nothing."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from starlette.testclient import TestClient

import premodel
from aside import aside
from bundles import Made, bundle_of, make_bundle
from policy_makers import MAKERS
from premodel.runtime.bundle import write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.single import Single
from premodel.serving.app import make_app
from premodel.serving.limits import Limits
from premodel.serving.served import Served
from premodel.serving.service import Service
from serving_client import INFER, explained, running, samples, until

LOAD = "/v2/repository/models/small/load"
RAW = {"inference-header-content-length": "0"}
LOCAL = ("127.0.0.1", 50000)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_bundle(tmp_path / "made", MAKERS["single"], n=30)


@pytest.fixture
def other(made: Made) -> Path:
    """A bundle over the same candidates whose policy serves another one."""
    policy: Any = made.policy
    costs = replace(policy.costs, latency_ms=tuple(reversed(policy.costs.latency_ms)))
    best_first = range(len(policy.candidates), 0, -1)
    turned = Single(
        tuple(reversed(policy.candidates)), [0.9 * place / len(costs.latency_ms) for place in best_first], costs
    )
    path = made.path.with_name("other.premodel")
    write_bundle(path, bundle_of(made.small, made.tables, turned), folder=made.small.zoo.parent)
    return path


@contextmanager
def reloadable(path: Path, token: str | None = None, client: tuple[str, int] = LOCAL) -> Generator[Any]:
    service = Service(Premodel(path), "small", Limits(), reopen=lambda: Served(Premodel(path), "small"))
    app = make_app(service, token)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False, client=client) as found:
        until(lambda: service.ready)
        yield found, service


def put(source: Path, goal: Path) -> None:
    """As a deployment does it: in one piece."""
    part = goal.with_name("part")
    shutil.copyfile(source, part)
    part.replace(goal)


def test_the_new_bundle_answers_after_the_call(made: Made, other: Path) -> None:
    image = made.small.images[0].read_bytes()
    with premodel.load(other) as clf:
        expected = clf.predict(made.small.images[0]).candidate
    with reloadable(made.path) as (client, _):
        assert explained(client, image)["candidate"] != expected
        put(other, made.path)
        assert explained(client, image)["candidate"] != expected
        response = client.post(LOAD)
        assert response.status_code == 200
        assert response.json()["name"] == "small"
        assert explained(client, image)["candidate"] == expected
        found = samples(client)
        assert found["premodel_reloads_total", "done"] == 1
        assert "model_repository" in client.get("/v2").json()["extensions"]
        assert client.get("/v2/models/small").json()["name"] == "small"


@pytest.mark.parametrize("harm", ["damaged", "gone", "model lost"])
def test_what_does_not_open_leaves_the_old_one(made: Made, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    image = made.small.images[0].read_bytes()
    model = made.small.zoo.parent / "models" / f"{made.policy.candidates[-1]}.npz"
    with reloadable(made.path) as (client, service):
        before = explained(client, image)["candidate"]
        lost = model if harm == "model lost" else made.path
        content = made.path.read_bytes()
        with aside(lost):
            if harm == "damaged":
                made.path.write_bytes(content[: len(content) // 2])
            caplog.clear()
            response = client.post(LOAD)
            made.path.unlink() if harm == "damaged" else None
            assert response.status_code == 400
            assert "\n" not in response.json()["error"]
            assert explained(client, image)["candidate"] == before
            assert service.ready
            lines = [record.getMessage() for record in caplog.records if "not loaded again" in record.getMessage()]
            assert len(lines) == 1
            assert response.json()["error"] in lines[0]
            assert samples(client)["premodel_reloads_total", "failed"] == 1
            index = client.post("/v2/repository/index").json()
            assert index == [{"name": "small", "version": "1", "state": "READY", "reason": response.json()["error"]}]
        assert client.post(LOAD).status_code == 200
        assert client.post("/v2/repository/index").json()[0]["reason"] == ""


def test_requests_in_flight_end_on_the_old_one_which_is_then_released(made: Made) -> None:
    image = made.small.images[0].read_bytes()
    with reloadable(made.path) as (client, service), ThreadPoolExecutor() as pool:
        old = service.premodel
        network = weakref.ref(old.open_candidate(made.policy.candidates[0]).network)
        predict, begun, release = old.predict, threading.Event(), threading.Event()

        def held(*args: Any, **options: Any) -> Any:
            begun.set()
            assert release.wait(60)
            return predict(*args, **options)

        old.predict = held
        asked = pool.submit(client.post, INFER, content=image, headers=RAW)
        assert begun.wait(60)
        assert client.post(LOAD).status_code == 200
        assert service.premodel is not old
        assert client.post(INFER, content=image, headers=RAW).status_code == 200, "the new one answers meanwhile"
        assert not asked.done()
        release.set()
        assert asked.result().status_code == 200, "it was not closed under the request"
        del old.predict
        del old
        until(lambda: gc.collect() >= 0 and network() is None)


def test_no_request_fails_while_it_is_loaded_again_and_again(made: Made, other: Path) -> None:
    images = [path.read_bytes() for path in made.small.images]
    ends = threading.Event()
    with reloadable(made.path) as (client, _), ThreadPoolExecutor() as pool:

        def ask() -> list[int]:
            codes = []
            while not ends.is_set():
                codes.append(client.post(INFER, content=images[len(codes) % 8], headers=RAW).status_code)
            return codes

        asking = [pool.submit(ask) for _ in range(2)]
        loads = [client.post(LOAD).status_code for _ in range(6)]
        ends.set()
        codes = [code for future in asking for code in future.result()]
    assert loads == [200] * 6
    assert set(codes) == {200}
    assert len(codes) > 6


def test_only_who_may_ask_may_load(made: Made) -> None:
    with reloadable(made.path, token="0123456789abcdef" * 2) as (client, _):
        assert client.post(LOAD).status_code == 401
        bearer = {"authorization": "Bearer " + "0123456789abcdef" * 2}
        assert client.post(LOAD, headers=bearer).status_code == 200
    with reloadable(made.path, client=("192.0.2.7", 1)) as (client, _):
        response = client.post(LOAD)
        assert response.status_code == 403
        assert "token" in response.json()["error"]


def test_what_cannot_be_meant_is_refused(made: Made, serving: Any) -> None:
    with reloadable(made.path) as (client, _):
        assert client.post("/v2/repository/models/another/load").status_code == 404
        assert "unknown model" in client.post("/v2/repository/models/another/load").json()["error"]
        config = {"parameters": {"config": "{}"}}
        assert "own file" in client.post(LOAD, content=json.dumps(config)).json()["error"]
        assert client.post(LOAD, content=b"{").status_code == 400
        assert client.post(LOAD, content=json.dumps({"parameters": {}})).status_code == 200
        assert "stop the server" in client.post("/v2/repository/models/small/unload").json()["error"]
        assert client.post("/v2/repository/index", content=b'{"ready": true}').json()[0]["state"] == "READY"
    with serving(made.path) as (client, _):  # one that was given no way to
        assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


def test_metrics_are_of_what_is_served_now(made: Made, tmp_path: Path) -> None:
    few = make_bundle(tmp_path / "few", MAKERS["single"], n=30, m=2, embed=True)
    with reloadable(made.path) as (client, _):
        assert samples(client)["premodel_candidate_available", "m2"] == 1
        put(few.path, made.path)
        assert client.post(LOAD).status_code == 200
        found = samples(client)
    assert ("premodel_candidate_available", "m2") not in found
    assert found["premodel_candidate_available", "m1"] == 1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_loads_again_and_a_bad_bundle_is_one_line(made: Made, other: Path, tmp_path: Path) -> None:
    image = made.small.images[0].read_bytes()
    with premodel.load(other) as clf:
        expected = clf.predict(made.small.images[0]).candidate
    bundle = made.path.with_name("small.premodel")
    log = tmp_path / "log"
    with running(bundle, log=log) as (url, process):
        until(lambda: ready(url))
        put(other, bundle)
        process.send_signal(signal.SIGHUP)
        until(lambda: answered_by(url, image) == expected)
        bundle.write_bytes(b"no bundle")
        process.send_signal(signal.SIGHUP)
        until(lambda: "not loaded again" in log.read_text())
        assert answered_by(url, image) == expected
        assert process.poll() is None
    said = log.read_text()
    assert said.count("was loaded again") == 1
    assert said.count("not loaded again") == 1
    assert "Traceback" not in said


def ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/v2/health/ready", timeout=10) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def answered_by(url: str, image: bytes) -> str:
    request = Request(f"{url}{INFER}", image, RAW)
    with urlopen(request, timeout=30) as response:
        outputs = {one["name"]: one["data"] for one in json.loads(response.read())["outputs"]}
    return str(outputs["candidate"][0])


OWN_TERMINAL = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-m", "premodel.cli.main", *sys.argv[2:]])
"""


@pytest.fixture
def in_terminal(made: Made) -> Generator[Callable[[str], tuple[subprocess.Popen[bytes], str, int]]]:
    """Starts a server in a terminal of its own, SIGHUP handled so at first: the process, its address, the terminal."""
    pty = pytest.importorskip("pty", reason="this system has no terminals of that kind")
    started = []

    def start(hangup: str) -> tuple[subprocess.Popen[bytes], str, int]:
        ours, theirs = pty.openpty()
        words = [sys.executable, "-c", OWN_TERMINAL, hangup, "serve", str(made.path), "--port", "0"]
        process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
        started.append(process)
        os.close(theirs)
        seen = b""
        while b"Ctrl-C ends it" not in seen:
            seen += os.read(ours, 1000)
        found = re.search(rb"http://[\d.:]+", seen)
        assert found is not None
        url = found.group().decode()
        while not ready(url):  # it handles signals by now
            time.sleep(0.05)
        return process, url, ours

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_terminal_that_is_closed_ends_the_server(
    in_terminal: Callable[[str], tuple[subprocess.Popen[bytes], str, int]],
) -> None:
    process, _, terminal = in_terminal("SIG_DFL")
    os.close(terminal)
    process.wait(60)


def test_a_server_that_nohup_started_outlives_its_terminal(
    in_terminal: Callable[[str], tuple[subprocess.Popen[bytes], str, int]],
) -> None:
    process, url, terminal = in_terminal("SIG_IGN")
    os.close(terminal)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert ready(url)
