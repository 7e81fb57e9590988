"""Workers on the nodes of a Ray cluster: one actor for each core of each node that is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from time import sleep
from typing import Any, Generic, TypeVar

from premodel.clock import now_ms
from premodel.domains.base import MAX_FILE_BYTES
from premodel.errors import RunError
from premodel.files import read_regular
from premodel.profiling.samples import Task
from premodel.profiling.workers.dispatch import Died, Reported, dispatch
from premodel.profiling.workers.ray_connection import Connection
from premodel.profiling.workers.ray_node import NodeWorker, Report, code_of
from premodel.profiling.workers.workers import SampleJob
from premodel.zoo.candidate import Candidate

BATCH_MS = 500.0
"""A batch is as many samples as take about this long."""

MAX_TASKS = 64
"""Of one batch."""

MAX_BATCH_BYTES = 16_000_000
"""Of encoded images in one batch, where they travel with it."""

LOOK_MS = 1_000.0
"""Between looks at which nodes there are, and the longest wait for something to happen."""

PATIENCE_MS = 120_000.0
"""How long no worker at all may be at work before we give up."""

FAILURES = 3
"""A node on which so many workers in turn died before they began is used no more."""

R = TypeVar("R")


@dataclass
class _Hand:
    """A worker on a node.

    Attributes
    ----------
    actor, node:
        Its process, and where it is.
    pending:
        The answer that is awaited before it can work: to `meet`, then to `open`; None once it works.
    opening:
        Is it `open` that is awaited.
    batches:
        Streams of reports of the batches it has.
    tasks:
        What it has, by number, in case it lacks an image.
    needs_bytes:
        It lacked an image: from now on their bytes travel with the tasks.
    """

    actor: Any
    node: str
    pending: Any
    opening: bool = False
    batches: list[Any] = field(default_factory=list)
    tasks: dict[int, Task] = field(default_factory=dict)
    needs_bytes: bool = False


class RayWorkerPool(Generic[R]):
    """Actors that open the job once each (a `WorkerPool`).

    A node that joins gets workers within a second or so. One that leaves takes its workers with it: they count as
    dead, and what was pending there is done by others.

    Parameters
    ----------
    connection:
        The cluster.
    job:
        What is done.
    total:
        Number of tasks.
    """

    def __init__(self, connection: Connection, job: SampleJob[R], total: int) -> None:
        self._connection = connection
        self._ray = connection.ray
        self._job = job
        self._left = total
        self._files = model_files(job.candidates)
        self._stored: dict[Path, Any] = {}
        self._actor_class = self._ray.remote(NodeWorker)
        self._hands: dict[int, _Hand] = {}
        self._started = 0
        self._failures: dict[str, int] = {}
        self._last_failure = ""
        self._looked_ms = -LOOK_MS
        self._idle_since_ms = now_ms()
        self._busy_ms = 0.0
        self._done = 0

    def ready_workers(self) -> Iterable[int]:
        """See `WorkerPool.ready_workers`."""
        if now_ms() - self._looked_ms >= LOOK_MS:
            self._looked_ms = now_ms()
            self._start_worker(self._connection.nodes())
        return [number for number, hand in self._hands.items() if hand.pending is None]

    def room(self, worker: int, pending: int) -> int:
        """See `WorkerPool.room`: a batch in work and one waiting; the last ones are small, so that all end together."""
        del worker
        wanted = int(BATCH_MS * self._done / self._busy_ms) if self._busy_ms else 1
        size = max(1, min(wanted, MAX_TASKS, self._left // (2 * len(self._hands))))
        return size if pending <= size else 0

    def send(self, worker: int, tasks: Sequence[tuple[int, Task]]) -> None:
        """See `WorkerPool.send`."""
        hand = self._hands[worker]
        hand.tasks.update(tasks)
        self._left -= len(tasks)
        self._start(hand, tasks)

    def wait(self) -> Iterator[Reported[R] | Died]:
        """See `WorkerPool.wait`."""
        awaited: dict[Any, int] = {}
        for number, hand in self._hands.items():
            awaited.update(dict.fromkeys([*hand.batches, *([] if hand.pending is None else [hand.pending])], number))
        self._check_patience()
        if not awaited:
            sleep(LOOK_MS / 1e3)
            return
        self._ray.wait(list(awaited), num_returns=1, timeout=LOOK_MS / 1e3)
        ready, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        for reference in ready:
            if awaited[reference] in self._hands:  # else it was reported as dead a moment ago
                yield from self._receive(awaited[reference], reference)

    def close(self) -> None:
        """See `WorkerPool.close`."""
        for hand in self._hands.values():
            self._end(hand)
        self._hands = {}

    def _start_worker(self, nodes: Mapping[str, int]) -> None:
        """One worker for each core of the nodes that are there."""
        self._hands = {
            number: hand
            for number, hand in self._hands.items()
            if hand.node in nodes or hand.batches or hand.pending is not None  # these will tell that they are dead
        }
        strategies = import_module("ray.util.scheduling_strategies")
        useful = self._left - sum(hand.pending is not None for hand in self._hands.values())
        for node, cores in nodes.items():
            here = sum(hand.node == node for hand in self._hands.values())
            if self._failures.get(node, 0) >= FAILURES:
                continue
            for _ in range(min(cores - here, useful)):
                useful -= 1
                place = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
                actor = self._actor_class.options(num_cpus=1, max_restarts=0, scheduling_strategy=place).remote()
                self._hands[self._started] = _Hand(
                    actor, node, actor.meet.remote(self._job.domain, code_of(self._job.domain), self._files)
                )
                self._started += 1

    def _start(self, hand: _Hand, tasks: Sequence[tuple[int, Task]]) -> None:
        """Send tasks, with the bytes of their images if this worker cannot read them itself."""
        batch: list[tuple[int, Task]] = []
        size = 0
        for number, task in tasks:
            sent = with_bytes(task) if hand.needs_bytes else absolute(task)
            batch.append((number, sent))
            size += len(sent.data or b"")
            if size >= MAX_BATCH_BYTES:
                self._submit(hand, batch)
                batch, size = [], 0
        if batch:
            self._submit(hand, batch)

    def _submit(self, hand: _Hand, batch: list[tuple[int, Task]]) -> None:
        hand.batches.append(hand.actor.work.options(num_returns="streaming").remote(batch))

    def _receive(self, worker: int, reference: Any) -> Iterator[Reported[R] | Died]:
        hand = self._hands[worker]
        errors = self._ray.exceptions
        try:
            if reference is hand.pending:
                self._prepare(hand, self._ray.get(reference))
                return
            try:
                report: Report = self._ray.get(next(reference))
            except StopIteration:
                hand.batches.remove(reference)
                return
        except errors.RayTaskError as error:
            raise RunError("a worker failed", given=_last_line(error)) from error
        except errors.RayError as error:
            yield self._remove(worker, _first_line(error))
            return
        if report.failure:
            raise RunError(report.failure)
        self._done += len(report.finished)
        self._busy_ms += report.busy_ms
        for number in report.finished:
            hand.tasks.pop(number, None)
        for number, result in report.results:
            yield Reported(worker, number, (result,))
        if report.lacking:
            hand.needs_bytes = True
            self._start(hand, [(number, hand.tasks[number]) for number in report.lacking])

    def _prepare(self, hand: _Hand, answer: Any) -> None:
        """Take the next step of a worker that begins."""
        if hand.opening:
            if answer:
                raise RunError(answer)
            hand.pending = None
            self._failures.pop(hand.node, None)
            return
        refusal, lacking = answer
        if refusal:
            raise RunError("a node of the cluster cannot take part", where=f"node {hand.node}", given=refusal)
        sent = {model: list(self._files[model]) for model in lacking}
        files = [file for model in lacking for file in sent[model]]
        for file in files:
            if file not in self._stored:
                self._stored[file] = self._ray.put(file.read_bytes())
        hand.opening = True
        hand.pending = hand.actor.open.remote(self._job, sent, *(self._stored[file] for file in files))

    def _remove(self, worker: int, reason: str) -> Died:
        hand = self._hands.pop(worker)
        self._end(hand)
        self._left += len(hand.tasks)
        self._last_failure = reason
        if hand.pending is not None:
            self._failures[hand.node] = self._failures.get(hand.node, 0) + 1
        return Died(worker, reason)

    def _end(self, hand: _Hand) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(hand.actor, no_restart=True)

    def _check_patience(self) -> None:
        if any(hand.pending is None for hand in self._hands.values()):
            self._idle_since_ms = now_ms()
        elif now_ms() - self._idle_since_ms > PATIENCE_MS:
            raise RunError(
                f"no worker began on the cluster in {PATIENCE_MS / 1e3:g} s",
                given=self._last_failure or "no core is free",
                do="add a node, or wait until cores are free, and run the same command again; what was stored is kept",
            )


class RayWorkers:
    """All cores of a cluster (`Workers`); nodes may join and leave.

    Parameters
    ----------
    address:
        See `Connection`.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    OptionError
        No cluster answers at the address.
    """

    apart = True

    def __init__(self, address: str) -> None:
        self._connection = Connection(address)

    def run(self, job: SampleJob[R], tasks: Iterable[Task], total: int) -> Iterator[R]:
        """See `Workers.run`."""
        there = job.with_candidates(tuple(one.with_file(one.model.file.absolute()) for one in job.candidates))
        return dispatch(RayWorkerPool(self._connection, there, total), job, tasks)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


def model_files(candidates: Sequence[Candidate]) -> dict[Path, dict[Path, str]]:
    """Every file that these candidates read and its SHA-256, by the model's path; none for those behind a server."""
    models = [candidate.model for candidate in candidates if not candidate.model.is_remote]
    return {model.file: model.all_files() for model in models}


def absolute(task: Task) -> Task:
    """The task with a path that means the same in every working directory."""
    return task if task.path is None else replace(task, path=task.path.absolute())


def with_bytes(task: Task) -> Task:
    """The task with its image's bytes in place of its path; with neither if it cannot be read any more."""
    if task.path is None:
        return task
    try:
        return replace(task, path=None, data=read_regular(task.path, MAX_FILE_BYTES))
    except (OSError, ValueError):
        return replace(task, path=None, data=None)


def _first_line(error: Exception) -> str:
    """What Ray states of a death: the line that names the cause, where there is one."""
    lines = _lines(error)
    return next((line for line in lines if line.startswith("The actor is dead")), lines[0])[:300]


def _last_line(error: Exception) -> str:
    return _lines(error)[-1][:300]


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
