"""Handing tasks to workers that may die, join and leave: each task's results come once, whoever computes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from premodel.errors import RunError

DEATHS = 2
"""So many workers may die of one task: what was pending at a dead worker is done again once."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")


class Job(Protocol[T, R]):
    """What is done with each sample; sent to every worker by pickling, before it is opened."""

    def open(self) -> None:
        """Open what the work needs."""

    def work(self, task: T) -> Iterator[R]:
        """Do one task, giving results as they come, one or more; what may fail is part of a result."""
        ...

    def rest(self, task: T, result: R) -> T | None:
        """What is left of a task once this result is there; None for nothing."""
        ...

    def close(self) -> None:
        """Give it back."""


@dataclass(frozen=True)
class Reported(Generic[R]):
    """A worker's results of the task of this number."""

    worker: int
    number: int
    results: Sequence[R]


@dataclass(frozen=True)
class Died:
    """A worker is gone, and why; what it owes will not come."""

    worker: int
    reason: str


class WorkerPool(Protocol[T_contra, R]):
    """Workers that do one job."""

    def ready_workers(self) -> Iterable[int]:
        """Start a worker wherever there is room for one more; gives all that can be handed tasks."""
        ...

    def room(self, worker: int, pending: int) -> int:
        """How many more tasks to hand to a worker that owes so many."""
        ...

    def send(self, worker: int, tasks: Sequence[tuple[int, T_contra]]) -> None:
        """Hand numbered tasks to a worker; that it died meanwhile is reported by `wait`."""

    def wait(self) -> Iterable[Reported[R] | Died]:
        """What happened since, after waiting for a while if nothing did; raises RunError if the job failed."""
        ...

    def close(self) -> None:
        """End all workers."""


def dispatch(pool: WorkerPool[T, R], job: Job[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Results of all tasks in any order, each once.

    Raises
    ------
    RunError
        The job failed, or two workers in turn died of the same task.
    """
    ledger = _Ledger(job, tasks)
    try:
        while not ledger.finished:
            for worker in pool.ready_workers() if ledger.waiting else ():
                handed = ledger.hand_out(worker, pool.room(worker, ledger.pending_of(worker)))
                if handed:
                    pool.send(worker, handed)
            for event in pool.wait():
                if isinstance(event, Died):
                    ledger.take_back(event)
                else:
                    ledger.note(event)
                    yield from event.results
    finally:
        pool.close()


class _Ledger(Generic[T, R]):
    """Who owes what."""

    def __init__(self, job: Job[T, R], tasks: Iterable[T]) -> None:
        self._job = job
        self._fresh = enumerate(tasks)
        self._again: list[tuple[int, T]] = []
        self._pending: dict[int, dict[int, T]] = {}
        self._deaths: dict[int, int] = {}
        self._next: tuple[int, T] | None = next(self._fresh, None)

    @property
    def waiting(self) -> bool:
        """Is anything left to hand out."""
        return self._next is not None or bool(self._again)

    @property
    def finished(self) -> bool:
        """Nothing is left to hand out, and nothing is pending."""
        return not self.waiting and not any(self._pending.values())

    def pending_of(self, worker: int) -> int:
        return len(self._pending.get(worker, ()))

    def hand_out(self, worker: int, count: int) -> list[tuple[int, T]]:
        """So many tasks, those of the dead first."""
        handed: list[tuple[int, T]] = []
        while len(handed) < count:
            if self._again:
                handed.append(self._again.pop())
            elif self._next is not None:
                handed.append(self._next)
                self._next = next(self._fresh, None)
            else:
                break
        self._pending.setdefault(worker, {}).update(handed)
        return handed

    def note(self, report: Reported[R]) -> None:
        """Strike out what was done."""
        pending = self._pending[report.worker]
        for result in report.results:
            rest = self._job.rest(pending.pop(report.number), result)
            if rest is not None:
                pending[report.number] = rest

    def take_back(self, died: Died) -> None:
        """What a dead worker owes is handed out again."""
        for number, task in self._pending.pop(died.worker, {}).items():
            self._deaths[number] = self._deaths.get(number, 0) + 1
            if self._deaths[number] >= DEATHS:
                raise RunError(
                    "two workers died of the same work",
                    given=died.reason,
                    do="use fewer workers if memory is short; what was stored is kept",
                )
            self._again.append((number, task))
