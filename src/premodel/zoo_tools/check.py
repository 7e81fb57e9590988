"""Does a zoo do what its manifest states: digests, files, contradictions, a first run, and a look at its accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from premodel.backends.base import Tensor
from premodel.backends.python_answers import UnknownAnswerError
from premodel.clock import now_ms
from premodel.errors import PremodelError, RunError, SampleError
from premodel.profiling.datasets.base import Dataset
from premodel.runtime.candidate import NetworkPool, OpenedCandidate
from premodel.runtime.prediction import rank_of
from premodel.stats import wilson
from premodel.store.runs import unrepeatable_note
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import Zoo

DEFAULT_LIMIT = 200
MIN_ONE_ANSWER = 10
"""Inputs from which one answer to all of them is worth a word."""
REPEATS = 20
"""Inputs that are run once more at the end, to see whether a candidate repeats itself."""


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
    """

    inputs: list[Any] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


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
                start = now_ms()
                opened = pool.open(candidate)
                check.open_ms = now_ms() - start
                if samples is not None:
                    _accuracy(opened, samples, check)
                elif not opened.network.backend.recorded:
                    opened.predict(candidate.domain.decode(candidate.domain.synthetic()))
                check.warnings.extend(opened.network.backend.notes())
            except PremodelError as error:
                check.errors.append(str(error))
            yield check
    finally:
        pool.close()


def _describe(candidate: Candidate) -> CandidateCheck:
    model = candidate.model
    verified = [name for name in ("sha256", "git_blob_sha1") if getattr(model, name) is not None]
    return CandidateCheck(
        candidate=candidate.name,
        runtime=model.runtime,
        input=candidate.input_summary,
        digest=", ".join(verified),
        warnings=[] if verified else ["the manifest states no digest: another file would go unnoticed"],
    )


def _accuracy(opened: OpenedCandidate, samples: Samples, check: CandidateCheck) -> None:
    """Count right answers; warn if they are no more than chance, and say what a shifted label_offset would give."""
    failures: list[str] = []
    shifted = {-1: 0, 1: 0}
    ran: list[int] = []
    answers: set[int] = set()
    repeats: list[tuple[Tensor, int]] = []
    domain = opened.candidate.domain
    for one, label in zip(samples.inputs, samples.labels, strict=True):
        try:
            tensor = opened.prepare(one, domain.shared(one))
            distribution = opened.distribution(tensor)
        except UnknownAnswerError:  # counts as wrong, and is among the notes
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
        answers.add(answer)
        if len(repeats) < REPEATS:
            repeats.append((tensor, answer))
        for shift in shifted:
            shifted[shift] += answer + shift == label
    check.samples = len(ran)
    if failures:
        text = f"{len(failures)} of {len(samples.inputs)} runs failed, first: {failures[0]}"
        (check.warnings if ran else check.errors).append(text)
    differ = sum(_again(opened, tensor) != answer for tensor, answer in repeats)
    if differ:
        check.warnings.append(unrepeatable_note(opened.candidate.name, differ, len(repeats)))
    if ran:
        check.warnings.extend(_chance_warning(check, ran, shifted, opened.candidate))
    if len(answers) == 1 and len(ran) >= MIN_ONE_ANSWER and len(set(ran)) > 1:
        text = f"answers only one label, number {answers.pop()}, on all {len(ran)} {domain.plural}"
        check.warnings.append(text)


def _again(opened: OpenedCandidate, tensor: Tensor) -> int | None:
    """The answer to the same tensor once more; None if it fails."""
    try:
        return int(opened.distribution(tensor).argmax())
    except RunError:
        return None


def _chance_warning(
    check: CandidateCheck, labels: list[int], shifted: dict[int, int], candidate: Candidate
) -> Iterator[str]:
    """A warning if the accuracy's 95 % interval reaches down to chance.

    Chance is the better of guessing evenly and of always naming the commonest label of these images.
    """
    n, plural = len(labels), candidate.domain.plural
    chance = max(1 / candidate.n_labels, int(np.bincount(labels).max()) / n)
    if wilson(check.top1, n)[0] > chance:
        return
    text = f"accuracy {100 * check.top1 / n:.1f} % on {n} {plural} is not above chance ({100 * chance:.1f} %)"
    best = max(shifted, key=lambda shift: shifted[shift])
    if wilson(shifted[best], n)[0] > chance and shifted[best] > check.top1:
        # An answer one below the truth means that one output too many was dropped, and the other way round.
        offset = candidate.model.label_offset - best
        yield f"{text}; with label_offset = {offset} it would be {100 * shifted[best] / n:.1f} %"
    else:
        yield f"{text}; check label_offset, channels, mean, std and crop_fraction, or give more {plural}"
