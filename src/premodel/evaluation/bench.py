"""Real end-to-end runs of a premodel, interleaved with every single candidate of the zoo it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms, summarise
from premodel.errors import DatasetError, OptionError, RunError, SampleError
from premodel.evaluation.cross_validation import Kind
from premodel.evaluation.degenerate import accuracy_drops, latency_drifts, repeat_warnings
from premodel.evaluation.rows import Row, Singles, compare, headline
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress, Silent
from premodel.records import Prediction, Timing
from premodel.runtime.answer import Answer
from premodel.runtime.bundle import Bundle
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.engine import Premodel
from premodel.stats import paired_bootstrap
from premodel.training.package import TEST
from premodel.training.tables import top_n

WARMUP_IMAGES = 5
WARMUP_MS = 500.0
MAX_PASSES = 20
MIN_P99_RUNS = 100
"""Fewer runs have no 99th percentile."""
DEFAULT_MAX_SECONDS = 300.0
UNANSWERED = -1


@dataclass(eq=False)
class _Runs:
    """What one subject did.

    Attributes
    ----------
    name:
        The candidate, or the premodel.
    answer:
        Encoded input -> what is served; None for an abstention. Raises RunError.
    right, label:
        Of each input, from the first pass: how good the answer was, and its label, 0 of an answer that is none.
    runs_ms:
        Every measured run, over all passes, and the decode of each where a single candidate did it.
    """

    name: str
    answer: Callable[[bytes], Prediction | None]
    right: list[float] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    runs_ms: list[float] = field(default_factory=list)

    def timing(self) -> Timing:
        """The record so far, with its verdict."""
        return summarise(self.runs_ms)


@dataclass(frozen=True, eq=False)
class Bench:
    """The whole comparison.

    Attributes
    ----------
    rows:
        Every single candidate, then the premodel.
    samples, passes:
        Images measured, and how often all of them were run.
    labels:
        int32 (n,), what the premodel served for each image, -1 where nothing.
    names:
        Of the images, n.
    answers:
        The premodel's answers, n; None where every candidate failed.
    unreadable:
        Images left out, with the reason.
    tested:
        What the final test said when the premodel was trained, line by line; empty if there was none.
    unrepeatable:
        Candidates that did not repeat themselves in the profile.
    """

    criterion: str
    rows: tuple[Row, ...]
    samples: int
    passes: int
    names: tuple[str, ...]
    labels: NDArray[np.int32]
    answers: tuple[Answer | None, ...]
    unreadable: dict[str, str]
    tested: tuple[str, ...] = ()
    unrepeatable: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The result in words."""
        return headline(self.rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Candidates that are far less accurate or of another latency here than in the profile; to be said first."""
        found = [
            accuracy_drops(row.name, round(row.accuracy * self.samples), self.samples, row.extra["profiled_accuracy"])
            for row in self.rows
            if "profiled_accuracy" in row.extra
        ]
        drifts = [
            latency_drifts(row.name, row.latency_ms, row.extra["profiled_latency_ms"])
            for row in self.rows
            if "profiled_latency_ms" in row.extra
        ]
        return (*self.unrepeatable, *(warning for warning in (*found, *drifts) if warning))

    def to_json(self) -> dict[str, Any]:
        """The object that `bench --json` prints."""
        return {
            "samples": self.samples,
            "criterion": self.criterion,
            "passes": self.passes,
            "headline": self.headline,
            "tested": list(self.tested),
            "warnings": list(self.warnings),
            "rows": [row.to_json() for row in self.rows],
            "unreadable": [{"path": name, "reason": reason} for name, reason in self.unreadable.items()],
        }


def bench(
    premodel: Premodel,
    dataset: Dataset,
    *,
    limit: int | None = None,
    seed: int = 0,
    max_seconds: float = DEFAULT_MAX_SECONDS,
    progress: Progress | None = None,
) -> Bench:
    """Run the premodel and every single candidate on real images, from encoded bytes to the answer.

    Parameters
    ----------
    premodel:
        Loaded; all candidates of its zoo are opened.
    dataset:
        Labelled images, by the labels of the premodel.
    limit:
        So many images, drawn at random by `seed`.
    max_seconds:
        After this no further pass over the images is begun for the sake of an INVALID record.

    Raises
    ------
    DatasetError
        No image can be read.
    ModelError, RunError
        A candidate cannot be opened.
    OptionError
        A limit or cap that makes no sense.

    Notes
    -----
    For each image all subjects run once, in random order, each decoding the image itself. Accuracy and shares are those
    of the first pass. Passes are repeated until every latency record is VALID (design section 8), or until the cap. A
    single candidate is decode + preprocess + run with nothing around it; the premodel is a whole call of `predict`.
    """
    if limit is not None and limit < 1:
        raise OptionError("wrong limit", given=limit, allowed="1 or more")
    if not max_seconds > 0:
        raise OptionError("wrong cap", given=max_seconds, allowed="seconds above 0")
    measured = _Measured(premodel, dataset, dataset.draw(limit, seed), seed, progress or Silent())
    measured.warm_up()
    start_ms = now_ms()
    measured.first_pass()
    passes = 1
    while passes < MAX_PASSES and not measured.valid() and now_ms() - start_ms < max_seconds * 1e3:
        measured.further_pass(passes)
        passes += 1
    return measured.result(passes)


class _Measured:
    """The state of one bench."""

    def __init__(
        self, premodel: Premodel, dataset: Dataset, rows: Sequence[int], seed: int, progress: Progress
    ) -> None:
        self.premodel = premodel
        self.dataset = dataset
        self.rows = rows
        self.progress = progress
        self.rng = np.random.default_rng(seed)
        self.answers: list[Answer | None] = []
        self.unreadable: dict[str, str] = {}
        self.truth: list[int] = []
        self.names: list[str] = []
        self.score = _judge(premodel.bundle)
        candidates = [premodel.open_candidate(candidate.name) for candidate in premodel.bundle.candidates]
        self.singles = [_Runs(candidate.name, _single(candidate)) for candidate in candidates]
        self.own = _Runs(premodel.path.stem, self._answer)
        self.subjects = [*self.singles, self.own]

    def _answer(self, data: bytes) -> Prediction | None:
        answer = self.premodel.predict(data)
        self.answers.append(answer)
        return answer.prediction

    def warm_up(self) -> None:
        """Run everything on the first readable images, for at least half a second; nothing is kept."""
        start_ms, images = now_ms(), []
        for data in self._images(self.rows[:WARMUP_IMAGES]):
            images.append(data)
            for subject in self.subjects:
                _attempt(subject, data)
        while images and now_ms() - start_ms < WARMUP_MS:
            for subject in self.subjects:
                _attempt(subject, images[0])
        for subject in self.subjects:
            subject.runs_ms.clear()
        self.answers.clear()
        self.unreadable.clear()

    def first_pass(self) -> None:
        """Run everything once on every image; labels and latencies are kept."""
        self.progress.begin("bench", len(self.rows), self.dataset.domain.plural)
        for row, data in self._numbered(self.rows):
            label, texts = int(self.dataset.labels[row]), self.dataset.truths
            truth = label if texts is None else texts[row]
            self.truth.append(label)
            self.names.append(self.dataset.names[row])
            for index in self.rng.permutation(len(self.subjects)):
                subject = self.subjects[index]
                served, failed = _attempt(subject, data)
                if failed and subject is self.own:
                    self.answers.append(None)
                subject.right.append(0.0 if served is None else self.score(served, truth))
                subject.label.append(UNANSWERED if served is None else int(served.labels[0]))
        self.progress.end()
        if not self.truth:
            reason = next(iter(self.unreadable.values()), "it is empty")
            raise DatasetError(f"no {self.dataset.domain.noun} can be read", where=self.dataset.root, given=reason)

    def further_pass(self, number: int) -> None:
        """Run everything once more on every image, for the latencies."""
        kept = len(self.answers)
        self.progress.begin(f"bench, pass {number + 1}", len(self.rows), self.dataset.domain.plural)
        for data in self._images(self.rows):
            for index in self.rng.permutation(len(self.subjects)):
                _attempt(self.subjects[index], data)
            del self.answers[kept:]
        self.progress.end()

    def valid(self) -> bool:
        """Is every latency record VALID."""
        return all(subject.timing().valid for subject in self.subjects)

    def result(self, passes: int) -> Bench:
        """Rows and answers."""
        singles = Singles(
            tuple(subject.name for subject in self.singles),
            np.stack([np.asarray(subject.right) for subject in self.singles], axis=1),
            np.array([subject.timing().mean_ms for subject in self.singles]),
            graded=self.premodel.bundle.domain.grades(self.premodel.bundle.criterion),
        )
        rows = [self._single_row(subject, singles) for subject in self.singles]
        rows.append(self._own_row(singles))
        return Bench(
            self.premodel.bundle.criterion,
            tuple(rows),
            len(self.truth),
            passes,
            tuple(self.names),
            np.asarray(self.own.label, np.int32),
            tuple(self.answers),
            dict(self.unreadable),
            _tested(self.premodel.bundle.training_record),
            tuple(repeat_warnings(self.premodel.bundle.conditions)),
        )

    def _single_row(self, subject: _Runs, singles: Singles) -> Row:
        figures = _figures(subject, "single", "single", singles)
        singles_of_profile = self.premodel.bundle.training_record.get("singles", ())
        profiled: Mapping[str, Any] = next((entry for entry in singles_of_profile if entry["name"] == subject.name), {})
        figures["extra"] |= {
            "profiled_latency_ms": profiled.get("latency_ms"),
            "profiled_accuracy": profiled.get("accuracy"),
        }
        coverage = float(np.mean(np.asarray(subject.label) != UNANSWERED))
        return Row(**figures, coverage=coverage, share={subject.name: 1.0}, served={subject.name: coverage})

    def _own_row(self, singles: Singles) -> Row:
        policy = str(self.premodel.bundle.training_record.get("policy", self.premodel.policy.kind))
        figures = _figures(self.own, "premodel", policy, singles)
        n = len(self.truth)
        answered = [answer for answer in self.answers if answer is not None]
        share = {name: sum(name in answer.ran for answer in answered) / n for name in self.premodel.candidates}
        served: dict[str, float] = {}
        for answer in answered:
            key = "abstained" if answer.candidate is None else "fused" if "+" in answer.candidate else answer.candidate
            served[key] = served.get(key, 0.0) + 1 / n
        stages = {
            stage: float(np.mean([answer.latency_ms[stage] for answer in answered]))
            for stage in ("decode", "features", "select", "predict", "total")
            if answered
        }
        figures["extra"] |= {"stages_ms": stages, "failures": n - len(answered)}
        best = self.singles[singles.best]
        if len(best.runs_ms) == len(self.own.runs_ms):
            figures["extra"] |= {"speedup_ci": speedup_interval(best.runs_ms, self.own.runs_ms)}
        coverage = float(np.mean(np.asarray(self.own.label) != UNANSWERED))
        return Row(**figures, coverage=coverage, share=share, served=served)

    def _images(self, rows: Sequence[int]) -> Iterator[bytes]:
        for _, data in self._numbered(rows):
            yield data

    def _numbered(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Row and bytes of every image that can be decoded."""
        for payload in self.dataset.read(rows):
            self.progress.advance()
            name = self.dataset.names[payload.row]
            if payload.data is None:
                self.unreadable[name] = payload.reason
                continue
            try:
                self.premodel.bundle.domain.decode(payload.data)
            except SampleError as error:
                self.unreadable[name] = str(error)
                continue
            yield payload.row, payload.data


def speedup_interval(best_ms: Sequence[float], own_ms: Sequence[float]) -> tuple[float, float]:
    """95 % interval of how much faster the second is, by the differences of runs that were made side by side.

    Examples
    --------
    >>> low, high = speedup_interval([2.0, 2.1, 1.9, 2.0], [1.0, 1.1, 0.9, 1.0])
    >>> round(low, 2), round(high, 2)
    (2.0, 2.0)
    """
    best, own = np.asarray(best_ms, dtype=np.float64), np.asarray(own_ms, dtype=np.float64)
    slower = np.round(best - own, 6)
    low, high = paired_bootstrap(slower)
    mean_ms = float(best.mean())
    return mean_ms / (mean_ms - low), (mean_ms / (mean_ms - high) if mean_ms > high else math.inf)


def _judge(bundle: Bundle) -> Callable[[Prediction, int | str], float]:
    """How good an answer is by the criterion that the premodel was trained for."""
    domain, criterion = bundle.domain, bundle.criterion
    if domain.grades(criterion):
        return lambda served, truth: domain.judge(served, truth, criterion)
    top = top_n(criterion, len(bundle.label_names))
    return lambda served, truth: float(truth in served.labels[:top].tolist())


def _single(candidate: OpenedCandidate) -> Callable[[bytes], Prediction | None]:
    """Decode, preprocess, run: what a single candidate does with an encoded input."""
    domain = candidate.candidate.domain

    def answer(data: bytes) -> Prediction:
        sample = domain.decode(data)
        return candidate.predict(sample, domain.shared(sample))

    return answer


def _tested(training: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of the final test in a bundle."""
    test = training.get(TEST)
    lines = test.get("lines") if isinstance(test, Mapping) else None
    return tuple(line for line in lines if isinstance(line, str)) if isinstance(lines, list) else ()


def _attempt(subject: _Runs, data: bytes) -> tuple[Prediction | None, bool]:
    """One timed run, and whether the subject failed, whose time counts as well."""
    start_ms, served, failed = now_ms(), None, False
    try:
        served = subject.answer(data)
    except RunError:
        failed = True
    subject.runs_ms.append(now_ms() - start_ms)
    return served, failed


def _figures(subject: _Runs, kind: Kind, policy: str, singles: Singles) -> dict[str, Any]:
    """What every row has, with the record of its latency."""
    right, runs_ms = np.asarray(subject.right), np.asarray(subject.runs_ms)
    figures = compare(subject.name, kind, policy, right, runs_ms, singles)
    if len(runs_ms) < MIN_P99_RUNS:
        figures["latency_p99_ms"] = None
    figures["timing"] = timing = subject.timing()
    figures["extra"] |= {"latency_ci_ms": [timing.ci_low_ms, timing.ci_high_ms], "runs": timing.count}
    return figures
