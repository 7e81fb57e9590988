"""Worker processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from premodel.clock import now_s
from premodel.errors import PremodelError, RunError
from premodel.profiling.workers.ctrl_c import kept_from_children
from premodel.profiling.workers.dispatch import Died, Job, Reported

IN_FLIGHT = 2
"""Tasks handed to a worker at once: one in work, one waiting, so that it never waits for us."""

END_S = 10.0
"""How long the workers have for closing what they opened, all together; then they are killed."""

T = TypeVar("T")
R = TypeVar("R")


class Processes(Generic[T, R]):
    """So many processes, each of which opens the job once (a `WorkerPool`).

    They are spawned, not forked: runtimes' thread pools do not survive a fork. They end by themselves when this process
    dies, because their pipe closes. One that dies is replaced.

    Parameters
    ----------
    job:
        What they do.
    count:
        How many.
    """

    def __init__(self, job: Job[T, R], count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._job = job
        self._count = count
        self._started = 0
        self._pipes: dict[int, Connection] = {}
        self._processes: dict[int, Any] = {}

    def ready_workers(self) -> Iterable[int]:
        """See `WorkerPool.ready_workers`."""
        while len(self._pipes) < self._count:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(theirs, self._job), daemon=True)
            with kept_from_children():
                process.start()
                self._pipes[self._started] = ours
                self._processes[self._started] = process
                self._started += 1
            theirs.close()
        return list(self._pipes)

    def room(self, worker: int, pending: int) -> int:
        """See `WorkerPool.room`."""
        del worker
        return IN_FLIGHT - pending

    def send(self, worker: int, tasks: Sequence[tuple[int, T]]) -> None:
        """See `WorkerPool.send`."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for task in tasks:
                self._pipes[worker].send(task)

    def wait(self) -> Iterator[Reported[R] | Died]:
        """See `WorkerPool.wait`."""
        workers = {pipe: worker for worker, pipe in self._pipes.items()}
        for pipe in wait(list(workers)):
            assert isinstance(pipe, Connection)
            worker = workers[pipe]
            try:
                failure, number, result = pipe.recv()
            except (EOFError, ConnectionResetError):
                yield self._remove(worker)
                continue
            if failure:
                raise RunError(failure)
            yield Reported(worker, number, (result,))

    def close(self) -> None:
        """See `WorkerPool.close`."""
        for pipe in self._pipes.values():
            pipe.close()
        until_s = now_s() + END_S
        for process in self._processes.values():
            process.join(timeout=max(0.0, until_s - now_s()))
            if process.is_alive():
                process.kill()
                process.join()

    def _remove(self, worker: int) -> Died:
        self._pipes.pop(worker).close()
        process = self._processes.pop(worker)
        process.join(timeout=END_S)
        return Died(worker, f"a worker process ended with code {process.exitcode}")


def _serve(pipe: Connection, job: Job[T, R]) -> None:
    """Life of a worker: open, do tasks until the pipe closes, close."""
    try:
        job.open()
    except PremodelError as error:
        with contextlib.suppress(OSError):
            pipe.send((str(error), 0, None))
        return
    try:
        while True:
            number, task = pipe.recv()
            for result in job.work(task):
                pipe.send(("", number, result))
    except PremodelError as error:  # what ends the job, such as a server that is gone for good
        with contextlib.suppress(OSError):
            pipe.send((str(error), 0, None))
    except (EOFError, OSError):
        return  # the parent is done, or gone
    finally:
        job.close()
