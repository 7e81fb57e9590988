"""What compression gives by itself, and what choosing per input adds, where a zoo holds siblings of its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.rows import Singles
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
    return siblings_among(tables.conditions, tables.candidates)


def siblings_among(conditions: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """The same of some candidates, by the conditions of a profile or bundle."""
    said: Any = conditions.get(SIBLINGS)
    found = {str(name): str(kind) for name, kind in said.items()} if isinstance(said, Mapping) else {}
    found = {name: kind for name, kind in found.items() if name in names}
    return found if 0 < len(found) < len(names) else {}


def best_original(singles: Singles, kinds: Mapping[str, str]) -> int:
    """Column of the most accurate candidate that was not made from another."""
    columns = [column for column, name in enumerate(singles.names) if name not in kinds]
    return columns[best_single(singles.accuracy[columns], singles.latency_ms[columns])]


def sibling_alone(singles: Singles, kinds: Mapping[str, str], seed: int = 0) -> Alone | None:
    """The fastest sibling that is not shown to be less accurate than the best original, else the most accurate one."""
    if not kinds:
        return None
    best = best_original(singles, kinds)
    found = []
    for name, kind in kinds.items():
        column = singles.names.index(name)
        accuracy, latency_ms = float(singles.accuracy[column]), float(singles.latency_ms[column])
        verdict = against(singles, best, singles.correct[:, column], latency_ms, seed)
        found.append(Alone(name, kind, singles.names[best], accuracy, latency_ms, verdict))
    kept = [one for one in found if one.verdict.accuracy != "lower"]
    if kept:
        return min(kept, key=lambda one: one.latency_ms)
    return max(found, key=lambda one: (one.accuracy, -one.latency_ms))


def against(singles: Singles, column: int, right: NDArray[Any], mean_ms: float, seed: int = 0) -> Verdict:
    """What answered these samples, right or wrong and in this mean time, against one candidate alone."""
    difference = np.asarray(right, dtype=np.float64) - singles.correct[:, column]
    low, high = paired_bootstrap(difference, seed=seed)
    speedup = float(singles.latency_ms[column]) / mean_ms
    return Verdict(len(difference), speedup, 100 * float(difference.mean()), (100 * low, 100 * high))


def beside_original(
    singles: Singles, kinds: Mapping[str, str], premodels: Mapping[str, tuple[NDArray[Any], float]], *, seed: int = 0
) -> tuple[str, ...]:
    """One sibling alone and every premodel against the best original, and the premodel beyond the sibling, in words.

    Parameters
    ----------
    kinds:
        Of `siblings_of`; without any nothing is said.
    premodels:
        Score of each sample and mean latency of every premodel, by name.
    """
    alone = sibling_alone(singles, kinds, seed)
    if alone is None:
        return ()
    names = (alone.original, alone.name)
    compared = {
        name: {one: against(singles, singles.names.index(one), right, mean_ms, seed) for one in names}
        for name, (right, mean_ms) in premodels.items()
    }
    return beside_lines(singles, alone, compared)


def beside_lines(singles: Singles, alone: Alone, compared: Mapping[str, Mapping[str, Verdict]]) -> tuple[str, ...]:
    """The lines, given each premodel's verdicts against the best original and against the sibling."""
    original, sibling = (f"{name} {_at(singles, singles.names.index(name))}" for name in (alone.original, alone.name))
    lines = [f"{alone.name} alone ({alone.kind}): {alone.verdict.sentence(f'the best original {original}')}"]
    for name, verdicts in compared.items():
        lines.append(f"{name}: {verdicts[alone.original].sentence(f'the best original {original}')}")
        lines.append(f"  beyond {alone.name} alone: {verdicts[alone.name].sentence(sibling)}")
    return tuple(lines)


def _at(singles: Singles, column: int) -> str:
    return f"({100 * singles.accuracy[column]:.1f} % at {singles.latency_ms[column]:.2f} ms)"
