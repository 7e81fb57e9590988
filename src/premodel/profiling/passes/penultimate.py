"""Penultimate features: what a candidate's last weighted layer is fed with, for the paper's CNN premodel (section 5.2).

An ONNX file gets that tensor as its output in a copy; the copy runs under the same runtime as the candidate itself.
Values are kept as those of a feature family of their own, whose key names the candidate by its prediction key.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.onnx import OnnxBackend
from premodel.domains.base import Domain
from premodel.domains.registry import adopt
from premodel.errors import MissingExtraError, ModelError, OptionError, RunError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.passes.features import FeatureResult, Vectors, store_vectors
from premodel.profiling.progress import Progress
from premodel.profiling.samples import Task, try_open
from premodel.profiling.workers.workers import Workers
from premodel.runtime.candidate import Network, OpenedCandidate
from premodel.store.features import StoredFamily, describe_families
from premodel.store.samples import Entry
from premodel.store.schema import PENULTIMATE
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate
from premodel.zoo.verify import verify

WEIGHTED = ("Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul")
"""Operators that multiply by weights; the last of a classifier turns features into one number per label."""


def penultimate_version(candidate: Candidate) -> str:
    """Under what the vectors of a candidate are stored; another file, input or view is another version."""
    return PENULTIMATE + candidate.prediction_key[: 64 - len(PENULTIMATE)]


def expose(file: Path, copy: Path) -> str:
    """Write a copy of an ONNX file that also gives what its last weighted layer is fed with.

    Returns
    -------
    The name of that output.

    Raises
    ------
    MissingExtraError
        The package `onnx` is not installed.
    ModelError
        The file is no ONNX model, or has no weighted layer.
    """
    onnx = _onnx()
    try:
        model = onnx.load(str(file))
    except (OSError, ValueError, onnx.checker.ValidationError, _decode_error()) as error:
        raise ModelError(f"not an ONNX model ({error})", where=file) from error
    constant = {one.name for one in model.graph.initializer}
    for node in reversed(model.graph.node):
        fed = [name for name in node.input if name and name not in constant]
        if node.op_type in WEIGHTED and fed:
            name = str(fed[0])
            if name not in {one.name for one in model.graph.output}:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
            onnx.save(model, str(copy))
            return name
    raise ModelError("no weighted layer to look behind", where=file, allowed=", ".join(WEIGHTED))


@dataclass
class PenultimateJob:
    """Runs one candidate up to its last weighted layer."""

    domain: Domain
    candidate: Candidate
    threads: int
    _opened: OpenedCandidate | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The one."""
        return (self.candidate,)

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> PenultimateJob:
        """See `SampleJob`."""
        return replace(self, candidate=candidates[0])

    def open(self) -> None:
        """Open the copy; raises as `expose` and the backend do."""
        adopt(self.domain)
        self.domain.set_threads(self.threads)
        self._opened = _open(self.candidate)

    def work(self, task: Task) -> Iterator[Vectors]:
        """Compute one sample's vector; raises RunError if the network fails."""
        sample, opening = try_open(task, self.domain)
        if sample is None or self._opened is None:
            yield Vectors(task.entry, opening)
            return
        raw = self._opened.network.backend.predict(self._opened.prepare(sample))
        yield Vectors(task.entry, opening, ((0, flattened(raw).astype("<f4").tobytes()),))

    def rest(self, task: Task, result: Vectors) -> None:
        """Nothing: a sample has one vector."""

    def close(self) -> None:
        """Close the copy."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None


def flattened(raw: NDArray[Any]) -> NDArray[np.float32]:
    """float32 (F,): a map (1, F, height, width) is averaged over its places, as the pooling after it would do.

    Raises
    ------
    RunError
        A value is not finite.
    """
    values = raw.astype(np.float32)
    flat = values.mean(axis=(2, 3)).reshape(-1) if values.ndim == 4 else values.reshape(-1)
    if not np.isfinite(flat).all():
        raise RunError("a penultimate feature is not a finite number")
    return flat


def extract_penultimate(
    store: Store,
    candidate: Candidate,
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    threads: int = 1,
) -> FeatureResult:
    """Store the penultimate vectors that are missing.

    Raises
    ------
    OptionError
        The candidate runs under another runtime than `onnx`.
    MissingExtraError, ModelError, RunError
        See `expose` and `PenultimateJob`.
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    check_candidate(candidate)
    version = penultimate_version(candidate)
    job = PenultimateJob(dataset.domain, candidate, 1 if workers.apart else threads)
    title = f"penultimate features of {candidate.name}"

    def describe(vector: bytes) -> None:
        _describe(store, version, candidate.name, len(vector) // 4)

    return store_vectors(store, job, [version], title, dataset, entries, workers, progress, describe)


def check_candidate(candidate: Candidate) -> None:
    """Refuse a candidate whose inner tensors cannot be reached, before anything is done.

    Raises
    ------
    OptionError
        It runs under another runtime than `onnx`.
    MissingExtraError
        The package `onnx` is not installed.
    """
    if candidate.model.runtime != OnnxBackend.name:
        raise OptionError(
            "no penultimate features of this candidate",
            given=f"{candidate.name}, runtime {candidate.model.runtime}",
            allowed="a candidate of runtime onnx",
        )
    _onnx()


def _open(candidate: Candidate) -> OpenedCandidate:
    """The candidate with the inner tensor as its output."""
    model = candidate.model
    verify(model)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "exposed.onnx"
        output = expose(model.file, copy)
        settings = {**model.settings, "output": output}
        backend = OnnxBackend.open(copy, threads=model.threads, providers=model.providers, settings=settings)
    return OpenedCandidate(candidate, Network(model, backend, candidate.n_labels))


def _describe(store: Store, version: str, candidate: str, width: int) -> None:
    """Store whose vectors these are: their only part is the run of the candidate."""
    names = [f"{candidate}.{index}" for index in range(width)]
    describe_families(store, [StoredFamily(version, tuple(names), {name: [candidate] for name in names})])


def _onnx() -> Any:
    try:
        return import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "lab") from error


def _decode_error() -> type[Exception]:
    """What protobuf, which comes with onnx, raises for bytes that are no message."""
    error: type[Exception] = import_module("google.protobuf.message").DecodeError
    return error
