"""Where work runs: in this process, in worker processes here, or elsewhere. Only the caller writes to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from premodel.domains.base import Domain
from premodel.profiling.samples import Task
from premodel.profiling.workers.dispatch import Job, dispatch
from premodel.profiling.workers.processes import Processes
from premodel.zoo.candidate import Candidate

T = TypeVar("T")
R = TypeVar("R")


class SampleJob(Job[Task, R], Protocol[R]):
    """A job on samples, which may be sent to machines that have other files than this one."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Whose models it opens."""
        ...

    @property
    def domain(self) -> Domain:
        """What the samples are."""
        ...

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> SampleJob[R]:
        """The same job with these in their place."""
        ...


class Workers(Protocol):
    """What does a job on many samples."""

    @property
    def apart(self) -> bool:
        """Does each work in a process of its own, with one thread, so that there can be as many as cores."""
        ...

    def run(self, job: SampleJob[R], tasks: Iterable[Task], total: int) -> Iterator[R]:
        """Results in any order; `total` is the number of tasks.

        Raises
        ------
        RunError
            The job failed, or two workers in turn died of the same task.
        """
        ...

    def close(self) -> None:
        """Give back what belongs to the workers rather than to a job; closing twice is allowed."""


@dataclass(frozen=True)
class LocalWorkers:
    """One worker is this process itself; more are processes of this machine."""

    count: int = 1

    @property
    def apart(self) -> bool:
        """More than one are processes of their own."""
        return self.count > 1

    def run(self, job: SampleJob[R], tasks: Iterable[Task], total: int) -> Iterator[R]:
        """See `Workers.run`."""
        return run_job(job, tasks, min(self.count, total))

    def close(self) -> None:
        """Nothing is kept between jobs."""


def run_job(job: Job[T, R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Results in any order; with one worker in this process, with more in processes of their own.

    Raises
    ------
    RunError
        The job failed, or two worker processes in turn died of the same task.
    """
    if workers > 1:
        yield from dispatch(Processes(job, workers), job, tasks)
        return
    job.open()
    try:
        for task in tasks:
            yield from job.work(task)
    finally:
        job.close()
