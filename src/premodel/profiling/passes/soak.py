"""Soak pass: latencies of every candidate, of decoding and of the features over a long time, on this device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from premodel.errors import OptionError, StoreError
from premodel.profiling.board_state import BoardState
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.meters.base import RealTime, Time
from premodel.profiling.passes.interleaved import CandidateWork, Decode, FeatureWork, Subject, time_round
from premodel.profiling.progress import Progress
from premodel.profiling.samples import draw_inputs
from premodel.profiling.soak import Recorder, SoakOptions, Stages, soak
from premodel.profiling.sustained import Sustained, judge_soak
from premodel.runtime.candidate import open_candidates
from premodel.store.measurements import decode_subject, features_subject
from premodel.store.samples import Entry
from premodel.store.soaks import Curve, write_soak
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate

WARMUP_ROUNDS = 5
"""Before the first window, so that it holds no first runs of networks; the machine is still as cool as it was."""


@dataclass(frozen=True)
class SoakPlan:
    """A soak of a profile.

    Attributes
    ----------
    options:
        How long, and how often.
    opencv_threads, run, seed:
        As in TimingOptions.
    time, board:
        The time and the machine it is measured in.
    """

    options: SoakOptions
    opencv_threads: int
    run: int
    seed: int = 0
    time: Time = field(default_factory=lambda: RealTime())
    board: BoardState = field(default_factory=lambda: BoardState())


def refuse_remote(candidates: Sequence[Candidate]) -> None:
    """Raise OptionError if a candidate runs on another machine, whose clock and temperature are not seen here."""
    remote = [
        candidate.name for candidate in candidates if candidate.home is not candidate or candidate.model.is_remote
    ]
    if remote:
        raise OptionError(
            "a soak must run on the machine of the models", given=f"{remote[0]} runs elsewhere",
            do="run premodel profile --soak there",
        )  # fmt: skip


def soak_all(
    store: Store,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    entries: Sequence[Entry],
    plan: SoakPlan,
    progress: Progress,
) -> Sustained:
    """Measure, and store after every window what was measured so far.

    Raises
    ------
    DatasetError
        No input can be decoded.
    StoreError
        The store cannot be written to at the end.

    Notes
    -----
    A store that cannot be written to for a while, as on a full disk, does not end the soak: the whole curve is written
    anew after each window, and an error that is left at the end is raised.
    """
    domain = dataset.domain
    inputs = draw_inputs(dataset, entries, plan.seed)
    domain.set_threads(plan.opencv_threads)
    distinct = {candidate.timing_key: candidate for candidate in candidates}
    opened = open_candidates(distinct.values())
    try:
        subjects = [Subject(key, CandidateWork(one)) for key, one in zip(distinct, opened, strict=True)]
        names = [candidate.name for candidate in distinct.values()]
        if domain.feature_groups:
            subjects.append(
                Subject(features_subject(domain.features_version, plan.opencv_threads), FeatureWork(domain), part=True)
            )
            names.append("features")
        decoding = Subject(decode_subject(plan.opencv_threads, dataset.detail), None, part=True)
        keys = [*(subject.name for subject in subjects), decoding.name]
        rounds = Rounds(subjects, decoding, inputs, domain.decode, plan.seed, alone=bool(plan.options.every_s))
        for _ in range(WARMUP_ROUNDS):
            rounds.whole_round()
        writer = _Writer(store, plan.run, progress)
        recorder = Recorder([*names, "decode"], keys, plan.options, parts=len(keys) - len(distinct))
        curve = soak(rounds, recorder, plan.options, plan.time, plan.board, progress, writer)
        writer.raise_last()
        return judge_soak(curve)
    finally:
        for one in opened:
            one.close()


class Rounds:
    """What a soak does step by step: all subjects on one input, or one of them in turn."""

    def __init__(
        self, subjects: Sequence[Subject], decoding: Subject, inputs: Sequence[bytes], decode: Decode, seed: int,
        *, alone: bool,
    ) -> None:  # fmt: skip
        self._subjects = list(subjects)
        self._decoding = decoding
        self._inputs = inputs
        self._decode = decode
        self._rng = np.random.default_rng(seed)
        self._alone = alone
        self._waiting: list[int] = []

    def whole_round(self) -> list[tuple[int, Stages]]:
        """All subjects."""
        return self._run(list(range(len(self._subjects))))

    def __call__(self) -> list[tuple[int, Stages]]:
        """One step."""
        if not self._alone:
            return self.whole_round()
        self._waiting = self._waiting or self._rng.permutation(len(self._subjects)).tolist()
        return self._run([self._waiting.pop()])

    def _run(self, turns: list[int]) -> list[tuple[int, Stages]]:
        data = self._inputs[int(self._rng.integers(len(self._inputs)))]
        time_round([self._subjects[index] for index in turns], self._decoding, data, self._decode, self._rng)
        return list(self._taken(turns))

    def _taken(self, turns: list[int]) -> Iterator[tuple[int, Stages]]:
        for index, subject in (*((i, self._subjects[i]) for i in turns), (len(self._subjects), self._decoding)):
            if subject.runs_ms:
                yield index, dict(subject.stages_ms)
            subject.runs_ms.clear()
            subject.stages_ms.clear()


class _Writer:
    """Stores the curve after every window."""

    def __init__(self, store: Store, run: int, progress: Progress) -> None:
        self._store, self._run, self._progress = store, run, progress
        self._error: StoreError | None = None

    def __call__(self, curve: Curve) -> None:
        try:
            write_soak(self._store, self._run, curve)
        except StoreError as error:
            if self._error is None:
                self._progress.note(f"{error}; measuring goes on, and it is stored as soon as it can be")
            self._error = error
        else:
            self._error = None

    def raise_last(self) -> None:
        """Raise the error of the last window, if it could not be stored."""
        if self._error is not None:
            raise self._error
