"""Several ways of answering run on the same inputs in turn, timed: what `bench` and `compare` have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from premodel.clock import now_ms, summarise
from premodel.domains.base import Domain
from premodel.errors import DatasetError, OptionError, RunError, SampleError
from premodel.profiling.board_state import BoardState
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.meters.base import RealTime, Time
from premodel.profiling.progress import Progress, Silent, UntilSteady
from premodel.profiling.soak import Recorder, SoakOptions, soak
from premodel.records import Criterion, Prediction, Timing
from premodel.runtime.answer import Answer
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.engine import Premodel
from premodel.stats import paired_bootstrap
from premodel.store.soaks import Curve
from premodel.training.tables import top_n

WARMUP_IMAGES = 5
WARMUP_MS = 500.0
MAX_PASSES = 20
DEFAULT_MAX_SECONDS = 300.0
UNANSWERED = -1


class Subject:
    """One way of answering, and what it did.

    Parameters
    ----------
    name:
        The candidate, or the premodel.
    answer:
        Encoded input -> what is served; None for an abstention. Raises RunError.

    Attributes
    ----------
    right, label:
        Of each input, from the first pass: how good the answer was, and its label, 0 of an answer that is none.
    runs_ms:
        Every measured run, over all passes, and the decode of each where a single candidate did it.
    soaked:
        The runs are some of a soak, on whichever inputs.
    """

    def __init__(self, name: str, answer: Callable[[bytes], Prediction | None]) -> None:
        self.name = name
        self.answer = answer
        self.right: list[float] = []
        self.label: list[int] = []
        self.runs_ms: list[float] = []
        self.soaked = False

    @classmethod
    def of_candidate(cls, candidate: OpenedCandidate) -> Subject:
        """Decode, preprocess, run: what a single candidate does with an encoded input."""
        domain = candidate.candidate.domain

        def answer(data: bytes) -> Prediction:
            sample = domain.decode(data)
            return candidate.predict(sample, domain.shared(sample))

        return cls(candidate.name, answer)

    def attempt(self, data: bytes) -> Prediction | None:
        """One timed run; the time of a failure counts as well."""
        start_ms, served = now_ms(), None
        try:
            served = self.answer(data)
        except RunError:
            self.failed()
        self.runs_ms.append(now_ms() - start_ms)
        return served

    def failed(self) -> None:
        """The answer was a RunError."""

    def forget(self, inputs: int = 0) -> None:
        """Keep no more than the answers to so many inputs."""

    def timing(self) -> Timing:
        """The record so far, with its verdict; every pass runs the same inputs in the same order."""
        count, passes = len(self.right), len(self.runs_ms) // max(1, len(self.right))
        whole = count > 0 and len(self.runs_ms) == count * passes and not self.soaked
        return summarise(self.runs_ms, inputs=list(range(count)) * passes if whole else None)


class PremodelSubject(Subject):
    """A whole call of `predict`; keeps the answers of the first pass, None where every candidate failed."""

    def __init__(self, premodel: Premodel, name: str | None = None) -> None:
        super().__init__(premodel.path.stem if name is None else name, self._answer)
        self.premodel = premodel
        self.answers: list[Answer | None] = []

    def _answer(self, data: bytes) -> Prediction | None:
        answer = self.premodel.predict(data)
        self.answers.append(answer)
        return answer.prediction

    def failed(self) -> None:
        """See `Subject.failed`."""
        self.answers.append(None)

    def forget(self, inputs: int = 0) -> None:
        """See `Subject.forget`."""
        del self.answers[inputs:]


class SideBySide:
    """The state of one measurement: for each input all subjects run once, in random order.

    Parameters
    ----------
    domain:
        What the inputs are.
    score:
        How good an answer is, by the truth.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        domain: Domain,
        score: Callable[[Prediction, int | str], float],
        dataset: Dataset,
        *,
        limit: int | None,
        seed: int,
        progress: Progress,
    ) -> None:
        if limit is not None and limit < 1:
            raise OptionError("wrong limit", given=limit, allowed="1 or more")
        self.subjects = subjects
        self.domain = domain
        self.score = score
        self.dataset = dataset
        self.rows = dataset.draw(limit, seed)
        self.progress = progress
        self.rng = np.random.default_rng(seed)
        self.unreadable: dict[str, str] = {}
        self.truth: list[int] = []
        self.names: list[str] = []

    def measure(self, what: str, max_seconds: float) -> int:
        """Warm up, then run passes until every latency record is VALID or time is up; gives their number.

        Raises
        ------
        DatasetError
            No input can be read.
        OptionError
            A cap that makes no sense.
        """
        if not max_seconds > 0:
            raise OptionError("wrong cap", given=max_seconds, allowed="seconds above 0")
        self._warm_up()
        start_ms = now_ms()
        self._first_pass(what)
        left_s = max_seconds - (now_ms() - start_ms) / 1e3
        return 1 if left_s <= 0 or self._valid() else 1 + self._further_passes(what, left_s)

    def measure_soak(
        self, what: str, options: SoakOptions, time: Time | None = None, board: BoardState | None = None
    ) -> Curve:
        """Warm up, run one pass, then run on for the time that is planned, see `soak`; gives latencies over time.

        The runs of each subject are then those of the soak that are reported: of its last third, or of all of it where
        there were pauses.

        Raises
        ------
        DatasetError
            No input can be read.
        OptionError
            Durations that make no sense.
        """
        options.check()
        self._warm_up()
        self._first_pass(what)
        names = [subject.name for subject in self.subjects]
        recorder = Recorder(names, names, options)
        progress, self.progress = self.progress, Silent()
        inputs = self._endless()
        waiting: list[int] = []

        def step() -> Iterator[tuple[int, dict[str, float]]]:
            nonlocal waiting
            waiting = waiting or self.rng.permutation(len(self.subjects)).tolist()
            turns, waiting = (waiting[:1], waiting[1:]) if options.every_s else (waiting, [])
            data = next(inputs)
            for index in turns:
                subject = self.subjects[index]
                subject.attempt(data)
                subject.forget(len(self.truth))
                yield index, {"total": subject.runs_ms[-1]}

        curve = soak(step, recorder, options, time or RealTime(), board or BoardState(), progress)
        for index, subject in enumerate(self.subjects):
            subject.runs_ms[:] = recorder.steady_runs(index)
            subject.soaked = True
        return curve

    def _endless(self) -> Iterator[bytes]:
        """Inputs that can be decoded, again and again."""
        while True:
            for _, data in self._numbered(self.rows):
                yield data

    def _warm_up(self) -> None:
        """Run everything on the first readable inputs, for at least half a second; nothing is kept."""
        start_ms, inputs = now_ms(), []
        for _, data in self._numbered(self.rows[:WARMUP_IMAGES]):
            inputs.append(data)
            for subject in self.subjects:
                subject.attempt(data)
        while inputs and now_ms() - start_ms < WARMUP_MS:
            for subject in self.subjects:
                subject.attempt(inputs[0])
        for subject in self.subjects:
            subject.runs_ms.clear()
            subject.forget()
        self.unreadable.clear()

    def _first_pass(self, what: str) -> None:
        """Run everything once on every input; labels and latencies are kept."""
        self.progress.begin(what, len(self.rows), self.dataset.domain.plural)
        for row, data in self._numbered(self.rows):
            label, texts = int(self.dataset.labels[row]), self.dataset.truths
            truth = label if texts is None else texts[row]
            self.truth.append(label)
            self.names.append(self.dataset.names[row])
            for index in self.rng.permutation(len(self.subjects)):
                subject = self.subjects[index]
                served = subject.attempt(data)
                subject.right.append(0.0 if served is None else self.score(served, truth))
                subject.label.append(UNANSWERED if served is None else int(served.labels[0]))
        self.progress.end()
        if not self.truth:
            reason = next(iter(self.unreadable.values()), "it is empty")
            raise DatasetError(f"no {self.dataset.domain.noun} can be read", where=self.dataset.root, given=reason)

    def _further_passes(self, what: str, seconds: float) -> int:
        """Run everything again on every input, for the latencies, until they are VALID; gives the number of passes.

        No pass begins after so many seconds.
        """
        start_ms, passes = now_ms(), 0
        progress, self.progress = self.progress, Silent()
        try:
            with UntilSteady(progress, f"{what}, further passes", seconds) as bar:
                while passes + 1 < MAX_PASSES and not self._valid() and now_ms() - start_ms < seconds * 1e3:
                    for _, data in self._numbered(self.rows):
                        bar.move()
                        for index in self.rng.permutation(len(self.subjects)):
                            self.subjects[index].attempt(data)
                            self.subjects[index].forget(len(self.truth))
                    passes += 1
        finally:
            self.progress = progress
        return passes

    def _valid(self) -> bool:
        """Is every latency record VALID."""
        return all(subject.timing().valid for subject in self.subjects)

    def _numbered(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Row and bytes of every input that can be decoded."""
        for payload in self.dataset.read(rows):
            self.progress.advance()
            name = self.dataset.names[payload.row]
            if payload.data is None:
                self.unreadable[name] = payload.reason
                continue
            try:
                self.domain.decode(payload.data)
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


def judge(domain: Domain, criterion: Criterion, n_labels: int) -> Callable[[Prediction, int | str], float]:
    """How good an answer is by a criterion."""
    if domain.grades(criterion):
        return lambda served, truth: domain.judge(served, truth, criterion)
    top = top_n(criterion, n_labels)
    return lambda served, truth: float(truth in served.labels[:top].tolist())
