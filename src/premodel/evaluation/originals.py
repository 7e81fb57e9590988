"""What compression gives by itself, and what choosing per input adds, where a zoo holds siblings of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from premodel.evaluation.cross_validation import Outcome
from premodel.evaluation.rows import Singles
from premodel.records import Criterion
from premodel.stats import best_single, paired_bootstrap
from premodel.training.tables import Tables
from premodel.verdict import Verdict

SIBLINGS = "siblings"
"""Condition of a profile: what each candidate that was made from another is, by name."""


@dataclass(frozen=True)
class Alone:
    """A sibling run by itself.

    Attributes
    ----------
    name, kind:
        The candidate, and what was made of its original, such as "int8".
    original:
        The most accurate original.
    accuracy, latency_ms:
        Of the sibling.
    verdict:
        Of the sibling against the best original.
    """

    name: str
    kind: str
    original: str
    accuracy: float
    latency_ms: float
    verdict: Verdict


def siblings_of(tables: Tables) -> dict[str, str]:
    """What each sibling is, by name; empty where all candidates are originals, or none is."""
    said: Any = tables.conditions.get(SIBLINGS)
    found = {str(name): str(kind) for name, kind in said.items()} if isinstance(said, Mapping) else {}
    found = {name: kind for name, kind in found.items() if name in tables.candidates}
    return found if 0 < len(found) < len(tables.candidates) else {}


def best_original(tables: Tables, singles: Singles) -> int:
    """Column of the most accurate candidate that was not made from another."""
    columns = [column for column, name in enumerate(tables.candidates) if name not in siblings_of(tables)]
    return columns[best_single(singles.accuracy[columns], singles.latency_ms[columns])]


def sibling_alone(tables: Tables, singles: Singles, seed: int = 0) -> Alone | None:
    """The fastest sibling that is not shown to be less accurate than the best original, else the most accurate one."""
    kinds = siblings_of(tables)
    if not kinds:
        return None
    best = best_original(tables, singles)
    found = []
    for name, kind in kinds.items():
        column = tables.candidates.index(name)
        verdict = _against(tables, singles, singles.correct[:, column], float(singles.latency_ms[column]), best, seed)
        accuracy, latency_ms = float(singles.accuracy[column]), float(singles.latency_ms[column])
        found.append(Alone(name, kind, tables.candidates[best], accuracy, latency_ms, verdict))
    kept = [one for one in found if one.verdict.accuracy != "lower"]
    if kept:
        return min(kept, key=lambda one: one.latency_ms)
    return max(found, key=lambda one: (one.accuracy, -one.latency_ms))


def beside_original(
    tables: Tables, criterion: Criterion, outcomes: Sequence[Outcome], *, seed: int = 0
) -> tuple[str, ...]:
    """One sibling alone and every premodel against the best original, and the premodel beyond the sibling, in words."""
    singles = Singles.of(tables, criterion)
    alone = sibling_alone(tables, singles, seed)
    if alone is None:
        return ()
    best = best_original(tables, singles)
    original = f"the best original {alone.original} {_at(singles, best)}"
    lines = [f"{alone.name} alone ({alone.kind}): {alone.verdict.sentence(original)}"]
    column = tables.candidates.index(alone.name)
    for outcome in outcomes:
        if outcome.method.kind != "premodel":
            continue
        right, mean_ms = outcome.score, float(outcome.latency_ms.mean())
        whole = _against(tables, singles, right, mean_ms, best, seed)
        beyond = _against(tables, singles, right, mean_ms, column, seed)
        lines.append(f"{outcome.method.name}: {whole.sentence(original)}")
        lines.append(f"  beyond {alone.name} alone: {beyond.sentence(f'{alone.name} {_at(singles, column)}')}")
    return tuple(lines)


def _against(tables: Tables, singles: Singles, right: Any, mean_ms: float, column: int, seed: int) -> Verdict:
    difference = np.asarray(right, dtype=np.float64) - singles.correct[:, column]
    low, high = paired_bootstrap(difference, seed=seed)
    speedup = float(singles.latency_ms[column]) / mean_ms
    return Verdict(len(tables), speedup, 100 * float(difference.mean()), (100 * low, 100 * high))


def _at(singles: Singles, column: int) -> str:
    return f"({100 * singles.accuracy[column]:.1f} % at {singles.latency_ms[column]:.2f} ms)"
