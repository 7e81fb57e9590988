"""Prediction pass: every candidate's answer to every sample, each exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from premodel.clock import now_ms
from premodel.domains.base import Domain
from premodel.domains.registry import adopt
from premodel.errors import ModelError, RunError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.passes.order import Order
from premodel.profiling.progress import Progress
from premodel.profiling.race import StartRace
from premodel.profiling.samples import Task, tasks_of, try_open
from premodel.profiling.workers.workers import Workers
from premodel.runtime.candidate import OpenedCandidate, open_candidates
from premodel.runtime.prediction import rank_of, to_prediction
from premodel.store.answers import Said, known_truths
from premodel.store.samples import Entry, Opening, sample_row
from premodel.store.schema import OUTCOMES, PREDICTIONS, SAMPLES
from premodel.store.store import Store
from premodel.store.writer import Writer
from premodel.zoo.candidate import Candidate

GATHER_MS = 200.0
"""Answers to one sample are gathered this long, so that slow candidates' answers do not wait for one another."""

MAX_FAILURES = 50
"""A candidate that has failed on this many samples and succeeded on none stops the pass."""

MIN_REPEATS, MAX_REPEATS, REPEATED_PART = 5, 20, 20
"""One sample in twenty is asked again after the pass, at least 5 and at most 20."""
SAME_PROBABILITY = 0.01
"""A larger difference of the first probability is no rounding of threads or of a processor."""


@dataclass(frozen=True, kw_only=True)
class Answer(Said):
    """One candidate's answer to one sample, as the store keeps it; `reason` is empty unless it failed."""

    candidate: int
    reason: str
    truth_rank: int
    entropy: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Answers:
    """Some of the answers asked for one sample; none if its image could not be opened.

    `opening` comes with the first of them and is None with the others.
    """

    entry: Entry
    opening: Opening | None
    answers: tuple[Answer, ...]


@dataclass
class PredictionJob:
    """Opens the candidates once, decodes each input once, and shares among them what preparing it has in common."""

    domain: Domain
    candidates: tuple[Candidate, ...]
    threads: int
    alone: frozenset[str] = frozenset()
    """Samples on which nothing is shared, so that each candidate is timed as if it ran alone."""
    _opened: list[OpenedCandidate] = field(default_factory=list)

    def with_candidates(self, candidates: tuple[Candidate, ...]) -> PredictionJob:
        """See `SampleJob`."""
        return replace(self, candidates=candidates)

    def open(self) -> None:
        """Open the candidates; raises as `open_candidates`."""
        adopt(self.domain)
        self.domain.set_threads(self.threads)
        self._opened = open_candidates(self.candidates)
        if self.domain.latency_varies:
            for opened in self._opened:
                _warm_up(opened)

    def work(self, task: Task) -> Iterator[Answers]:
        """Answer one sample by the candidates that are wanted; slow ones' answers are given as they come."""
        sample, opening = try_open(task, self.domain)
        if sample is None:
            yield Answers(task.entry, opening, ())
            return
        alone = task.entry.sample in self.alone
        shared = None if alone else self.domain.shared(sample)
        first: Opening | None = opening
        answers: list[Answer] = []
        start = now_ms()
        for index in task.wanted:
            answers.append(_answer(self._opened[index], index, sample, shared, task.entry.label))
            if now_ms() - start >= GATHER_MS:
                yield Answers(task.entry, first, tuple(answers))
                first, answers, start = None, [], now_ms()
        if answers:
            yield Answers(task.entry, first, tuple(answers))

    def rest(self, task: Task, result: Answers) -> Task | None:
        """The candidates that have not answered yet."""
        answered = {answer.candidate for answer in result.answers}
        wanted = tuple(index for index in task.wanted if index not in answered)
        return replace(task, wanted=wanted) if answered and wanted else None

    def close(self) -> None:
        """Close the candidates."""
        for opened in self._opened:
            opened.close()
        self._opened = []


def _warm_up(opened: OpenedCandidate) -> None:
    """Run it once, so that what it loads at its first call does not count as the time of the first sample."""
    candidate = opened.candidate
    if candidate.model.is_remote or opened.network.backend.recorded:
        return
    with suppress(RunError):  # the samples will tell
        opened.predict(candidate.domain.decode(candidate.domain.synthetic()))


def _answer(opened: OpenedCandidate, index: int, sample: Any, shared: Any, label: int) -> Answer:
    candidate = opened.candidate
    start = now_ms()
    try:
        if not candidate.domain.answers_labels:
            said = opened.predict(sample, shared)
            took_ms, probability = now_ms() - start, said.probabilities.astype("<f4").tobytes()
            return Answer(
                candidate=index, reason="", truth_rank=0, entropy=said.entropy, latency_ms=took_ms,
                probabilities=probability, outcome=said.outcome,
            )  # fmt: skip
        distribution = opened.distribution(opened.prepare(sample, shared))
        prediction = to_prediction(distribution)
        latency_ms = now_ms() - start
    except RunError as error:
        return Answer(
            candidate=index, reason=str(error), truth_rank=candidate.n_labels or 1, entropy=None, latency_ms=None
        )
    return Answer(
        candidate=index,
        reason="",
        truth_rank=rank_of(distribution, label),
        entropy=prediction.entropy,
        latency_ms=latency_ms,
        labels=prediction.labels.astype("<i4").tobytes(),
        probabilities=prediction.probabilities.astype("<f4").tobytes(),
    )


@dataclass
class PredictionResult:
    """What the pass did.

    Attributes
    ----------
    predictions, failed:
        Answers newly stored, and those among them that failed, by candidate name.
    reasons:
        Why the first answer of a candidate failed.
    kept:
        Answers that were in the store already.
    unreadable:
        (name, reason) of images that could not be opened.
    opened:
        Images that could be.
    repeated:
        By prediction key: samples that were answered otherwise when they were asked again, and samples asked again.
    """

    predictions: int = 0
    kept: int = 0
    opened: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    repeated: dict[str, tuple[int, int]] = field(default_factory=dict)


def predict_all(
    store: Store,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    entries: Sequence[Entry],
    workers: Workers,
    progress: Progress,
    threads: int = 1,
    start_race: StartRace | None = None,
) -> PredictionResult:
    """Store the answers that are missing: of new samples, new candidates, changed labels, and those that failed before.

    Parameters
    ----------
    start_race:
        Gives the race that leaves candidates out on the way, for these that answer and what each sample lacks; None
        for no race.

    Raises
    ------
    ModelError
        A candidate fails on every sample it is given; the answers so far, failures included, are stored.
    StoreError
        The store cannot be written to; what was committed is kept.
    """
    distinct = tuple({candidate.prediction_key: candidate for candidate in candidates}.values())
    known = [known_truths(store, candidate.prediction_key) for candidate in distinct]
    wanted: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        lacking = tuple(index for index, truths in enumerate(known) if truths.get(entry.sample) != entry.label)
        if lacking:
            wanted[entry.sample] = lacking
    result = PredictionResult(kept=len(distinct) * len(entries) - sum(map(len, wanted.values())))
    if not wanted:
        return result
    race = None if start_race is None else start_race(distinct, wanted)
    order = Order(dataset, entries, wanted, race, progress)
    succeeded = [bool(truths) for truths in known]
    repeats = _Repeats(list(wanted))
    job = PredictionJob(dataset.domain, distinct, threads, order.alone)
    if workers.apart:
        single = tuple(candidate.with_threads(1) for candidate in distinct)
        job = PredictionJob(dataset.domain, single, 1, order.alone)
    progress.begin("predicting", sum(map(len, wanted.values())), "predictions")
    try:
        with Writer(store) as writer:
            for answers in workers.run(job, order.tasks(), len(wanted)):
                _store_answers(writer, answers, distinct, dataset, result)
                repeats.first(answers)
                opened = answers.opening is None or not answers.opening.reason
                progress.advance(len(answers.answers) if opened else order.asked(answers.entry.sample))
                for one in answers.answers:
                    order.note(one.candidate, answers.entry.sample, one.truth_rank, one.latency_ms)
                _check_failures(distinct, answers, succeeded, result)
    finally:
        progress.end()
    for candidate, success in zip(distinct, succeeded, strict=True):
        _stop_if_always_failing(candidate, success, result, minimum=1)
    if len(repeats.samples):
        again = {sample: order.running(wanted[sample]) for sample in wanted if sample in repeats.samples}
        progress.begin("repeating a few", sum(map(len, again.values())), "predictions")
        try:
            for answers in workers.run(job, tasks_of(dataset, entries, again), len(again)):
                repeats.again(answers)
                progress.advance(len(answers.answers))
        finally:
            progress.end()
    result.repeated = {distinct[index].prediction_key: counts for index, counts in repeats.counts.items()}
    return result


class _Repeats:
    """A few samples, spread over the run, whose answers are compared with those to the same samples asked again.

    Parameters
    ----------
    samples:
        All that are asked, in order.
    """

    def __init__(self, samples: Sequence[str]) -> None:
        self.samples = frozenset(spread(samples))
        self.counts: dict[int, tuple[int, int]] = {}
        self._first: dict[tuple[str, int], Answer] = {}

    def first(self, answers: Answers) -> None:
        """Remember what was answered first."""
        if answers.entry.sample in self.samples:
            for answer in answers.answers:
                self._first[answers.entry.sample, answer.candidate] = answer

    def again(self, answers: Answers) -> None:
        """Compare."""
        for answer in answers.answers:
            before = self._first.get((answers.entry.sample, answer.candidate))
            if before is not None:
                differ, asked = self.counts.get(answer.candidate, (0, 0))
                self.counts[answer.candidate] = differ + answers_differ(before, answer), asked + 1


def spread(samples: Sequence[str]) -> list[str]:
    """A few of the samples, as many as are asked again, evenly spread."""
    count = min(len(samples), max(MIN_REPEATS, min(MAX_REPEATS, len(samples) // REPEATED_PART)))
    rows = {round(place * (len(samples) - 1) / max(1, count - 1)) for place in range(count)}
    return [samples[row] for row in sorted(rows)]


def answers_differ(one: Said, other: Said) -> bool:
    """Is it another label or text, or the same with clearly another probability; or did one of the two fail."""
    if one.probabilities is None or other.probabilities is None:
        return (one.probabilities is None) != (other.probabilities is None)
    if (one.labels is None) != (other.labels is None) or one.outcome != other.outcome:
        return True
    if one.labels is not None and other.labels is not None:
        labels = [int(np.frombuffer(answer, "<i4")[0]) for answer in (one.labels, other.labels)]
        if labels[0] != labels[1]:
            return True
    probabilities = [float(np.frombuffer(answer, "<f4")[0]) for answer in (one.probabilities, other.probabilities)]
    return abs(probabilities[0] - probabilities[1]) > SAME_PROBABILITY


def _store_answers(
    writer: Writer, answers: Answers, candidates: Sequence[Candidate], dataset: Dataset, result: PredictionResult
) -> None:
    entry, opening = answers.entry, answers.opening
    name = dataset.names[entry.row]
    if opening is not None and opening.reason:
        result.unreadable.append((name, opening.reason))
    if opening is not None and not opening.changed:
        result.opened += not opening.reason
        writer.add(SAMPLES, sample_row(entry, name, opening))
    for answer in answers.answers:
        candidate = candidates[answer.candidate]
        writer.add(PREDICTIONS, _row(candidate.prediction_key, entry, answer))
        if answer.outcome is not None:
            key = {"prediction_key": candidate.prediction_key, "sample": entry.sample}
            writer.add(OUTCOMES, {**key, "outcome": answer.outcome})
        result.predictions += 1
        if answer.reason:
            result.failed[candidate.name] = result.failed.get(candidate.name, 0) + 1
            result.reasons.setdefault(candidate.name, answer.reason)


def _row(prediction_key: str, entry: Entry, answer: Answer) -> dict[str, Any]:
    return {
        "prediction_key": prediction_key,
        "sample": entry.sample,
        "truth": entry.label,
        "truth_rank": answer.truth_rank,
        "status": "failed" if answer.reason else "ok",
        "reason": answer.reason,
        "entropy": answer.entropy,
        "latency_ms": answer.latency_ms,
        "labels": answer.labels,
        "probabilities": answer.probabilities,
    }


def _check_failures(
    candidates: Sequence[Candidate], answers: Answers, succeeded: list[bool], result: PredictionResult
) -> None:
    for answer in answers.answers:
        if not answer.reason:
            succeeded[answer.candidate] = True
        elif not succeeded[answer.candidate]:
            _stop_if_always_failing(candidates[answer.candidate], False, result, MAX_FAILURES)


def _stop_if_always_failing(candidate: Candidate, succeeded: bool, result: PredictionResult, minimum: int) -> None:
    failed = result.failed.get(candidate.name, 0)
    if succeeded or failed < minimum:
        return
    raise ModelError(
        f"candidate {candidate.name} fails on every {candidate.domain.noun}: {result.reasons[candidate.name]}",
        where=candidate.model.file,
        given=f"{failed} {candidate.domain.plural} tried",
        allowed="an answer to at least one",
        do="mend its entry in the manifest, or leave it out",
    )
