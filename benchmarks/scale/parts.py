"""Rates of what a large run leans on: the object store, the databases, the disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from database_servers import MariaDB, PostgreSQL
from premodel.domains.image.decode import read_file
from premodel.profiling.workers.ray_connection import Connection
from premodel.store.rows import merge
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store
from ray_cluster import small_cluster

ROUNDS = 5
OBJECT_BYTES = 32_000_000
IMAGE_BYTES = 110_000
IMAGES = 500
BATCHES = (500, 2_000, 10_000)
K = 20


def median_s(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median wall seconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure_objects(folder: Path) -> dict[str, float]:
    """MB/s of putting an object into the object store, and of another node's taking it; ms of the smallest call."""
    del folder
    print("object store", file=sys.stderr)
    with small_cluster(2) as cluster:
        connection = Connection(cluster.address)
        ray = connection.ray
        try:
            here = ray.get_runtime_context().get_node_id()
            there = next(node for node in connection.nodes() if node != here)
            strategies = import_module("ray.util.scheduling_strategies")
            place = strategies.NodeAffinitySchedulingStrategy(there, soft=False)
            taker = ray.remote(Taker).options(num_cpus=1, scheduling_strategy=place).remote()
            ray.get(taker.take.remote(b""))
            data = os.urandom(OBJECT_BYTES)
            put, take = [], []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                reference = ray.put(data)
                put.append(time.perf_counter() - start)
                start = time.perf_counter()
                if ray.get(taker.take.remote(reference)) != OBJECT_BYTES:
                    raise SystemExit("scale: an object arrived with another length")
                take.append(time.perf_counter() - start)
                del reference
            call_s = median_s(lambda: ray.get(taker.take.remote(b"")), 200)
        finally:
            connection.close()
    megabytes = OBJECT_BYTES / 1e6
    return {
        "put_mb_per_s": megabytes / statistics.median(put),
        "take_mb_per_s": megabytes / statistics.median(take),
        "call_ms": 1e3 * call_s,
    }


class Taker:
    """An actor that takes bytes."""

    def take(self, data: bytes) -> int:
        """Their number."""
        return len(data)


def rows(count: int, start: int) -> list[dict[str, Any]]:
    """Predictions as the pass makes them."""
    labels, probabilities = os.urandom(4 * K), os.urandom(4 * K)
    return [
        {
            "prediction_key": hashlib.sha256(b"%d" % (number % 14)).hexdigest(),
            "sample": hashlib.sha256(b"%d" % (number // 14)).hexdigest(),
            "truth": 1, "truth_rank": 0, "status": "ok", "reason": "", "entropy": 0.5, "latency_ms": 1.0,
            "labels": labels, "probabilities": probabilities,
        }
        for number in range(start, start + count)
    ]  # fmt: skip


def measure_stores(folder: Path) -> dict[str, dict[str, float] | str]:
    """Rows/s into new stores, by rows in one transaction; or why there is no such database here."""
    found: dict[str, dict[str, float] | str] = {"SQLite": _rates(str(folder / "rates.db"))}
    for kind in (PostgreSQL, MariaDB):
        print(f"store writes: {kind.name}", file=sys.stderr)
        try:
            with contextlib.closing(kind()) as server:
                found[kind.name] = _rates(server.fresh())
        except (pytest.skip.Exception, ModuleNotFoundError) as absent:
            found[kind.name] = str(absent)
    return found


def _rates(url: str) -> dict[str, float]:
    found = {}
    start = 0
    with Store(url, create=True) as store:
        for size in BATCHES:
            taken = []
            for _ in range(ROUNDS):
                batch = rows(size, start)
                start += size
                begin = time.perf_counter()
                store.write(partial(merge, table=PREDICTIONS, rows=batch))
                taken.append(time.perf_counter() - begin)
            found[str(size)] = size / statistics.median(taken)
    return found


def measure_images(folder: Path) -> dict[str, float]:
    """Images/s read and hashed, from a disk that has them in memory: what an inventory does."""
    print("image reads", file=sys.stderr)
    files = [folder / f"{number}.jpg" for number in range(IMAGES)]
    for file in files:
        file.write_bytes(os.urandom(IMAGE_BYTES))

    def read() -> None:
        for file in files:
            hashlib.sha256(read_file(file)).hexdigest()

    return {"image_bytes": IMAGE_BYTES, "images_per_s": IMAGES / median_s(read)}
