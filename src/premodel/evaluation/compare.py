"""Two premodels on the same labelled inputs: the paired difference of accuracy and of latency, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from premodel.errors import OptionError
from premodel.evaluation.rows import LONGER, invalid_note
from premodel.evaluation.side_by_side import (
    DEFAULT_MAX_SECONDS,
    UNANSWERED,
    PremodelSubject,
    SideBySide,
    judge,
    speedup_interval,
)
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.progress import Progress, Silent
from premodel.records import Criterion, Timing
from premodel.runtime.bundle import Bundle
from premodel.runtime.engine import Premodel
from premodel.stats import paired_bootstrap, wilson
from premodel.verdict import Interval, Verdict


@dataclass(frozen=True)
class Side:
    """One of the two premodels.

    Attributes
    ----------
    name, policy:
        Of the bundle.
    accuracy, accuracy_ci:
        In [0, 1], of a graded criterion the mean score, with its 95 % interval.
    coverage:
        Share of the inputs that were answered.
    timing:
        Of whole calls of `predict`.
    share:
        Share of the inputs that each candidate ran on.
    failures:
        Inputs on which every candidate failed.
    """

    name: str
    policy: str
    accuracy: float
    accuracy_ci: Interval
    coverage: float
    timing: Timing
    share: dict[str, float]
    failures: int

    @property
    def figures(self) -> str:
        """Accuracy and latency in brackets behind the name."""
        return f"{self.name} ({100 * self.accuracy:.1f} % at {self.timing.mean_ms:.2f} ms)"

    def to_json(self) -> dict[str, Any]:
        """Of `compare --json`."""
        return {
            "name": self.name,
            "policy": self.policy,
            "accuracy": self.accuracy,
            "accuracy_ci": list(self.accuracy_ci),
            "coverage": self.coverage,
            "latency_ms": self.timing.mean_ms,
            "latency_ci_ms": [self.timing.ci_low_ms, self.timing.ci_high_ms],
            "latency_p50_ms": self.timing.median_ms,
            "latency_p90_ms": self.timing.p90_ms,
            "runs": self.timing.count,
            "valid": self.timing.valid,
            "share": self.share,
            "failures": self.failures,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """The second premodel against the first, input by input.

    Attributes
    ----------
    criterion:
        What a good answer is.
    first, second:
        The two.
    verdict:
        On the second against the first.
    gained, lost:
        Inputs on which only the second, or only the first, was right or scored higher.
    changed:
        Inputs with another answer.
    passes:
        How often all inputs were run.
    unreadable:
        Inputs left out, with the reason.
    """

    criterion: Criterion
    first: Side
    second: Side
    verdict: Verdict
    gained: int
    lost: int
    changed: int
    passes: int
    unreadable: dict[str, str]

    @property
    def sentence(self) -> str:
        """The result in words."""
        text = f"{self.second.figures}: {self.verdict.sentence(self.first.figures)}"
        invalid = [side.name for side in (self.first, self.second) if not side.timing.valid]
        return text + invalid_note(invalid, LONGER)

    def to_json(self) -> dict[str, Any]:
        """The object that `compare --json` prints."""
        return {
            "samples": self.verdict.samples,
            "criterion": self.criterion,
            "passes": self.passes,
            "headline": self.sentence,
            "comparison": self.verdict.to_json(),
            "gained": self.gained,
            "lost": self.lost,
            "changed": self.changed,
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "unreadable": [{"path": name, "reason": reason} for name, reason in self.unreadable.items()],
        }


def compare_premodels(
    first: Premodel,
    second: Premodel,
    dataset: Dataset,
    *,
    limit: int | None = None,
    seed: int = 0,
    max_seconds: float = DEFAULT_MAX_SECONDS,
    progress: Progress | None = None,
) -> Comparison:
    """Run two premodels on real inputs, from encoded bytes to the answer, in random order on each input.

    Parameters
    ----------
    first, second:
        Loaded, of the same task, labels and criterion; what is stated is stated of the second.
    dataset, limit, max_seconds:
        As of `bench`.

    Raises
    ------
    OptionError
        The two are of other tasks, labels or criteria; or a limit or cap that makes no sense.
    DatasetError
        No input can be read.
    """
    bundle = first.bundle
    _check_alike(bundle, second.bundle)
    names = [first.path.stem, second.path.stem]
    if names[0] == names[1]:
        names = [str(first.path), str(second.path)]
    if names[0] == names[1]:
        names[1] += " (again)"
    subjects = [PremodelSubject(one, name) for one, name in zip((first, second), names, strict=True)]
    score = judge(bundle.domain, bundle.criterion, len(bundle.label_names))
    runs = SideBySide(subjects, bundle.domain, score, dataset, limit=limit, seed=seed, progress=progress or Silent())
    passes = runs.measure("compare", max_seconds)
    right = [np.asarray(subject.right) for subject in subjects]
    difference = right[1] - right[0]
    low, high = paired_bootstrap(difference, seed=seed)
    faster = [subject.timing().mean_ms for subject in subjects]
    verdict = Verdict(
        len(difference),
        faster[0] / faster[1],
        100 * float(difference.mean()),
        (100 * low, 100 * high),
        speedup_ci=speedup_interval(subjects[0].runs_ms, subjects[1].runs_ms),
    )
    graded = bundle.domain.grades(bundle.criterion)
    sides = [_side(subject, graded, seed) for subject in subjects]
    changed = sum(_answer(a) != _answer(b) for a, b in zip(subjects[0].answers, subjects[1].answers, strict=True))
    return Comparison(
        bundle.criterion, sides[0], sides[1], verdict, int((difference > 0).sum()), int((difference < 0).sum()),
        changed, passes, dict(runs.unreadable),
    )  # fmt: skip


def _check_alike(first: Bundle, second: Bundle) -> None:
    """OptionError unless an answer of one is right where the same answer of the other is."""
    for what, a, b in (
        ("task", first.domain.task, second.domain.task),
        ("criterion", first.criterion, second.criterion),
        ("number of labels", len(first.label_names), len(second.label_names)),
        *(("labels", a, b) for a, b in zip(first.label_names, second.label_names, strict=False) if a != b),
    ):
        if a != b:
            raise OptionError(f"two premodels must be of the same {what} to be compared", given=f"{a} and {b}")


def _side(subject: PremodelSubject, graded: bool, seed: int) -> Side:
    right, n = np.asarray(subject.right), len(subject.right)
    answers = [answer for answer in subject.answers if answer is not None]
    ran = {name: sum(name in answer.ran for answer in answers) / n for name in subject.premodel.candidates}
    return Side(
        subject.name,
        subject.premodel.policy.kind,
        float(right.mean()),
        paired_bootstrap(right, seed=seed) if graded else wilson(round(float(right.sum())), n),
        float(np.mean(np.asarray(subject.label) != UNANSWERED)),
        subject.timing(),
        ran,
        n - len(answers),
    )


def _answer(answer: Any) -> Any:
    """What was answered, to be compared."""
    return None if answer is None else (answer.label, answer.outcome)
