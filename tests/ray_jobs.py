"""Jobs that tell which node did what, or die on purpose; here, so that the workers of a Ray cluster can import them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from premodel.domains.base import Domain
from premodel.domains.registry import domain_of
from premodel.profiling.passes.predictions import Answers, PredictionJob
from premodel.profiling.samples import Task
from premodel.zoo.candidate import Candidate

PAUSE_S = 0.01


@dataclass
class TellingJob:
    """Tells on which node each task was done; `deadly` is the task that kills its worker."""

    deadly: int = -1

    @property
    def domain(self) -> Domain:
        return domain_of("image-classification")

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return ()

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> TellingJob:
        return self

    def open(self) -> None:
        pass

    def work(self, task: Task) -> Iterator[tuple[int, str]]:
        if task.entry.row == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(PAUSE_S)
        yield task.entry.row, import_module("ray").get_runtime_context().get_node_id()

    def rest(self, task: Task, result: object) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class DyingPredictionJob(PredictionJob):
    """Predicts, but the first worker that meets this sample dies of it, halfway through its candidates."""

    sample: str = ""
    mark: Path = Path()

    def work(self, task: Task) -> Iterator[Answers]:
        if task.entry.sample == self.sample and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().work(task)


class Deadly:
    """Ends its process at its third task."""

    def open(self) -> None:
        pass

    def work(self, task: int) -> Iterator[int]:
        if task == 2:
            os._exit(3)
        yield task

    def rest(self, task: int, result: int) -> None:
        pass

    def close(self) -> None:
        pass
