"""Feature pass: every sample's feature vector, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from premodel.domains.image.decode import set_threads
from premodel.domains.image.features.costs import parts_of
from premodel.domains.image.features.extractor import EXTRACTOR_VERSION, Extractor
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress
from premodel.profiling.samples import Task, tasks_of, try_open
from premodel.profiling.workers.workers import SampleJob, Workers
from premodel.store.features import describe_extractor, known_samples
from premodel.store.samples import Entry, Opening, sample_row
from premodel.store.schema import FEATURES, SAMPLES
from premodel.store.store import Store
from premodel.store.writer import Writer
from premodel.zoo.manifest import Candidate


@dataclass(frozen=True)
class Vector:
    """One sample's features, float32 bytes; None if its image could not be opened."""

    entry: Entry
    opening: Opening
    vector: bytes | None


@dataclass
class FeatureJob:
    """Computes all features of each image."""

    opencv_threads: int
    _extractor: Extractor | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """None: no model is opened."""
        return ()

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> FeatureJob:
        """See `SampleJob`."""
        del candidates
        return self

    def open(self) -> None:
        """Make the extractor."""
        set_threads(self.opencv_threads)
        self._extractor = Extractor()

    def work(self, task: Task) -> Iterator[Vector]:
        """Compute one sample's vector."""
        image, opening = try_open(task)
        if image is None or self._extractor is None:
            yield Vector(task.entry, opening, None)
        else:
            yield Vector(task.entry, opening, self._extractor.extract(image.rgb).astype("<f4").tobytes())

    def rest(self, task: Task, result: Vector) -> None:
        """Nothing: a sample has one vector."""

    def close(self) -> None:
        """Drop the extractor."""
        self._extractor = None


@dataclass
class FeatureResult:
    """What the pass did: vectors newly stored, vectors stored before, and (name, reason) of unreadable images."""

    vectors: int = 0
    kept: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def extract_all(
    store: Store,
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    opencv_threads: int = 1,
) -> FeatureResult:
    """Store the feature vectors that are missing.

    Raises
    ------
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    _describe(store)
    job = FeatureJob(1 if workers.apart else opencv_threads)
    return store_vectors(store, job, EXTRACTOR_VERSION, "extracting features", dataset, entries, workers, progress)


def store_vectors(
    store: Store,
    job: SampleJob[Vector],
    version: str,
    title: str,
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    describe: Callable[[bytes], None] | None = None,
) -> FeatureResult:
    """Have a job compute the vectors that are not stored under a version, and store them as they come.

    Parameters
    ----------
    title:
        Of the progress.
    describe:
        Called with the first vector before it is stored, where only a vector tells what vectors hold.

    Raises
    ------
    RunError
        A worker died, or the job failed.
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    known = known_samples(store, version)
    wanted = {entry.sample: (0,) for entry in entries if entry.sample not in known}
    result = FeatureResult(kept=len(entries) - len(wanted))
    if not wanted:
        return result
    progress.begin(title, len(wanted), "images")
    try:
        with Writer(store) as writer:
            for done in workers.run(job, tasks_of(dataset, entries, wanted), len(wanted)):
                progress.advance()
                name = dataset.names[done.entry.row]
                if done.opening.reason:
                    result.unreadable.append((name, done.opening.reason))
                if done.opening.changed:
                    continue
                writer.add(SAMPLES, sample_row(done.entry, name, done.opening))
                if done.vector is None:
                    continue
                if describe is not None and not result.vectors:
                    describe(done.vector)
                writer.add(FEATURES, {"version": version, "sample": done.entry.sample, "vector": done.vector})
                result.vectors += 1
    finally:
        progress.end()
    return result


def _describe(store: Store) -> None:
    names = Extractor().names
    describe_extractor(store, EXTRACTOR_VERSION, names, {name: parts_of([name]) for name in names})
