"""Interleaved timing: all that is timed takes turns, in random order, on randomly drawn real inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from premodel.clock import MIN_RUNS, now_ms, summarise
from premodel.domains.base import Domain
from premodel.errors import RunError
from premodel.records import Timing
from premodel.runtime.candidate import OpenedCandidate

Decode = Callable[[bytes], Any]
PREPROCESS, RUN, DECODE = "preprocess", "run", "decode"
"""Stages."""

WARMUP_ROUNDS = 5
WARMUP_MS = 500.0
CHECK_MS = 1000.0
"""How often verdicts are taken and unfinished records are handed over."""


class Work(Protocol):
    """One thing to be timed on a decoded input: gives its milliseconds by stage; raises RunError if it fails."""

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        ...


class CandidateWork:
    """Preprocess and run, as a single candidate alone does it."""

    def __init__(self, opened: OpenedCandidate) -> None:
        self._opened = opened

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        start = now_ms()
        tensor = self._opened.prepare(sample)
        prepared = now_ms()
        self._opened.run(tensor)
        return {PREPROCESS: prepared - start, RUN: now_ms() - prepared}


class FeatureWork:
    """All features of one input, cost item by cost item."""

    def __init__(self, domain: Domain) -> None:
        self._extractor = domain.extractor()

    def __call__(self, sample: Any) -> dict[str, float]:
        """Do it once."""
        return self._extractor.time_cost_items(sample)


@dataclass
class Subject:
    """What is timed, and its runs so far.

    Attributes
    ----------
    name:
        Key of its record.
    work:
        Does it once. None for decoding, which every round begins with.
    runs_ms:
        Sum over the stages, of each run.
    inputs:
        Which input each run was on; shorter than `runs_ms` where some were measured in an earlier run of the command.
    stages_ms:
        Sum over the runs, of each stage.
    failure:
        Why it failed last; empty if it never did.
    part:
        Is it never served alone: decoding and features, which come before every candidate.
    beside_ms:
        Of a part: mean of the quickest candidate so far, with which it is judged (`summarise`).
    """

    name: str
    work: Work | None
    runs_ms: list[float] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    part: bool = False
    beside_ms: float = 0.0

    def add(self, stages: dict[str, float], number: int) -> None:
        """Add one run, on the input of that number."""
        self.runs_ms.append(sum(stages.values()))
        self.inputs.append(number)
        for stage, spent_ms in stages.items():
            self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + spent_ms

    def timing(self) -> Timing:
        """The record so far, with its verdict."""
        known = self.inputs if len(self.inputs) == len(self.runs_ms) else None
        timing = summarise(self.runs_ms, self.beside_ms, known)
        return (
            timing if timing.count or not self.failure else replace(timing, reason=f"every run failed: {self.failure}")
        )


def time_interleaved(
    subjects: Sequence[Subject],
    others: Sequence[Subject],
    inputs: Sequence[bytes],
    decode: Decode,
    max_seconds: float,
    seed: int,
    hand_over: Callable[[Iterable[Subject], bool], None],
) -> None:
    """Time subjects until each record is valid, or for `max_seconds`; a part is judged within the quickest answer.

    Parameters
    ----------
    subjects:
        What is to be timed; their runs are added to.
    others:
        What has a valid record already; it only takes part.
    inputs, decode:
        Encoded inputs, and what decodes them.
    hand_over:
        Called every second with the subjects still being timed (False), and with subjects that are done (True); and
        with nothing once everything is warm.

    Notes
    -----
    One that is done keeps taking part, one drawn at random in each round: caches and branch predictors are then as
    disturbed for the last subject as for the first, and as they are in a deployment with several networks.
    """
    rng = np.random.default_rng(seed)
    _warm_up([*subjects, *others], inputs, decode, rng)
    active = list(subjects)
    resting = [subject for subject in others if subject.work is not None]
    hand_over((), False)
    start = checked = now_ms()
    while active:
        turns = [subject for subject in active if subject.work is not None]
        if resting:
            turns.append(resting[int(rng.integers(len(resting)))])
        decoding = next((subject for subject in active if subject.work is None), None)
        number = int(rng.integers(len(inputs)))
        time_round(turns, decoding, inputs[number], decode, rng, number)
        now = now_ms()
        if now - checked < CHECK_MS and now - start < max_seconds * 1e3:
            continue
        checked = now
        out_of_time = now - start >= max_seconds * 1e3
        _judge_parts(active, [*subjects, *others])
        done = [subject for subject in active if out_of_time or subject.timing().valid]
        active = [subject for subject in active if subject not in done]
        resting.extend(subject for subject in done if subject.work is not None)
        hand_over(done, True)
        hand_over(active, False)


def _judge_parts(active: Sequence[Subject], subjects: Sequence[Subject]) -> None:
    """Have every part know what the quickest candidate takes."""
    candidates = [one for one in subjects if not one.part and len(one.runs_ms) >= MIN_RUNS]
    quickest_ms = min((sum(one.runs_ms) / len(one.runs_ms) for one in candidates), default=0.0)
    for subject in active:
        if subject.part:
            subject.beside_ms = quickest_ms


def _warm_up(subjects: Sequence[Subject], inputs: Sequence[bytes], decode: Decode, rng: np.random.Generator) -> None:
    start = now_ms()
    rounds = 0
    warming = [Subject(subject.name, subject.work) for subject in subjects if subject.work is not None]
    while rounds < WARMUP_ROUNDS or now_ms() - start < WARMUP_MS:
        time_round(warming, None, inputs[int(rng.integers(len(inputs)))], decode, rng)
        rounds += 1


def time_round(
    turns: Sequence[Subject],
    decoding: Subject | None,
    data: bytes,
    decode: Decode,
    rng: np.random.Generator,
    number: int = 0,
) -> None:
    """Decode an input, and run every subject on it once, in random order; a subject that fails keeps the reason.

    `number` is that of the input, by which its runs are known.
    """
    start = now_ms()
    sample = decode(data)
    spent_ms = now_ms() - start
    if decoding is not None:
        decoding.add({"decode": spent_ms}, number)
    for index in rng.permutation(len(turns)):
        subject = turns[index]
        if subject.work is None:
            continue
        try:
            subject.add(subject.work(sample), number)
        except RunError as error:
            subject.failure = str(error)
