"""Feature pass: the values of every feature family on every sample, each exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from premodel.domains.base import Domain, FeatureExtractor
from premodel.domains.registry import adopt
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress
from premodel.profiling.samples import Task, tasks_of, try_open
from premodel.profiling.workers.workers import SampleJob, Workers
from premodel.store.features import StoredFamily, describe_families, describe_groups, known_samples
from premodel.store.groups import group_key
from premodel.store.samples import Entry, Opening, sample_row
from premodel.store.schema import FEATURES, SAMPLES
from premodel.store.store import Store
from premodel.store.writer import Writer
from premodel.zoo.candidate import Candidate


@dataclass(frozen=True)
class Vectors:
    """One sample's values, float32 bytes, by the number of their family; none if its input could not be opened."""

    entry: Entry
    opening: Opening
    values: tuple[tuple[int, bytes], ...] = ()


@dataclass
class FeatureJob:
    """Computes the feature groups that are wanted of each input (`Task.wanted` numbers them)."""

    domain: Domain
    threads: int
    _extractors: dict[tuple[int, ...], FeatureExtractor] = field(default_factory=dict)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """None: no model is opened."""
        return ()

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> FeatureJob:
        """See `SampleJob`."""
        del candidates
        return self

    def open(self) -> None:
        """Set the threads of the domain's own code, and open what features are computed with."""
        adopt(self.domain)
        self.domain.set_threads(self.threads)
        self._extractors = {tuple(range(len(self.domain.feature_groups))): self.domain.extractor()}

    def work(self, task: Task) -> Iterator[Vectors]:
        """Compute one sample's values."""
        sample, opening = try_open(task, self.domain)
        if sample is None:
            yield Vectors(task.entry, opening)
            return
        groups = [self.domain.feature_groups[index] for index in task.wanted]
        extractor = self._extractors.get(task.wanted)
        if extractor is None:
            names = [name for group in groups for name in group.names]
            self._extractors[task.wanted] = extractor = self.domain.extractor(names)
        ends = np.cumsum([len(group.names) for group in groups])
        values = np.split(extractor.extract(sample).astype("<f4"), ends[:-1])
        yield Vectors(
            task.entry, opening, tuple((index, one.tobytes()) for index, one in zip(task.wanted, values, strict=True))
        )

    def rest(self, task: Task, result: Vectors) -> None:
        """Nothing: all that is wanted of a sample comes at once."""

    def close(self) -> None:
        """Drop the extractors."""
        self._extractors = {}


@dataclass
class FeatureResult:
    """What the pass did: samples with new values, samples that lacked none, and (name, reason) of unreadable inputs."""

    vectors: int = 0
    kept: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def extract_all(
    store: Store,
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    threads: int = 1,
) -> FeatureResult:
    """Store the values that are missing; a group whose version was raised is missing, the others are kept.

    Of a domain without features nothing is stored.

    Raises
    ------
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    domain = dataset.domain
    families = [StoredFamily(group.key, group.names, group.needs) for group in domain.feature_groups]
    if not families:
        return FeatureResult(kept=len(entries))
    describe_families(store, families, domain.features_version)
    keys = [family.key for family in families]
    job = FeatureJob(domain, 1 if workers.apart else threads)
    return store_vectors(store, job, keys, "extracting features", dataset, entries, workers, progress)


def store_vectors(
    store: Store,
    job: SampleJob[Vectors],
    keys: Sequence[str],
    title: str,
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    describe: Callable[[bytes], None] | None = None,
) -> FeatureResult:
    """Have a job compute the values that are not stored of some families, and store them as they come.

    Parameters
    ----------
    keys:
        Of the families; a task asks for some of their numbers.
    title:
        Of the progress.
    describe:
        Called with the first values before they are stored, where only values show how many there are.

    Raises
    ------
    RunError
        A worker died, or the job failed.
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    known = known_samples(store, keys)
    wanted: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        lacking = tuple(index for index, samples in enumerate(known) if entry.sample not in samples)
        if lacking:
            wanted[entry.sample] = lacking
    result = FeatureResult(kept=len(entries) - len(wanted))
    if not wanted:
        return result
    describe_groups(store, [[keys[index] for index in indices] for indices in set(wanted.values())])
    progress.begin(title, len(wanted), dataset.domain.plural)
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
                if not done.values:
                    continue
                if describe is not None and not result.vectors:
                    describe(done.values[0][1])
                group = group_key([keys[index] for index, _ in done.values])
                vector = b"".join(values for _, values in done.values)
                writer.add(FEATURES, {"version": group, "sample": done.entry.sample, "vector": vector})
                result.vectors += 1
    finally:
        progress.end()
    return result
