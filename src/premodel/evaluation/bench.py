"""Real end-to-end runs of a premodel, interleaved with every single candidate of the zoo it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.cross_validation import Kind
from premodel.evaluation.degenerate import accuracy_drops, latency_drifts, repeat_warnings
from premodel.evaluation.originals import beside_original, siblings_among
from premodel.evaluation.rows import Row, Singles, compare, headline
from premodel.evaluation.side_by_side import (
    DEFAULT_MAX_SECONDS,
    UNANSWERED,
    PremodelSubject,
    SideBySide,
    Subject,
    judge,
    speedup_interval,
)
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress, Silent
from premodel.profiling.soak import SoakOptions
from premodel.profiling.sustained import judge_soak
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel
from premodel.store.soaks import Curve
from premodel.training.package import TEST

MIN_P99_RUNS = 100
"""Fewer runs have no 99th percentile."""


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
    curve:
        Latencies over time, of a soak; the rows are then of its steady part.
    originals:
        Where the zoo holds siblings: the best of them alone and the premodel against the best original, in words.
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
    curve: Curve | None = None
    originals: tuple[str, ...] = ()

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
            "originals": list(self.originals),
            "tested": list(self.tested),
            "warnings": list(self.warnings),
            "rows": [row.to_json() for row in self.rows],
            "unreadable": [{"path": name, "reason": reason} for name, reason in self.unreadable.items()],
            **(
                {}
                if self.curve is None
                else {"soak": {**judge_soak(self.curve).to_json(), "curve": _plain(self.curve)}}
            ),
        }


def bench(
    premodel: Premodel,
    dataset: Dataset,
    *,
    limit: int | None = None,
    seed: int = 0,
    max_seconds: float = DEFAULT_MAX_SECONDS,
    soak: SoakOptions | None = None,
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
    soak:
        After one pass, run on for so long in place of further passes; latencies are those of its steady part.

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
    measured = _Measured(premodel, dataset, limit, seed, progress or Silent())
    if soak is None:
        return measured.result(measured.runs.measure("bench", max_seconds))
    curve = measured.runs.measure_soak("bench", soak)
    runs = sum(map(sum, curve.count)) // len(curve.names)
    return measured.result(1 + runs // len(measured.runs.truth), curve)


class _Measured:
    """One bench, and what it found."""

    def __init__(self, premodel: Premodel, dataset: Dataset, limit: int | None, seed: int, progress: Progress) -> None:
        bundle = premodel.bundle
        self.premodel = premodel
        candidates = [premodel.open_candidate(candidate.name) for candidate in bundle.candidates]
        self.singles = [Subject.of_candidate(candidate) for candidate in candidates]
        self.own = PremodelSubject(premodel)
        score = judge(bundle.domain, bundle.criterion, len(bundle.label_names))
        self.runs = SideBySide(
            [*self.singles, self.own], bundle.domain, score, dataset, limit=limit, seed=seed, progress=progress
        )

    def result(self, passes: int, curve: Curve | None = None) -> Bench:
        """Rows and answers."""
        singles = Singles(
            tuple(subject.name for subject in self.singles),
            np.stack([np.asarray(subject.right) for subject in self.singles], axis=1),
            np.array([subject.timing().mean_ms for subject in self.singles]),
            graded=self.premodel.bundle.domain.grades(self.premodel.bundle.criterion),
        )
        rows = [self._single_row(subject, singles) for subject in self.singles]
        rows.append(self._own_row(singles))
        kinds = siblings_among(self.premodel.bundle.conditions, singles.names)
        served = {self.own.name: (np.asarray(self.own.right), rows[-1].latency_ms)}
        return Bench(
            self.premodel.bundle.criterion,
            tuple(rows),
            len(self.runs.truth),
            passes,
            tuple(self.runs.names),
            np.asarray(self.own.label, np.int32),
            tuple(self.own.answers),
            dict(self.runs.unreadable),
            _tested(self.premodel.bundle.training_record),
            tuple(repeat_warnings(self.premodel.bundle.conditions)),
            curve,
            beside_original(singles, kinds, served),
        )

    def _single_row(self, subject: Subject, singles: Singles) -> Row:
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
        n = len(self.runs.truth)
        answered = [answer for answer in self.own.answers if answer is not None]
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
        if self.premodel.policy.fixed_candidate is not None:
            figures["extra"] |= {"chooses": False}
        best = self.singles[singles.best]
        if len(best.runs_ms) == len(self.own.runs_ms):
            figures["extra"] |= {"speedup_ci": speedup_interval(best.runs_ms, self.own.runs_ms)}
        coverage = float(np.mean(np.asarray(self.own.label) != UNANSWERED))
        return Row(**figures, coverage=coverage, share=share, served=served)


def _plain(curve: Curve) -> dict[str, Any]:
    """What was measured, without the records that the rows show."""
    return {name: value for name, value in curve.to_json().items() if name not in ("timing", "parts_ms")}


def _tested(training: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of the final test in a bundle."""
    test = training.get(TEST)
    lines = test.get("lines") if isinstance(test, Mapping) else None
    return tuple(line for line in lines if isinstance(line, str)) if isinstance(lines, list) else ()


def _figures(subject: Subject, kind: Kind, policy: str, singles: Singles) -> dict[str, Any]:
    """What every row has, with the record of its latency."""
    right, runs_ms = np.asarray(subject.right), np.asarray(subject.runs_ms)
    figures = compare(subject.name, kind, policy, right, runs_ms, singles)
    if len(runs_ms) < MIN_P99_RUNS:
        figures["latency_p99_ms"] = None
    figures["timing"] = timing = subject.timing()
    figures["extra"] |= {"latency_ci_ms": [timing.ci_low_ms, timing.ci_high_ms], "runs": timing.count}
    return figures
