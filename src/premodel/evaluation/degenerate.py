"""What makes a profile unfit for a comparison, said before any figure of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import printable
from premodel.records import Criterion
from premodel.stats import wilson
from premodel.store.left_out import left_out_line
from premodel.store.runs import otherwise_note, unrepeatable_note
from premodel.training.tables import Tables
from premodel.zoo_tools.label_fit import other_labels

MIN_FAILED = 0.01
"""A share of failed predictions below this is no warning; every failure counts as a wrong answer all the same."""
MAX_LATENCY_FACTOR = 1.5
"""A mean latency further from that of the profile is a warning."""
MIN_DROP = 0.05
"""An accuracy this much below that of the profile, by the upper end of its interval, is a warning."""


def degenerate_cases(tables: Tables, criterion: Criterion) -> tuple[str, ...]:
    """Warnings about a profile, the gravest first; empty for an ordinary one.

    One label only, no right answer from any candidate or from one, one constant
    answer, answers that go with other labels, failed predictions, and candidates that give the same answers.
    """
    n, names = len(tables), tables.candidates
    correct, answers = tables.score(criterion) > 0, tables.top_labels[:, :, 0]
    failed = ~tables.answered
    found = []
    if not correct.any():
        found.append(
            f"no candidate gives a right answer on any of {n} samples: the labels, their order or the preprocessing "
            "must be wrong"
        )
    else:
        found += [
            f"{name} gives no right answer on any of {n} samples: its labels, their order or its preprocessing must be "
            "wrong"
            for column, name in enumerate(names)
            if not correct[:, column].any() and not failed[:, column].all()
        ]
    labels = np.unique(tables.truth)
    if not tables.label_names:
        pass
    elif len(labels) == 1:
        label = tables.label_names[int(labels[0])]
        found.append(f"all samples have one label, {label!r}: one constant answer would be right on all of them")
    else:
        found += [
            f"{name} gives one answer, {tables.label_names[int(given[0])]!r}, to all samples"
            for name, given in ((name, np.unique(answers[~failed[:, i], i])) for i, name in enumerate(names))
            if len(given) == 1
        ]
    if len(labels) > 1 and tables.label_names:
        found += [text for column in range(len(names)) if (text := _other_labels(tables, column, failed[:, column]))]
    found += _failures(names, failed.mean(axis=0).tolist(), tables.failures)
    found += repeat_warnings(tables.conditions)
    found += [line] if (line := left_out_line(tables.conditions)) else []
    for a, b in combinations(range(len(names)), 2):
        same = bool(tables.label_names) and np.array_equal(tables.top_labels[:, a], tables.top_labels[:, b])
        if same and np.array_equal(tables.top_probabilities[:, a], tables.top_probabilities[:, b]):
            found.append(f"{names[a]} and {names[b]} give the same answers on all samples: one of them is redundant")
    return tuple(found)


def _failures(names: Sequence[str], shares: Sequence[float], reasons: Mapping[str, str]) -> list[str]:
    """One line on the candidates that failed on a share of the samples, and why; none if none did."""
    many = {name: share for name, share in zip(names, shares, strict=True) if share >= MIN_FAILED}
    if not many:
        return []
    more = ", unless another candidate of a premodel answers them" if len(names) > 1 else ""
    if len(many) == 1:
        ((name, share),) = many.items()
        why = f"; most often: {printable(reasons[name])}" if name in reasons else ""
        return [f"{name} failed on {100 * share:.1f} % of the samples; they count as wrong answers{more}{why}"]
    why_each = {name: f" (most often: {printable(reasons[name])})" if name in reasons else "" for name in many}
    each = ", ".join(f"{name} on {100 * share:.1f} %{why_each[name]}" for name, share in many.items())
    return [f"{len(many)} candidates failed on some samples: {each}; they count as wrong answers{more}"]


def _other_labels(tables: Tables, column: int, failed: NDArray[np.bool_]) -> str:
    """A warning where one candidate's answers go with the truth under other labels; else nothing."""
    answers, truth = tables.top_labels[~failed, column, 0], tables.truth[~failed]
    fit = other_labels(answers, truth, tables.label_names) if len(truth) else None
    if fit is None:
        return ""
    right, n = int((answers == truth).sum()), len(truth)
    return (
        f"{tables.candidates[column]} is right on {100 * right / n:.1f} % of {n} samples; it would be "
        f"{100 * fit.right / n:.1f} % with {fit.words}: check the label file and the samples' labels"
    )


def repeat_warnings(conditions: Mapping[str, Any]) -> list[str]:
    """Warnings about candidates that did not repeat themselves, or answered otherwise on the device that was timed."""
    device = str(conditions.get("device", ""))
    again = [unrepeatable_note(name, *counts) for name, counts in _counted(conditions.get("unrepeatable"))]
    return again + [otherwise_note(name, device, *counts) for name, counts in _counted(conditions.get("otherwise"))]


def _counted(said: Any) -> list[tuple[str, tuple[int, int]]]:
    pairs = said.items() if isinstance(said, Mapping) else ()
    return [
        (str(name), (int(counts[0]), int(counts[1])))
        for name, counts in pairs
        if isinstance(counts, list | tuple) and len(counts) == 2 and counts[1]
    ]


def latency_drifts(name: str, here_ms: float, profiled_ms: float | None) -> str | None:
    """A warning where a latency is far from that of the profile; None where it is not."""
    if not profiled_ms or not here_ms or max(here_ms / profiled_ms, profiled_ms / here_ms) < MAX_LATENCY_FACTOR:
        return None
    return (
        f"{name} takes {here_ms:.2f} ms here, {profiled_ms:.2f} ms in the profile: what was chosen by its latencies "
        "need not hold; measure them again with premodel profile --retime all"
    )


def accuracy_drops(name: str, right: int, samples: int, promised: float | None) -> str | None:
    """A warning where the accuracy measured is far below that of the profile; None where it is not."""
    if promised is None or samples == 0:
        return None
    low, high = wilson(right, samples)
    if high >= promised - MIN_DROP:
        return None
    return (
        f"{name} is right on {100 * right / samples:.1f} % here [{100 * low:.1f}, {100 * high:.1f}], on "
        f"{100 * promised:.1f} % of the profile's samples: these inputs differ from those profiled"
    )
