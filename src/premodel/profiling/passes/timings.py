"""Timing pass: the timing record of every candidate, of decoding and of the features, on this device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from premodel.domains.base import Domain
from premodel.profiling.boards import Board, BoardCandidateWork, BoardDecodeWork, BoardFeatureWork
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.footprint import measure_footprint
from premodel.profiling.passes.engine import measure_engine
from premodel.profiling.passes.interleaved import PREPROCESS, CandidateWork, FeatureWork, Subject, time_interleaved
from premodel.profiling.progress import Progress, UntilSteady
from premodel.profiling.samples import draw_inputs
from premodel.records import UNFINISHED, Footprint
from premodel.runtime.candidate import OpenedCandidate, open_candidates
from premodel.runtime.conditions import OtherLoad
from premodel.store.measurements import (
    StoredTiming,
    decode_subject,
    features_subject,
    pack_runs,
    read_timings,
    timing_row,
    unpack_runs,
    write_timings,
)
from premodel.store.runs import read_labels
from premodel.store.samples import Entry
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate


@dataclass(frozen=True)
class TimingOptions:
    """How to time.

    Attributes
    ----------
    device:
        Name under which the records are kept.
    opencv_threads:
        Threads of OpenCV; those of a candidate are its own.
    run:
        Number of the run in the store.
    max_seconds:
        Cap on the interleaved measuring, warm-up and footprints not included.
    retime:
        "" keeps all records there are, "invalid" measures the INVALID ones again, "all" all of them.
    seed:
        Of the order and of the inputs.
    board:
        The machine whose clock is used; None for this one's.
    """

    device: str
    opencv_threads: int
    run: int
    max_seconds: float = 120.0
    retime: str = ""
    seed: int = 0
    board: Board | None = None


@dataclass
class TimingResult:
    """What the pass did.

    Attributes
    ----------
    timed, kept, invalid:
        Subjects timed, how many records were kept from before, and subjects whose records are INVALID.
    other_cores, other_processes:
        Cores that other programs kept busy meanwhile, and the busiest of these programs; None and empty where the
        system does not tell.
    engine_ms:
        What an answer costs beyond its stages; None if it was not measured.
    cold_load_ms:
        Opening each candidate's network from files that are not in the page cache, where that could be measured.
    """

    timed: list[str] = field(default_factory=list)
    kept: int = 0
    invalid: list[str] = field(default_factory=list)
    other_cores: float | None = None
    other_processes: dict[str, float] = field(default_factory=dict)
    engine_ms: float | None = None
    cold_load_ms: dict[str, float] = field(default_factory=dict)


def time_all(
    store: Store,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    entries: Sequence[Entry],
    options: TimingOptions,
    progress: Progress,
) -> TimingResult:
    """Store the timing records that are missing on this device.

    A record broken off by the end of its run is continued; an INVALID one is kept unless asked otherwise.

    Raises
    ------
    DatasetError
        No input can be decoded.
    StoreError
        The store cannot be written to.
    """
    keys = [candidate.timing_key for candidate in candidates]
    domain = dataset.domain
    decoding = decode_subject(options.opencv_threads, dataset.detail)
    features = features_subject(domain.features_version, options.opencv_threads) if domain.feature_groups else None
    subjects = dict.fromkeys([*keys, decoding, *([] if features is None else [features])])
    stored = read_timings(store, options.device)
    wanted = [name for name in subjects if _is_wanted(stored.get(name), options.retime)]
    result = TimingResult(kept=len(subjects) - len(wanted))
    names = {decoding: "decode"} | ({} if features is None else {features: "features"})
    names |= {candidate.timing_key: candidate.name for candidate in candidates}
    if wanted:
        inputs = draw_inputs(dataset, entries, options.seed)
        domain.set_threads(options.opencv_threads)
        session = _Session(store, domain, options, progress, stored)
        distinct = {candidate.timing_key: candidate for candidate in candidates}
        session.weigh([distinct[name] for name in wanted if name in distinct], inputs[0])
        result.cold_load_ms = session.cold_load_ms(candidates)
        session.time(distinct, decoding, features, wanted, inputs)
        result.other_cores, result.other_processes = session.other_cores, session.other_processes
        if options.board is None:
            usable = [one for one in candidates if not one.model.is_remote]
            times = read_timings(store, options.device)
            known = [one for one in usable if one.timing_key in times and times[one.timing_key].timing.count]
            fastest = min(known, key=lambda one: times[one.timing_key].timing.median_ms, default=None)
            if fastest is not None:
                result.engine_ms = measure_engine(fastest, read_label_names(store), inputs)
        result.timed = [names[name] for name in wanted]
        stored = read_timings(store, options.device)
    result.invalid = [names[name] for name in names if name in stored and not stored[name].timing.valid]
    return result


def candidates_to_time(store: Store, candidates: Sequence[Candidate], options: TimingOptions) -> list[Candidate]:
    """Those whose record is missing on this device, was broken off, or is asked for again."""
    stored = read_timings(store, options.device)
    return [one for one in candidates if _is_wanted(stored.get(one.timing_key), options.retime)]


def read_label_names(store: Store) -> tuple[str, ...]:
    """The labels of a store."""
    with store.reading() as connection:
        return read_labels(connection)


def _is_wanted(record: StoredTiming | None, retime: str) -> bool:
    if record is None or retime == "all" or record.unfinished:
        return True
    return retime == "invalid" and not record.timing.valid


class _Session:
    """One timing pass: weighs networks, times subjects, stores their records as they come."""

    def __init__(
        self, store: Store, domain: Domain, options: TimingOptions, progress: Progress, stored: dict[str, StoredTiming]
    ) -> None:
        self._store = store
        self._domain = domain
        self._options = options
        self._progress = progress
        self._stored = stored
        self._footprints: dict[str, Footprint] = {}
        self._bar: UntilSteady | None = None
        self.other_cores: float | None = None
        self.other_processes: dict[str, float] = {}

    def weigh(self, candidates: Sequence[Candidate], data: bytes) -> None:
        """Measure load time and memory, once for each network."""
        networks: dict[str, Footprint] = {}
        self._progress.begin("weighing candidates", len(candidates), "candidates")
        try:
            for candidate in candidates:
                key = candidate.network_key
                if key not in networks:
                    networks[key] = measure_footprint(candidate, data)
                self._footprints[candidate.timing_key] = networks[key]
                self._progress.advance()
        finally:
            self._progress.end()

    def cold_load_ms(self, candidates: Sequence[Candidate]) -> dict[str, float]:
        """Of the networks weighed, by candidate, where it was measured."""
        found = {one.name: self._footprints.get(one.timing_key, Footprint()).cold_load_ms for one in candidates}
        return {name: round(value, 3) for name, value in found.items() if math.isfinite(value)}

    def time(
        self,
        candidates: dict[str, Candidate],
        decoding: str,
        features: str | None,
        wanted: Sequence[str],
        inputs: Sequence[bytes],
    ) -> None:
        """Time what is wanted among all candidates."""
        opened = open_candidates(candidates.values())
        try:
            subjects = self._subjects(list(candidates), opened, decoding, features, inputs)
            for subject in subjects:
                self._resume(subject)
            todo = [subject for subject in subjects if subject.name in wanted]
            others = [subject for subject in subjects if subject.name not in wanted]
            load = OtherLoad()
            options = self._options
            with UntilSteady(self._progress, "timing", options.max_seconds) as self._bar:
                time_interleaved(
                    todo, others, inputs, self._domain.decode, options.max_seconds, options.seed, self._hand_over
                )
            if not self._on_board:
                self.other_cores, self.other_processes = load.cores(), load.processes()
        finally:
            for one in opened:
                one.close()

    @property
    def _on_board(self) -> bool:
        """Is the clock that of another machine."""
        return self._options.board is not None and self._options.board.has_clock

    def _subjects(
        self, keys: Sequence[str], opened: Sequence[OpenedCandidate], decoding: str, features: str | None,
        inputs: Sequence[bytes],
    ) -> list[Subject]:  # fmt: skip
        """What is timed, each by the clock of the machine that runs it."""
        if not self._on_board:
            subjects = [Subject(key, CandidateWork(one)) for key, one in zip(keys, opened, strict=True)]
            if features is not None:
                subjects.append(Subject(features, FeatureWork(self._domain), part=True))
            return [*subjects, Subject(decoding, None, part=True)]
        seed = self._options.seed
        works = [BoardCandidateWork(one, inputs, seed + index) for index, one in enumerate(opened)]
        subjects = [Subject(key, work) for key, work in zip(keys, works, strict=True)]
        if features is not None:
            work = BoardFeatureWork(self._domain, opened[0], inputs, seed + len(works))
            subjects.append(Subject(features, work, part=True))
        return [*subjects, Subject(decoding, BoardDecodeWork(opened[0], inputs, seed + len(works) + 1), part=True)]

    def _resume(self, subject: Subject) -> None:
        """Take over the runs of a record that was broken off; parts of features are not kept, so those start anew."""
        record = self._stored.get(subject.name)
        if record is None or not record.unfinished or not isinstance(subject.work, CandidateWork):
            return
        runs = unpack_runs(record.runs_ms)
        subject.runs_ms.extend(runs)
        subject.stages_ms[PREPROCESS] = record.preprocess_mean_ms * len(runs)

    def _hand_over(self, subjects: Iterable[Subject], done: bool) -> None:
        rows = [self._row(subject, done) for subject in subjects]
        costs = [cost for subject in subjects if done for cost in self._costs(subject)]

        if rows:
            write_timings(self._store, rows, costs)
        if self._bar is not None:
            self._bar.move()

    def _row(self, subject: Subject, done: bool) -> dict[str, Any]:
        timing = subject.timing()
        if not done:
            timing = replace(timing, valid=False, reason=UNFINISHED)
        elif not timing.valid and timing.count:
            timing = replace(timing, reason=f"{timing.reason}; stopped after {self._options.max_seconds:g} s")
        before = self._stored.get(subject.name)
        record = StoredTiming(
            timing,
            self._footprints.get(subject.name, Footprint()),
            subject.stages_ms.get(PREPROCESS, math.nan) / max(1, timing.count),
            before.energy_mj if before else math.nan,  # another pass measures it
            pack_runs(subject.runs_ms),
            self._options.run,
        )
        return timing_row(self._options.device, subject.name, record)

    def _costs(self, subject: Subject) -> list[dict[str, Any]]:
        """The mean of each part of the features."""
        if not isinstance(subject.work, FeatureWork) or not subject.runs_ms:
            return []
        count = len(subject.runs_ms)
        key = {
            "device": self._options.device,
            "version": self._domain.features_version,
            "threads": self._options.opencv_threads,
            "count": count,
        }
        return [{**key, "part": part, "mean_ms": total / count} for part, total in subject.stages_ms.items()]
