"""What a worker does on a node: it opens the job's models once, then works on batches of samples."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from premodel.clock import now_ms
from premodel.domains.base import MAX_FILE_BYTES, Domain
from premodel.domains.registry import adopt
from premodel.errors import ModelError, PremodelError
from premodel.files import file_sha256, is_regular, read_regular
from premodel.profiling.samples import Task
from premodel.version import __version__

GATHER_MS = 300.0
"""Results of quick samples are gathered this long before they are sent."""


def code_of(domain: Domain) -> str:
    """What driver and nodes must agree on for their results to be the same."""
    return f"premodel {__version__}, {domain.task} {domain.version}, features {domain.features_version}"


@dataclass
class Report:
    """Some results of a batch.

    Attributes
    ----------
    results:
        Each with the number of its task.
    lacking:
        Numbers of tasks whose image is not on this node: they are not done, and wait for its bytes.
    failure:
        Why the job cannot go on; empty if it can.
    finished:
        Numbers of the tasks finished since the last report.
    busy_ms:
        What they took.
    """

    results: list[tuple[int, Any]] = field(default_factory=list)
    lacking: list[int] = field(default_factory=list)
    failure: str = ""
    finished: list[int] = field(default_factory=list)
    busy_ms: float = 0.0


class NodeWorker:
    """One process of a node, with one core."""

    def __init__(self) -> None:
        self._job: Any = None

    def meet(self, domain: Domain, code: str, models: Mapping[Path, Mapping[Path, str]]) -> tuple[str, list[Path]]:
        """Why this node cannot take part, empty if it can; and the models whose files, of these digests, it has not."""
        adopt(domain)
        own = code_of(domain)  # made by the code of this node, with the settings of the job
        if code != own:
            return f"another release than the driver's: {own}, wanted: {code}", []
        return "", [model for model, files in models.items() if not all(_has(*entry) for entry in files.items())]

    def open(self, job: Any, models: Mapping[Path, Sequence[Path]], *contents: bytes) -> str:
        """Open the job with the contents of the files of models not here; why it cannot be, empty if it could."""
        try:
            with tempfile.TemporaryDirectory(prefix="premodel-") as folder:
                if models:
                    here = _unpack(Path(folder), models, contents)
                    job = job.with_candidates(
                        tuple(one.with_file(here.get(one.model.file, one.model.file)) for one in job.candidates)
                    )
                job.open()
        except PremodelError as error:
            return str(error)
        self._job = job
        return ""

    def work(self, batch: Sequence[tuple[int, Task]]) -> Iterator[Report]:
        """Do a batch, giving reports as they fill."""
        report, start = Report(), now_ms()
        for number, task in batch:
            here = localised(task)
            if here is None:
                report.lacking.append(number)
                continue
            try:
                for result in self._job.work(here):
                    report.results.append((number, result))
                    report.busy_ms = now_ms() - start
                    if report.busy_ms >= GATHER_MS:
                        yield report
                        report, start = Report(), now_ms()
            except PremodelError as error:
                report.failure = str(error)
                yield report
                return
            report.finished.append(number)
        report.busy_ms = now_ms() - start
        yield report


def localised(task: Task) -> Task | None:
    """The task with the bytes of its input, read from this node's disk where they lie there; None if they do not."""
    if task.path is None:
        return task
    try:
        data = read_regular(task.path, MAX_FILE_BYTES)
    except (OSError, ValueError):
        return None
    if hashlib.sha256(data).hexdigest() != task.entry.sample:
        return None  # another file of that name, or a changed one: the driver's bytes will tell
    return replace(task, path=None, data=data)


def _has(file: Path, digest: str) -> bool:
    try:
        return is_regular(file) and file_sha256(file) == digest
    except (OSError, ModelError):
        return False


def _unpack(folder: Path, models: Mapping[Path, Sequence[Path]], contents: Sequence[bytes]) -> dict[Path, Path]:
    """Write contents below a folder; the files of a model stand to each other as they did."""
    here: dict[Path, Path] = {}
    rest = iter(contents)
    for number, (model, files) in enumerate(models.items()):
        for file in files:
            goal = folder / str(number) / file.relative_to(model.parent)
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(next(rest))
        here[model] = folder / str(number) / model.name
    return here
