"""The engine: loads a bundle and answers inputs with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from premodel.clock import now_s
from premodel.errors import ModelError, OptionError, PremodelError, RunError
from premodel.fields import is_number
from premodel.records import Prediction
from premodel.runtime.answer import Answer, Explanation, scores_by_name
from premodel.runtime.bundle import Bundle, read_bundle
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.model_files import ModelFiles
from premodel.runtime.policies.base import FUSED, TRAINED, AnswersSoFar, CallOptions, Run
from premodel.runtime.policies.loop import Trace
from premodel.runtime.prefetch import PrefetchedCandidates
from premodel.zoo.candidate import Candidate
from premodel.zoo.trust import require_trust

BATCH_WINDOW = 32
"""Decoded inputs that `predict_batch` holds at once."""


@dataclass(eq=False, slots=True)
class _Input:
    """One input on its way to an answer."""

    so_far: AnswersSoFar
    sample: Any
    shared: Any
    decode_ms: float
    features_ms: float
    predict_ms: float = 0.0


@dataclass(eq=False, slots=True)
class _Waiting:
    """One input of a batch between two steps of the loop."""

    position: int
    item: _Input
    trace: Trace
    busy_s: float
    """Time spent on this input so far."""


class Premodel:
    """A loaded premodel: input in, answer out. Made by `premodel.load`.

    Models are opened when they are first needed. A candidate that fails (its file is gone, its runtime fails, its
    output is NaN) is passed over and named in `Answer.failed`, and the policy's next best answers. One whose model
    cannot be opened is tried again after a second, then ever more rarely, up to once a minute. All methods may be
    called from several threads.

    Parameters
    ----------
    path:
        The bundle.
    threads:
        Threads of every runtime and of OpenCV (for the whole process); None for what each candidate was profiled
        with, and 1 for OpenCV.
    zoo:
        Folder or manifest where the model files are, if they are no longer where they were (see `ModelFiles`).
    memory_budget_mb:
        What the opened networks may take together, in 10^6 bytes, as `--max-memory-mb` of training: one is unloaded
        to make room for another, and opened again when that is worth its time. A network takes what the profile
        measured, else twice its file. What opening takes counts to `max_latency_ms`, and at the operating point's cost
        weight to what running a candidate is worth: one that is open is preferred where opening another does not pay.
        None for no bound.
    trust_python:
        Python callables that the bundle names may be imported and run; without it such a bundle is refused.

    Attributes
    ----------
    bundle:
        What was loaded.
    candidates:
        Names of the candidates that may run.

    Raises
    ------
    BundleError
        The bundle is missing, damaged, foreign or of another version.
    ModelError
        The model files are nowhere.
    OptionError
        `threads` is below 1, `zoo` does not exist, a candidate alone is larger than the memory budget, or one is Python
        code that is not trusted.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        zoo: str | Path | None = None,
        memory_budget_mb: float | None = None,
        trust_python: bool = False,
    ) -> None:
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise OptionError("wrong number of threads", given=threads, allowed="a whole number from 1")
        self.path = Path(path)
        self.bundle: Bundle = read_bundle(self.path, trust_python=trust_python)
        self._files = ModelFiles(self.path, self.bundle, zoo)
        require_trust(self.bundle.candidates, self.path, self._files.described)
        self.policy = self.bundle.policy
        self.candidates = self.policy.candidates
        self._alone = [(name,) for name in self.candidates]
        self._label_names = self.bundle.label_names
        missing = self._absent()
        own = [self.bundle.candidate(name) for name in self.candidates]
        others = [candidate for candidate in self.bundle.candidates if candidate.name not in self.candidates]
        self._known = (*own, *others)
        self._candidates = PrefetchedCandidates(
            self._known,
            self._files.get,
            threads,
            _budget(memory_budget_mb),
            self.bundle.memory_mb(),
            self.bundle.load_ms(),
        )
        self._candidates.check_budget(range(len(own)))
        self._unloads = memory_budget_mb is not None
        for index, error in missing.items():
            self._candidates.lose(index, error)
        self._files.tell_code_from_elsewhere(own)
        self._domain = self.bundle.domain
        # A policy without features does not pay for importing them.
        self._extractor = self._domain.extractor(self.policy.features) if self.policy.features else None
        self._by_length, self._length_measure = self.policy.latency_curves, self.policy.length_measure
        latency_ms = self.policy.costs.latency_ms
        self._cheapest = min(range(len(latency_ms)), key=latency_ms.__getitem__)
        self._domain.set_threads(threads or 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Premodel({str(self.path)!r}, policy={self.policy.kind!r}, candidates={list(self.candidates)!r})"

    @property
    def unavailable(self) -> dict[str, str]:
        """Candidates that could not be opened when they were last tried, by name, with the reason."""
        return {self._known[index].name: reason for index, reason in self._candidates.unavailable.items()}

    @property
    def losses(self) -> dict[str, int]:
        """How often each candidate of the policy was lost, by name: see `LazyCandidates`."""
        return dict(zip(self.candidates, self._candidates.losses, strict=False))

    @property
    def opening_ms(self) -> dict[str, float]:
        """What opening each model took the last time in this process, by candidate; without those never opened."""
        took = {name: self._candidates.opening_ms(index) for index, name in enumerate(self.candidates)}
        return {name: took_ms for name, took_ms in took.items() if took_ms is not None}

    def look_again(self) -> None:
        """Try again what could not be opened, if its wait is over, and see whether files of open models changed.

        `predict` tries by itself what it needs; this is for a server, so that a candidate comes back unasked.
        """
        self._candidates.look_again()

    def predict(self, image: Any, *, max_latency_ms: float | None = None, cost_weight: float | None = None) -> Answer:
        """Answer one input.

        Parameters
        ----------
        image:
            Path, encoded bytes, uint8 RGB array (height, width, 3) or PIL image. Of a premodel of texts: a
            str, which is the text itself, UTF-8 bytes, or the Path of a file.
        max_latency_ms:
            Budget of this call, end to end by the profile's latencies.
        cost_weight:
            Points of accuracy (in [0, 1]) that one ms is worth in this call.

        Raises
        ------
        ImageError
            The image cannot be decoded, or is refused.
        OptionError
            The budget is below the cheapest candidate, which is named with its latency.
        RunError
            Every candidate that could answer failed.

        Examples
        --------
        >>> with Premodel("edge.premodel") as clf:
        ...     answer = clf.predict("photos/00000.png")
        >>> answer.class_name == clf.bundle.label_names[answer.label]
        True
        >>> answer.candidate, answer.ran, answer.abstained
        ('small', ('small',), False)
        >>> sorted(answer.latency_ms)
        ['decode', 'features', 'predict', 'select', 'total']
        """
        options = TRAINED if max_latency_ms is cost_weight is None else CallOptions(max_latency_ms, cost_weight)
        start_s = now_s()
        item = self._read(image, start_s)
        so_far = item.so_far
        if self._unloads:
            self._note_loading(item, options)
        trace = Trace(self.policy, so_far, options)
        while (candidate := trace.next()) is not None:  # as `serve`: what runs a candidate is called at once
            try:
                so_far.predictions[candidate] = self._run(item, candidate)
            except RunError as error:
                trace.fail(candidate, error)
        if so_far.load_price_ms is not None:
            self._candidates.note_worth(so_far.worth_ms, None if max_latency_ms is None else self._cheapest)
        return self._answer(trace, item, start_s)

    def predict_batch(
        self, images: Iterable[Any], *, max_latency_ms: float | None = None, cost_weight: float | None = None
    ) -> list[Answer]:
        """Answer many inputs: the answers of `predict`, in order; inputs that want the same candidate run together.

        `latency_ms["total"]` of an answer is the time spent on that input, without its waiting for others. With a
        memory budget and `max_latency_ms` the inputs are answered one after the other: what one runs decides what is
        open for the next.

        Raises
        ------
        ImageError, OptionError, RunError
            As `predict`; the first input that fails ends the batch.

        Examples
        --------
        >>> with Premodel("edge.premodel") as clf:
        ...     batch = clf.predict_batch(["photos/00000.png", "photos/00001.png"])
        ...     alone = clf.predict("photos/00001.png")
        >>> batch[1].label == alone.label
        True
        """
        options = CallOptions(max_latency_ms, cost_weight)
        if max_latency_ms is not None and self._candidates.load_ms(0) is not None:
            return [self.predict(image, max_latency_ms=max_latency_ms, cost_weight=cost_weight) for image in images]
        iterator = iter(images)
        answers: list[Answer] = []
        while window := list(islice(iterator, BATCH_WINDOW)):
            answers.extend(self._window(window, options))
        return answers

    def explain(
        self, image: Any, *, max_latency_ms: float | None = None, cost_weight: float | None = None
    ) -> Explanation:
        """Which candidate would run first and why; nothing is run.

        Raises
        ------
        ImageError, OptionError
            As `predict`.
        """
        options = CallOptions(max_latency_ms, cost_weight)
        item = self._read(image, now_s())
        if self._unloads:
            self._note_loading(item, options)
        so_far = item.so_far
        step = self.policy.next(so_far, options)
        values = [] if so_far.features is None else so_far.features.tolist()
        return Explanation(
            candidate=self.candidates[step.candidate] if isinstance(step, Run) else None,
            reason=step.reason,
            scores=scores_by_name(step, self.candidates),
            features=dict(zip(self.policy.features, values, strict=True)),
        )

    def warm(self) -> dict[str, str]:
        """Open every candidate and run each once on noise; gives `unavailable`.

        What a run on noise states does not matter: a failure of it alone makes no candidate unavailable.
        """
        item = self._read(self._domain.synthetic(), now_s())
        for index in range(len(self.candidates)):
            with contextlib.suppress(RunError):
                self._run(item, index)
        return self.unavailable

    def open_candidate(self, name: str) -> OpenedCandidate:
        """A candidate of the profile, opened and never unloaded: the one that `predict` runs, or one it never runs.

        Raises
        ------
        OptionError
            No candidate has that name.
        RunError
            It cannot be opened.
        """
        names = [candidate.name for candidate in self._known]
        if name not in names:
            raise OptionError("unknown candidate", given=name, allowed=", ".join(names))
        return self._candidates[names.index(name)]

    def candidates_here(self) -> tuple[Candidate, ...]:
        """Every candidate of the profile, with its model file where it was found; unpacked if it was embedded."""
        found = []
        for candidate in self.bundle.candidates:
            model = candidate.model
            if not (model.is_remote or model.is_installed) and self._files.has(candidate):
                candidate = candidate.with_file(self._files.get(candidate))
            found.append(candidate)
        return tuple(found)

    def close(self) -> None:
        """Close every network and remove unpacked models; predicting afterwards raises RunError."""
        self._candidates.close()
        self._files.close()

    def _absent(self) -> dict[int, ModelError]:
        """Candidates of the policy without a model file, with the reason; it is an error if that is all of them."""
        candidates = [self.bundle.candidate(name) for name in self.candidates]
        absent = {index: one for index, one in enumerate(candidates) if not self._files.has(one)}
        if len(absent) == len(candidates):
            raise self._files.missing(candidates)
        return {index: self._files.missing([candidate]) for index, candidate in absent.items()}

    def _read(self, image: Any, start_s: float) -> _Input:
        """Decode, and extract what the policy asks for."""
        domain, features, features_ms = self._domain, None, 0.0
        decoded = domain.decode(image)
        decoded_s = now_s()
        if self._extractor is not None:
            features = self._extractor.extract(decoded)
            features_ms = 1e3 * (now_s() - decoded_s)
        so_far = AnswersSoFar(features)
        if (curves := self._by_length) is not None:
            so_far.latency_ms = curves.at(domain.length(decoded, curves.measure))
        if (measure := self._length_measure) is not None:
            so_far.length = domain.length(decoded, measure)
        return _Input(so_far, decoded, domain.shared(decoded), 1e3 * (decoded_s - start_s), features_ms)

    def _run(self, item: _Input, candidate: int) -> Prediction:
        """Preprocess and run, timed; whatever goes wrong is a RunError."""
        start_s = now_s()
        try:
            if self._unloads:
                return self._run_held(item, candidate)
            return self._candidates.hold(candidate).predict(item.sample, item.shared)
        except RunError:
            raise
        except PremodelError as error:
            raise RunError(str(error)) from error
        finally:
            item.predict_ms += 1e3 * (now_s() - start_s)

    def _run_held(self, item: _Input, candidate: int) -> Prediction:
        """Run a candidate that is not unloaded meanwhile, and note what opening each takes from now on."""
        so_far, candidates, count = item.so_far, self._candidates, len(self.candidates)
        load_ms, price_ms = so_far.load_ms, so_far.load_price_ms
        if load_ms is not None:
            so_far.loaded_ms += float(load_ms[candidate])
        try:
            with candidates.use(candidate, None if load_ms is None else self._cheapest) as opened:
                return opened.predict(item.sample, item.shared)
        finally:
            if load_ms is not None:
                so_far.load_ms = candidates.load_ms(count)
            if price_ms is not None:
                so_far.load_price_ms = candidates.load_price_ms(count)

    def _note_loading(self, item: _Input, options: CallOptions) -> None:
        """With a memory budget, what would have to be opened first costs that too."""
        item.so_far.load_price_ms = self._candidates.load_price_ms(len(self.candidates))
        if options.max_latency_ms is not None:
            item.so_far.load_ms = self._candidates.load_ms(len(self.candidates))

    def _window(self, images: Sequence[Any], options: CallOptions) -> list[Answer]:
        """Answer some inputs together: in each round all that wait for one candidate."""
        answers: dict[int, Answer] = {}
        waiting: dict[int, list[_Waiting]] = {}
        for position, image in enumerate(images):
            start_s = now_s()
            item = self._read(image, start_s)
            entry = _Waiting(position, item, Trace(self.policy, item.so_far, options), 0.0)
            self._advance(entry, start_s, waiting, answers)
        while waiting:
            candidate = max(waiting, key=lambda index: len(waiting[index]))
            for entry in waiting.pop(candidate):
                start_s = now_s()
                try:
                    entry.item.so_far.predictions[candidate] = self._run(entry.item, candidate)
                except RunError as error:
                    entry.trace.fail(candidate, error)
                self._advance(entry, start_s, waiting, answers)
        return [answers[position] for position in range(len(images))]

    def _advance(
        self, entry: _Waiting, start_s: float, waiting: dict[int, list[_Waiting]], answers: dict[int, Answer]
    ) -> None:
        """Ask for the next step of an input; it then waits for another candidate, or is answered."""
        candidate = entry.trace.next()
        if candidate is None:
            answers[entry.position] = self._answer(entry.trace, entry.item, start_s - entry.busy_s)
            return
        waiting.setdefault(candidate, []).append(entry)
        entry.busy_s += now_s() - start_s

    def _answer(self, trace: Trace, item: _Input, start_s: float) -> Answer:
        names = self.candidates
        prediction, source, confidence, _ = trace.stop
        said = item.so_far.predictions
        ran = self._alone[source] if source in said and len(said) == 1 else tuple([names[index] for index in said])
        label = class_name = probability = candidate = outcome = None
        if prediction is not None:
            probability, outcome = prediction.probabilities.item(0), prediction.outcome
            if outcome is None:
                label = prediction.labels.item(0)
                class_name = self._label_names[label]
            if source is not None:
                candidate = "+".join(ran) if source == FUSED else names[source]
        return Answer(
            label,
            class_name,
            probability,
            candidate,
            ran,
            {names[index]: reason for index, reason in trace.failed.items()} if trace.failed else {},
            prediction is None,
            confidence,
            {
                "decode": item.decode_ms,
                "features": item.features_ms,
                "select": trace.select_ms,
                "predict": item.predict_ms,
                "total": 1e3 * (now_s() - start_s),
            },
            tuple(trace.steps),
            prediction,
            self._label_names,
            names,
            outcome,
        )


def _budget(memory_budget_mb: float | None) -> float | None:
    """OptionError unless it is None or above 0."""
    if memory_budget_mb is not None and (not is_number(memory_budget_mb) or memory_budget_mb <= 0):
        raise OptionError("wrong memory budget", given=memory_budget_mb, allowed="megabytes above 0")
    return memory_budget_mb
