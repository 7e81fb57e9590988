"""Whole passes and a whole server on a real Ray cluster: two nodes of one core each, on this machine.

One module, so that Ray starts once; the server comes last, since it keeps its cores.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from bundles import Made, make_bundle
from policy_makers import MAKERS
from premodel.errors import RunError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.profiling.samples import Task
from premodel.profiling.workers.ray_pool import RayWorkers
from premodel.runtime.engine import Premodel
from premodel.store.samples import Entry
from premodel.store.schema import FEATURES, PREDICTIONS
from premodel.store.store import Store
from premodel.zoo.manifest import read_zoo
from ray_cluster import SmallCluster, small_cluster
from ray_jobs import DyingPredictionJob, TellingJob
from serving_client import binary_request, outputs_of
from zoos import SmallZoo, write_zoo

pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'premodel[cluster]'")

import httpx2
import yaml

CONFIG = Path(__file__).parents[1] / "docs" / "ray-serve.yaml"
CLIENTS, ANSWERS = 4, 20
PATIENCE_S = 300

N = 40
CORRECT = np.random.default_rng(5).random((N, 3)) < 0.6
BOTH, ONE = ("predictions", "features"), ("predictions",)


@pytest.fixture(scope="module")
def cluster() -> Iterator[SmallCluster]:
    with small_cluster(2) as made:
        yield made


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("ray") / "zoo", correct=CORRECT, latency_ms=2)


@pytest.fixture(scope="module")
def local(small: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """What a run on this machine alone stores."""
    store = tmp_path_factory.mktemp("local") / "s.db"
    run(small.zoo, small.data, store)
    return stored(store)


def run(manifest: Path, data: Path, store: Path, passes: tuple[str, ...] = BOTH, **options: Any) -> ProfileReport:
    zoo = read_zoo(manifest, require_files=True)
    dataset = read_dataset(data, data / "labels.csv", label_names=zoo.labels)
    return profile(zoo, dataset, store, ProfileOptions(passes=passes, **options))


def stored(store: Path) -> dict[Any, Any]:
    """Every answer without its time, and every vector, by key."""
    answer, vector = PREDICTIONS.c, FEATURES.c
    answers = select(
        answer.prediction_key, answer.sample, answer.truth, answer.truth_rank, answer.status, answer.entropy,
        answer.labels, answer.probabilities,
    )  # fmt: skip
    with Store(store) as opened, opened.reading() as connection:
        rows = connection.execute(answers).all()
        vectors = connection.execute(select(vector.version, vector.sample, vector.vector)).all()
    found = {(row[0], row[1]): tuple(row[2:]) for row in [*rows, *vectors]}
    assert len(found) == len(rows) + len(vectors)
    return found


def answers_in(rows: dict[Any, Any]) -> dict[Any, Any]:
    """Those of them that are no vectors."""
    return {key: row for key, row in rows.items() if len(row) > 1}


def task(row: int) -> Task:
    return Task(Entry(row, "", 0, 0), (0,), None, b"")


def test_the_same_as_without(small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path) -> None:
    report = run(small.zoo, small.data, tmp_path / "s.db", ray=cluster.address)
    assert report.predictions is not None
    assert report.features is not None
    assert (report.predictions.predictions, report.features.vectors) == (3 * N, N)
    assert len(local) == (3 + 1) * N, "a row for each answer, and one for the features of a sample"
    assert stored(tmp_path / "s.db") == local
    again = run(small.zoo, small.data, tmp_path / "s.db", ray=cluster.address)
    assert again.predictions is not None
    assert (again.predictions.predictions, again.predictions.kept) == (0, 3 * N)


def test_nodes_that_cannot_see_the_files_are_sent_them(
    small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.data)
    here = Path("/proc/self/cwd")  # another folder to every other process
    report = run(here / "zoo.toml", here, tmp_path / "s.db", ONE, ray=cluster.address)
    assert report.unreadable == {}
    assert stored(tmp_path / "s.db") == answers_in(local)


def test_a_killed_workers_answers_come_once(
    small: SmallZoo, local: dict[Any, Any], cluster: SmallCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = partial(DyingPredictionJob, sample=sample_of(local, 20), mark=tmp_path / "died")
    monkeypatch.setattr("premodel.profiling.passes.predictions.PredictionJob", dying)
    report = run(small.zoo, small.data, tmp_path / "s.db", ONE, ray=cluster.address)
    assert (tmp_path / "died").exists()
    assert report.predictions is not None
    assert report.predictions.predictions == 3 * N
    assert len(answers_in(local)) == 3 * N
    assert stored(tmp_path / "s.db") == answers_in(local)


def sample_of(rows: dict[Any, Any], position: int) -> str:
    return sorted({str(sample) for _, sample in rows})[position]


def test_work_that_kills_its_workers_ends_the_run(cluster: SmallCluster) -> None:
    workers = RayWorkers(cluster.address)
    try:
        with pytest.raises(RunError, match="two workers died of the same work"):
            list(workers.run(TellingJob(deadly=5), map(task, range(40)), 40))
    finally:
        workers.close()


def test_a_node_joins_and_leaves_in_mid_run(cluster: SmallCluster) -> None:
    workers = RayWorkers(cluster.address)
    first = set(workers._connection.nodes())
    joined: list[Any] = []
    handed = 0
    ended = False

    def endless() -> Iterator[Task]:
        nonlocal handed
        while not ended or handed % 50:
            yield task(handed)
            handed += 1

    seen: list[int] = []
    nodes: dict[str, int] = {}
    try:
        for row, node in workers.run(TellingJob(), endless(), 1_000_000):
            seen.append(row)
            nodes[node] = nodes.get(node, 0) + 1
            if len(seen) == 20:
                joined.append(cluster.add())
            if joined and not ended and nodes.keys() - first:
                cluster.remove(joined[0])  # it owes what it was handed
                ended = True
    finally:
        workers.close()
    assert len(nodes) == 3
    assert sorted(seen) == list(range(handed))


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_ended_by_a_signal(cluster: SmallCluster, tmp_path: Path, number: int, code: int, word: str) -> None:
    small = write_zoo(tmp_path / "zoo", correct=np.ones((200, 3), bool), latency_ms=60)
    store = tmp_path / "s.db"
    words = [small.zoo, small.data, "--labels", small.labels, "--store", store, "--only", "predictions"]
    process = subprocess.Popen(
        [sys.executable, "-m", "premodel.cli.main", "profile", *map(str, words), "--ray", cluster.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not (store.exists() and answered(store)):
        time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert errors.splitlines()[-1] == f"premodel profile: {word}; what was stored is kept"
    assert "Traceback" not in errors
    assert 0 < answered(store) < 600


def answered(store: Path) -> int:
    try:
        return len(stored(store))
    except Exception:  # noqa: BLE001 - not made yet
        return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Slow enough that each replica is at work on something at any moment under load."""
    return make_bundle(tmp_path_factory.mktemp("slow"), MAKERS["select, the paper's chain"], latency_ms=40)


@pytest.fixture(scope="module")
def served(made: Made, cluster: SmallCluster) -> Iterator[str]:
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
        deployment |= {} if deployment["name"] == "Replica" else {"num_replicas": 1}
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        serve.start(proxy_location="HeadOnly", http_options=config["http_options"])
        serve.context._get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(address + "/v2/health/ready"))
        yield f"{address}/v2/models/{made.path.stem}"
    finally:
        serve.shutdown()
        ray.shutdown()


def answers(address: str) -> bool:
    try:
        return httpx2.get(address, timeout=PATIENCE_S).status_code == 200
    except httpx2.HTTPError:
        return False


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
    assert "Inference-Header-Content-Length must be a number" in refused.json()["error"]
    assert httpx2.get(served.replace("/v2/models", "/v2/other")).status_code == 404


def test_killed_replicas_lose_no_request(served: str, made: Made) -> None:
    """One replica is killed under load, then the other: one of them is at work, wherever the front sends requests."""
    with Premodel(made.path) as premodel:
        expected = [premodel.predict(image).label for image in made.small.images]
    requests = [binary_request([image.read_bytes()]) for image in made.small.images]
    coming: queue.Queue[tuple[int, Any]] = queue.Queue()
    ended = threading.Event()

    def send(first: int) -> None:
        with httpx2.Client(timeout=PATIENCE_S) as client:
            for number in itertools.count(first, CLIENTS):
                if ended.is_set():
                    return
                body, headers = requests[number % len(requests)]
                coming.put((number, client.post(served + "/infer", content=body, headers=headers)))

    found: list[tuple[int, Any]] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        waiting = [pool.submit(send, first) for first in range(CLIENTS)]
        try:
            found += [coming.get(timeout=PATIENCE_S) for _ in range(ANSWERS)]
            for killed in sorted(replicas()):
                os.kill(killed, signal.SIGKILL)
                found += [coming.get(timeout=PATIENCE_S) for _ in range(ANSWERS)]
                until(lambda killed=killed: len(replicas() - {killed}) == 2)  # it was replaced
        finally:
            ended.set()
        for one in waiting:
            one.result()
    found += list(coming.queue)
    assert len(found) >= 3 * ANSWERS
    assert {response.status_code for _, response in found} == {200}
    for number, response in found:
        assert outputs_of(response)["label"] == [expected[number % len(expected)]]


def until(right: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not right():
        assert time.monotonic() < end
        time.sleep(0.1)
