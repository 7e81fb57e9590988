"""Ceilings of latency, memory and energy: which candidates a premodel may have, alone and together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.costs import rounded_up
from premodel.training.objective import Objective
from premodel.training.tables import Tables


def within_ceilings(tables: Tables, objective: Objective) -> Tables:
    """The tables without candidates that are over a ceiling by themselves.

    Raises
    ------
    OptionError
        The profile does not hold what a ceiling is about, or no candidate keeps it.
    """
    kept = np.ones(len(tables.candidates), np.bool_)
    for what, unit, ceiling, values in _ceilings(tables, objective):
        missing = [name for name, value in zip(tables.candidates, values, strict=True) if math.isnan(value)]
        if missing:
            raise OptionError(
                f"max-{what}-{unit.lower()} asks for what was not measured",
                given=f"no {what} of {', '.join(missing)}",
                do="profile the timings again where it can be measured, or leave the ceiling out",
            )
        kept &= values <= ceiling
        if not kept.any():
            least = int(np.argmin(values))
            raise OptionError(
                f"no candidate keeps max-{what}-{unit.lower()}",
                given=f"{ceiling:g} {unit}",
                allowed=f"{values[least]:.3f} {unit} or more: the least is {tables.candidates[least]}",
            )
    return tables if kept.all() else tables.take_candidates(np.flatnonzero(kept).tolist())


def check_latency(tables: Tables, objective: Objective) -> None:
    """Refuse a ceiling of latency that no answer can keep.

    Raises
    ------
    OptionError
        It is below the cheapest candidate, end to end, which the message names.
    """
    end_to_end_ms = tables.end_to_end_ms()
    cheapest = int(np.argmin(end_to_end_ms))
    if objective.max_latency_ms is not None and objective.max_latency_ms < end_to_end_ms[cheapest]:
        raise OptionError(
            "no candidate keeps max-latency-ms",
            given=f"{objective.max_latency_ms:g} ms",
            allowed=f"{rounded_up(end_to_end_ms[cheapest])} ms or more: the cheapest candidate is "
            f"{tables.candidates[cheapest]}",
        )


def together(tables: Tables, objective: Objective) -> Callable[[Sequence[int]], bool] | None:
    """May candidates, by column, be one premodel together; None if wrong there.

    Memory is that of every network once, all opened; energy that of an answer for which every candidate runs: what
    one answer can need at most.
    """
    found = _ceilings(tables, objective)
    if not found:
        return None

    def accepts(columns: Sequence[int]) -> bool:
        return all(_total(tables, values, columns, what) <= ceiling + 1e-9 for what, _, ceiling, values in found)

    return accepts


def check_together(tables: Tables, objective: Objective, names: Sequence[str], policy: str) -> None:
    """Refuse a policy that chose one candidate per input but holds more in memory than the ceiling.

    Raises
    ------
    OptionError
        Its candidates together are over the ceiling of memory.
    """
    columns = [tables.candidates.index(name) for name in names]
    for what, unit, ceiling, values in _ceilings(tables, objective):
        needed = _total(tables, values, columns, what)
        if what == "memory" and needed > ceiling + 1e-9:
            raise OptionError(
                f"policy {policy} does not keep max-memory-mb",
                given=f"{needed:.1f} {unit} for {', '.join(names)}",
                allowed=f"{ceiling:g} {unit}",
                do="use --policy cascade-routing, which chooses its candidates for it, or single",
            )


def resident_mb(tables: Tables, names: Sequence[str]) -> float:
    """What the networks of these candidates take, all open, in 10^6 bytes; NaN where one was not measured."""
    return _total(tables, tables.memory_mb, [tables.candidates.index(name) for name in names], "memory")


def _ceilings(tables: Tables, objective: Objective) -> list[tuple[str, str, float, NDArray[np.float64]]]:
    both = (
        ("memory", "MB", objective.max_memory_mb, tables.memory_mb),
        ("energy", "mJ", objective.max_energy_mj, tables.energy_mj),
    )
    return [(what, unit, ceiling, values) for what, unit, ceiling, values in both if ceiling is not None]


def _total(tables: Tables, values: NDArray[np.float64], columns: Sequence[int], what: str) -> float:
    """Sum over candidates; of memory, candidates of one network share it and count once, with the largest."""
    if what != "memory":
        return float(values[list(columns)].sum())
    by_network: dict[str, float] = {}
    for column in columns:
        network = tables.networks[column]
        by_network[network] = float(np.maximum(by_network.get(network, 0.0), values[column]))  # NaN stays NaN
    return sum(by_network.values())
