"""The prediction pass here, on one node of one core, and on two: by turns, medians of several rounds."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from premodel.demo.demo import embedded_zoo
from premodel.demo.digits import write
from premodel.domains.image.views import View
from premodel.profiling.datasets.base import Dataset, FileSource, Payload
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes.predictions import predict_all
from premodel.profiling.progress import Silent
from premodel.profiling.samples import Task, take_inventory
from premodel.profiling.workers.dispatch import dispatch
from premodel.profiling.workers.ray_connection import Connection
from premodel.profiling.workers.ray_pool import RayWorkerPool
from premodel.profiling.workers.workers import LocalWorkers, SampleJob
from premodel.runtime.conditions import OtherLoad, device_name, measure_conditions
from premodel.store.runs import register_zoo
from premodel.store.samples import Entry, register_samples
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo, read_zoo
from ray_cluster import small_cluster

CANDIDATES = 14
KINDS = ("here", "one node", "two nodes", "two nodes, images sent", "two processes")


class Watched:
    """Workers that note when they were asked, gave their first result and their last (`Workers`)."""

    def __init__(self, kind: str, connection: Connection) -> None:
        self._kind = kind
        self._connection = connection
        self.apart = kind != "here"
        self.asked_s = self.first_s = self.last_s = 0.0

    def run(self, job: SampleJob[Any], tasks: Iterable[Task], total: int) -> Iterator[Any]:
        """See `Workers.run`."""
        self.asked_s = time.perf_counter()
        for result in self._results(job, tasks, total):
            self.last_s = time.perf_counter()
            self.first_s = self.first_s or self.last_s
            yield result

    def _results(self, job: SampleJob[Any], tasks: Iterable[Task], total: int) -> Iterator[Any]:
        if self._kind in ("here", "two processes"):
            return LocalWorkers(1 + (self._kind != "here")).run(job, tasks, total)
        nodes = 1 if self._kind == "one node" else 2
        return dispatch(RayWorkerPool(_Fewer(self._connection, nodes), job, total), job, tasks)

    def close(self) -> None:
        """The connection stays."""


class _Fewer(Connection):
    """Some nodes of a cluster."""

    def __init__(self, connection: Connection, nodes: int) -> None:
        self.ray = connection.ray
        self._connection = connection
        self._count = nodes

    def nodes(self) -> dict[str, int]:
        return dict(sorted(self._connection.nodes().items())[: self._count])


class _Inside:
    """Images as if they lay inside a table, so that their bytes travel with the tasks."""

    def __init__(self, files: FileSource) -> None:
        self._files = files

    @property
    def paths(self) -> None:
        return None

    def read(self, rows: Sequence[int]) -> Iterator[Payload]:
        return self._files.read(rows)


def candidates_of(zoo: Zoo) -> tuple[Candidate, ...]:
    """Fourteen candidates of the demo's five networks: other crops and mirror images."""
    views = [View(), View("mirror", None, True), View("near", 0.8), View("near-mirror", 0.8, True)]
    found = [replace(one, view=view) for view in views for one in zoo.candidates]
    return tuple(found[:CANDIDATES])


def measure_passes(folder: Path, images: int, rounds: int) -> dict[str, Any]:
    """Figures of all passes, with the conditions they were made under."""
    zoo = read_zoo(embedded_zoo())
    dataset = read_dataset(write(folder / "scenes", images, 0, "test"), label_names=zoo.labels)
    entries = take_inventory(dataset, dataset.draw(None), Silent()).entries
    candidates = candidates_of(zoo)
    runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    load = OtherLoad()
    with small_cluster(2) as cluster:
        connection = Connection(cluster.address)
        try:
            for number in range(rounds):
                for kind in KINDS[:: 1 if number % 2 == 0 else -1]:
                    store = folder / f"{number}-{KINDS.index(kind)}.db"
                    run = one_pass(kind, connection, store, zoo, candidates, dataset, entries)
                    runs[kind].append(run)
                    print(f"round {number + 1}, {kind}: {_told(run)}", file=sys.stderr)
        finally:
            connection.close()
    medians = {
        kind: {name: statistics.median(run[name] for run in found) for name in found[0]} for kind, found in runs.items()
    }
    return {
        "date": str(datetime.now(UTC).date()),
        "conditions": asdict(measure_conditions(device_name(), 1)),
        "other_cores": load.cores(),
        "images": images,
        "candidates": len(candidates),
        "rounds": rounds,
        "runs": runs,
        "medians": medians,
    }


def one_pass(
    kind: str,
    connection: Connection,
    file: Path,
    zoo: Zoo,
    candidates: tuple[Candidate, ...],
    dataset: Dataset,
    entries: list[Entry],
) -> dict[str, float]:
    """Seconds of one pass into a new store: whole, until the first result, from there on; and of our own processor."""
    if kind == "two nodes, images sent":
        dataset = replace(dataset, source=_Inside(FileSource(dataset.paths or ())))
    workers = Watched(kind, connection)
    with Store(file, create=True) as store:
        register_zoo(store, zoo.labels, candidates, 1)
        register_samples(store, dataset.names, entries)
        cpu, start = time.process_time(), time.perf_counter()
        result = predict_all(store, candidates, dataset, entries, workers, Silent())
        end = time.perf_counter()
        cpu = time.process_time() - cpu
    if result.predictions != len(candidates) * len(entries):
        raise SystemExit(f"scale: {kind}: {result.predictions} predictions, wanted {len(candidates) * len(entries)}")
    return {
        "whole_s": end - start,
        "start_s": workers.first_s - workers.asked_s,
        "steady_s": workers.last_s - workers.first_s,
        "driver_cpu_s": cpu,
    }


def _told(run: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in run.items())
