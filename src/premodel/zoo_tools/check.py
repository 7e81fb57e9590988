"""Does a zoo do what its manifest states: digests, files, contradictions, a first run, and a look at its accuracy."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.backends.base import Tensor
from premodel.backends.python import SLOW_MS
from premodel.backends.python_answers import UnknownAnswerError
from premodel.clock import now_ms
from premodel.domains.base import IMAGE_TASK, Domain
from premodel.errors import PremodelError, RunError, SampleError
from premodel.files import file_sha256
from premodel.profiling.datasets.base import Dataset
from premodel.runtime.candidate import NetworkPool, OpenedCandidate
from premodel.runtime.prediction import BINARY_LABELS, rank_of
from premodel.stats import wilson
from premodel.store.runs import unrepeatable_note
from premodel.verdict import MIN_SAMPLES
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo
from premodel.zoo_tools.init.notes import read_notes
from premodel.zoo_tools.label_fit import backward_words, is_backward, other_labels
from premodel.zoo_tools.reads import files_read, read_beneath

DEFAULT_LIMIT = 200
MIN_ONE_ANSWER = 10
"""Inputs from which one answer to all of them is worth a word."""
REPEATS = 20
"""Inputs that are run once more at the end, to see whether a candidate repeats itself."""
SLOW_START = 10
"""How many times what later calls take the first one must have taken to be worth a word."""
NO_DIGEST = "the manifest states no digest: another file would go unnoticed"


@dataclass
class CandidateCheck:
    """What was found out about one candidate.

    Attributes
    ----------
    candidate:
        Its name.
    digest:
        Which digest of the manifest the file was verified against: "sha256", "git_blob_sha1", both, or "" for none.
    open_ms:
        Time to verify and open the file; 0 where the network was open already.
    samples, top1, top5:
        Labelled inputs run, and how many had the truth first, or among the first five.
    errors, warnings:
        One line each.
    """

    candidate: str
    runtime: str
    input: str
    digest: str
    open_ms: float = 0.0
    samples: int = 0
    top1: int = 0
    top5: int = 0
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; accuracies are None without labelled images."""
        return {
            "candidate": self.candidate,
            "runtime": self.runtime,
            "input": self.input,
            "digest": self.digest,
            "open_ms": round(self.open_ms, 3),
            "samples": self.samples,
            "top1": self.top1 / self.samples if self.samples else None,
            "top5": self.top5 / self.samples if self.samples else None,
            "errors": self.errors,
            "warnings": self.warnings,
        }


@dataclass
class Samples:
    """Labelled inputs for a check.

    Attributes
    ----------
    inputs, labels:
        What could be read.
    unreadable:
        Reasons of what could not.
    warnings:
        One line each on the data set.
    """

    inputs: list[Any] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def draw_samples(dataset: Dataset, limit: int = DEFAULT_LIMIT) -> Samples:
    """Decode up to `limit` inputs, drawn at random with a fixed seed; unreadable ones are kept as reasons."""
    samples = Samples()
    for payload in dataset.read(dataset.draw(limit)):
        try:
            if payload.data is None:
                raise SampleError(payload.reason)
            samples.inputs.append(dataset.domain.decode(payload.data))
        except SampleError as error:
            samples.unreadable.append(f"{dataset.names[payload.row]}: {error}")
        else:
            samples.labels.append(int(dataset.labels[payload.row]))
    return samples


def check_zoo(zoo: Zoo, samples: Samples | None = None, threads: int | None = None) -> Iterator[CandidateCheck]:
    """Check one candidate after the other; a broken one does not end the check.

    Parameters
    ----------
    zoo:
        The manifest, read.
    samples:
        Labelled inputs to run; without them every network is run once, on a made-up one.
    threads:
        Threads of every runtime; None for what each manifest entry states.
    """
    pool = NetworkPool()
    try:
        for given in zoo.candidates:
            candidate = given if threads is None else given.with_threads(threads)
            check = _describe(candidate)
            try:
                with files_read() as read:
                    start = now_ms()
                    opened = pool.open(candidate)
                    check.open_ms = now_ms() - start
                    if samples is not None:
                        _accuracy(opened, samples, check, zoo.labels)
                    elif not opened.network.backend.recorded:
                        _first_runs(opened, check)
                check.warnings.extend(_unstated(candidate, read))
                check.warnings.extend(opened.network.backend.notes())
            except PremodelError as error:
                check.errors.append(str(error))
            yield check
    finally:
        pool.close()


def coverage(domain: Domain, samples: Samples | None, limit: int = DEFAULT_LIMIT) -> str:
    """What a check of so few inputs can show and what not; empty where there were enough for all of it."""
    count = 0 if samples is None else len(samples.inputs)
    if count >= MIN_SAMPLES:
        return ""
    plural = domain.plural
    if not count:
        return (
            "checked: files, digests, that every candidate opens and runs; not checked without labelled "
            f"{plural}: accuracy, labels, preprocessing"
        )
    more = f"--limit {MIN_SAMPLES} or more" if limit < MIN_SAMPLES else f"{MIN_SAMPLES} or more {plural}"
    few = f"{count} {plural} are too few to tell wrong labels or preprocessing from chance"
    return (
        "checked: files, digests, that every candidate opens, runs and repeats itself; "
        f"{few}, and for a verdict of premodel: give {more}"
    )


def _describe(candidate: Candidate) -> CandidateCheck:
    model = candidate.model
    counts_by_itself = model.call is not None  # another source is another candidate
    verified = [name for name in ("sha256", "git_blob_sha1") if getattr(model, name) is not None]
    return CandidateCheck(
        candidate=candidate.name,
        runtime=model.runtime,
        input=candidate.input_summary,
        digest=", ".join(verified),
        warnings=[] if verified or counts_by_itself else [NO_DIGEST],
    )


def _unstated(candidate: Candidate, read: set[str]) -> Iterator[str]:
    """A warning if Python code read files beside it that its entry does not state, with the line that states them."""
    model = candidate.model
    if model.call is None or model.call.module is not None:
        return
    stated = {*model.files, model.file.name}
    names = [one.as_posix() for one in read_beneath(read, model.file.parent) if one.as_posix() not in stated]
    if names:
        known = dict(model.files) | {name: file_sha256(model.file.parent / name) for name in names}
        line = ", ".join(f'"{name}" = "{digest}"' for name, digest in known.items())
        yield f"reads {', '.join(names)}, and another one would go unnoticed; state it: files = {{ {line} }}"


def slow_start(spent_ms: Sequence[float], *, is_callable: bool) -> list[str]:
    """A warning if the first call took more than a second and ten times what later ones take, by their median."""
    if len(spent_ms) < 2 or spent_ms[0] <= SLOW_MS:
        return []
    later_ms = statistics.median(spent_ms[1:])
    if spent_ms[0] <= SLOW_START * later_ms:
        return []
    do = "; have a class or factory load what it needs, when it is made" if is_callable else ""
    return [f"its first call took {spent_ms[0]:.0f} ms, later ones {later_ms:.2g} ms: whoever asks first waits{do}"]


def _first_runs(opened: OpenedCandidate, check: CandidateCheck) -> None:
    """Run it on a made-up input; once more if that took long."""
    domain, spent_ms = opened.candidate.domain, list[float]()
    while not spent_ms or (len(spent_ms) == 1 and spent_ms[0] > SLOW_MS):
        start = now_ms()
        opened.predict(domain.decode(domain.synthetic()))
        spent_ms.append(now_ms() - start)
    check.warnings.extend(slow_start(spent_ms, is_callable=opened.candidate.model.call is not None))


def _accuracy(opened: OpenedCandidate, samples: Samples, check: CandidateCheck, names: Sequence[str]) -> None:
    """Count right answers; warn if they are no more than chance, or if other labels fit the answers better."""
    failures: list[str] = []
    ran: list[int] = []
    answers: list[int] = []
    lowest: list[int] = []
    truths: list[int] = []
    repeats: list[tuple[Tensor, int]] = []
    unknown = ""
    spent_ms: list[float] = []
    domain = opened.candidate.domain
    for one, label in zip(samples.inputs, samples.labels, strict=True):
        try:
            tensor = opened.prepare(one, domain.shared(one))
            start = now_ms()
            try:
                raw = opened.network.backend.predict(tensor)
            finally:
                spent_ms.append(now_ms() - start)
            distribution = opened.read(raw)
        except UnknownAnswerError as error:  # counts as wrong, and is among the notes
            unknown = unknown or str(error)
            ran.append(label)
            continue
        except RunError as error:
            failures.append(str(error))
            continue
        rank = rank_of(distribution, label)
        ran.append(label)
        check.top1 += rank == 0
        check.top5 += rank < 5
        answer = int(distribution.argmax())
        answers.append(answer)
        lowest.append(_lowest(opened, raw))
        truths.append(label)
        if len(repeats) < REPEATS:
            repeats.append((tensor, answer))
    check.samples = len(ran)
    if unknown and not answers:
        check.errors.append(f"no answer is a label, on any of {len(ran)} {domain.plural}, first: {unknown}")
    if failures:
        text = f"{len(failures)} of {len(samples.inputs)} runs failed, first: {failures[0]}"
        (check.warnings if ran else check.errors).append(text)
    differ = sum(_again(opened, tensor) != answer for tensor, answer in repeats)
    if differ:
        check.warnings.append(unrepeatable_note(opened.candidate.name, differ, len(repeats)))
    if answers:  # of those that are labels
        answered, truth = np.array(answers, np.int32), np.array(truths, np.int32)
        check.warnings.extend(_label_warning(opened.candidate, answered, truth, names, np.array(lowest, np.int32)))
    if len(set(answers)) == 1 and len(ran) >= MIN_ONE_ANSWER and len(set(ran)) > 1:
        name = f": {names[answers[0]]!r}" if answers[0] < len(names) else ""
        text = f"answers only one label, number {answers[0]}, on all {len(ran)} {domain.plural}{name}"
        check.warnings.append(text)
    check.warnings.extend(slow_start(spent_ms, is_callable=opened.candidate.model.call is not None))


def _lowest(opened: OpenedCandidate, raw: Tensor) -> int:
    """The label of the lowest of a network's numbers; -1 where it gives none, or one for two labels."""
    if raw.dtype == object or raw.size <= BINARY_LABELS:
        return -1
    return int(raw.reshape(-1).argmin()) - opened.candidate.model.label_offset


def _again(opened: OpenedCandidate, tensor: Tensor) -> int | None:
    """The answer to the same tensor once more; None if it fails."""
    try:
        return int(opened.distribution(tensor).argmax())
    except RunError:
        return None


def _label_warning(
    candidate: Candidate,
    answers: NDArray[np.int32],
    truth: NDArray[np.int32],
    names: Sequence[str],
    lowest: NDArray[np.int32],
) -> Iterator[str]:
    """A warning if the answers go with the truth under other labels, or no better than chance.

    Chance is the better of guessing evenly and of always naming the commonest label of these images.
    """
    n, plural, right = len(truth), candidate.domain.plural, int((answers == truth).sum())
    chance = max(1 / candidate.n_labels, int(np.bincount(truth).max()) / n)
    above = wilson(right, n)[0] > chance
    text = f"accuracy {100 * right / n:.1f} % on {n} {plural}" + (
        "" if above else f" is not above chance ({100 * chance:.1f} %)"
    )
    hits = int((lowest == truth).sum())
    if is_backward(hits, n, max(chance, wilson(right, n)[1])):
        yield f"{text}; {backward_words(hits, n)}"
        return
    fit = other_labels(answers, truth, names, _own_names(candidate))
    # An answer one below the truth means that one output too many was dropped, and the other way round.
    offset = candidate.model.label_offset - (fit.shift if fit is not None else 0)
    if fit is not None:
        how = f"label_offset = {offset}" if fit.shift and offset >= 0 else fit.words
        do = "" if fit.shift else ": check the label file"
        yield f"{text}; it would be {100 * fit.right / n:.1f} % with {how}{do}"
    elif not above:
        yield f"{text}; check {_what_to_check(candidate)}, or give more {plural}"


def _what_to_check(candidate: Candidate) -> str:
    """What of an entry may make a good model answer at random: what the entry has a say in."""
    if candidate.model.call is not None:
        return "label_map, the order of the numbers that it answers, and what it does with its input"
    if candidate.domain.task == IMAGE_TASK:
        return "label_offset, channels, mean, std and crop_fraction"
    return "label_offset, the order of the labels, and the input table"


def _own_names(candidate: Candidate) -> list[tuple[str, ...]]:
    """The names of the labels that a model file states itself."""
    file = candidate.model.file
    found = read_notes(file).names if file.is_file() and candidate.domain.task == IMAGE_TASK else ()
    return [found] if found else []
