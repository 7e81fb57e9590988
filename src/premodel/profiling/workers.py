"""Doing the same job on many samples, here or in worker processes; only the caller writes to the store."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from premodel.errors import PremodelError, RunError

IN_FLIGHT = 2
"""Tasks handed to a worker at once: one in work, one waiting, so that it never waits for us."""

Task_contra = TypeVar("Task_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
T = TypeVar("T")
R = TypeVar("R")


class Job(Protocol[Task_contra, Result_co]):
    """What is done with each sample; sent to every worker by pickling, before it is opened."""

    def open(self) -> None:
        """Open what the work needs."""

    def work(self, task: Task_contra) -> Iterator[Result_co]:
        """Do one task, giving results as they come; what may fail is part of a result."""
        ...

    def close(self) -> None:
        """Give it back."""


def run_job(job: Job[T, R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    """Results in any order; with one worker in this process, with more in processes of their own.

    Processes are spawned, not forked: runtimes' thread pools do not survive a fork. They end by themselves when this
    process dies, because their pipe closes.

    Raises
    ------
    RunError
        A worker process died, or failed outside of its tasks.
    """
    if workers > 1:
        yield from _run_apart(job, tasks, workers)
        return
    job.open()
    try:
        for task in tasks:
            yield from job.work(task)
    finally:
        job.close()


def _run_apart(job: Job[T, R], tasks: Iterable[T], workers: int) -> Iterator[R]:
    context = multiprocessing.get_context("spawn")
    waiting = iter(tasks)
    owed: dict[Connection, int] = {}
    processes: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, job), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
            owed[ours] = 0
            _hand_out(ours, owed, waiting)
        while any(owed.values()):
            for pipe in wait([pipe for pipe, count in owed.items() if count]):
                assert isinstance(pipe, Connection)
                done, result = _receive(pipe, processes[pipe])
                if done:
                    owed[pipe] -= 1
                    _hand_out(pipe, owed, waiting)
                else:
                    yield result
    finally:
        for pipe in processes:
            pipe.close()
        for process in processes.values():
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
                process.join()


def _hand_out(pipe: Connection, owed: dict[Connection, int], waiting: Iterator[T]) -> None:
    while owed[pipe] < IN_FLIGHT:
        for task in waiting:
            with contextlib.suppress(BrokenPipeError):  # the worker died: receiving from it will tell
                pipe.send(task)
            owed[pipe] += 1
            break
        else:
            return


def _receive(pipe: Connection, process: Any) -> tuple[bool, Any]:
    try:
        failure, done, result = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        process.join(timeout=10)
        raise RunError(
            "a worker process died",
            given=f"exit code {process.exitcode}",
            do="use fewer --workers if memory is short; what was stored is kept",
        ) from error
    if failure:
        raise RunError(failure)
    return done, result


def _serve(pipe: Connection, job: Job[T, R]) -> None:
    """Life of a worker: open, do tasks until the pipe closes, close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    try:
        job.open()
    except PremodelError as error:
        with contextlib.suppress(OSError):
            pipe.send((str(error), True, None))
        return
    try:
        while True:
            for result in job.work(pipe.recv()):
                pipe.send(("", False, result))
            pipe.send(("", True, None))
    except PremodelError as error:  # what ends the job, such as a server that is gone for good
        with contextlib.suppress(OSError):
            pipe.send((str(error), True, None))
    except (EOFError, OSError):
        return  # the parent is done, or gone
    finally:
        job.close()
