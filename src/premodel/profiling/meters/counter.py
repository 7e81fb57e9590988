"""Meters that count energy themselves: the difference of two readings is the energy between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from premodel.profiling.meters.base import MeterError


@dataclass(frozen=True)
class Counter:
    """One counter of energy.

    Attributes
    ----------
    name:
        What it counts.
    read_j:
        Gives what it shows, joules; MeterError if it cannot.
    range_j:
        Where it begins again at 0; None if it never does.
    """

    name: str
    read_j: Callable[[], float]
    range_j: float | None = None


class CounterMeter:
    """The sum of some counters, none of which contains another.

    Notes
    -----
    A counter that wraps is unrolled once between two readings, so it must be read more often than it wraps. The
    windows here last seconds; a RAPL counter wraps after minutes at the earliest.
    """

    method = "energy counter"

    def __init__(self, name: str, counters: Sequence[Counter]) -> None:
        self.name = name
        self.scope = " + ".join(counter.name for counter in counters)
        self._counters = counters
        self._last: tuple[float, ...] = ()
        self._energy_j = 0.0

    def open(self) -> None:
        """Take the first reading."""
        self._last = self.raw()
        self._energy_j = 0.0

    def energy_j(self) -> float:
        """Joules since it was opened."""
        now = self.raw()
        for counter, before, after in zip(self._counters, self._last, now, strict=True):
            if after < before and (counter.range_j is None or before > counter.range_j):
                raise MeterError(f"the counter of {counter.name} went backwards")
            self._energy_j += after - before if after >= before else after + (counter.range_j or 0.0) - before
        self._last = now
        return self._energy_j

    def raw(self) -> tuple[float, ...]:
        """What every counter shows, joules."""
        return tuple(counter.read_j() for counter in self._counters)

    def close(self) -> None:
        """Nothing is held."""
