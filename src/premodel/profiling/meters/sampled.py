"""Meters that show power: it is sampled in the background and integrated."""

from __future__ import annotations

import threading
from collections.abc import Callable

from premodel.profiling.meters.base import MeterError, Time

MIN_PERIOD_S = 1e-3
READING_SHARE = 0.1
"""At most this share of one core is spent on reading: a rail behind a slow bus takes a millisecond or more to read."""
TRIED_READINGS = 5


class SampledMeter:
    """The integral over time of the sum of some powers.

    Parameters
    ----------
    read_w:
        Gives the present watts, one number per rail; MeterError if it cannot.
    update_s:
        How often the hardware has a new number; 0 if that is not known.

    Notes
    -----
    Trapezoidal rule: exact for power that changes linearly between two samples; a step is misjudged by half a period
    at most. Reading takes power too, and takes as much while idle, so most of it goes out with the idle power.
    """

    def __init__(
        self, name: str, scope: str, read_w: Callable[[], tuple[float, ...]], time: Time, update_s: float = 0.0
    ) -> None:
        self.name = name
        self.scope = scope
        self.method = "sampled power"
        self.period_s = max(MIN_PERIOD_S, update_s)
        self._read_w = read_w
        self._time = time
        self._lock = threading.Lock()
        self._energy_j = 0.0
        self._last: tuple[float, float] | None = None
        self._failure: MeterError | None = None
        self._stop: Callable[[], None] | None = None

    def open(self) -> None:
        """Begin to sample."""
        self.close()
        start = self._time.now_s()
        for _ in range(TRIED_READINGS):
            self._read_w()
        reading_s = (self._time.now_s() - start) / TRIED_READINGS
        self.period_s = max(self.period_s, reading_s / READING_SHARE)
        self.method = f"power sampled every {1e3 * self.period_s:.3g} ms"
        self._energy_j, self._last, self._failure = 0.0, None, None
        self._sample()
        self._stop = self._time.every(self.period_s, self._tick)

    def energy_j(self) -> float:
        """Joules since it was opened; one more sample is taken."""
        if self._failure is None:
            self._tick()
        if self._failure is not None:
            raise self._failure
        return self._energy_j

    def raw(self) -> tuple[float, ...]:
        """Watts of every rail."""
        return self._read_w()

    def close(self) -> None:
        """Stop sampling."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _tick(self) -> bool:
        try:
            self._sample()
        except MeterError as error:
            self._failure = error
        return self._failure is None

    def _sample(self) -> None:
        with self._lock:
            before = self._time.now_s()
            watts = sum(self._read_w())
            now = (before + self._time.now_s()) / 2  # reading takes a while on a slow bus
            if self._last is not None:
                then, last_watts = self._last
                self._energy_j += (watts + last_watts) / 2 * (now - then)
            self._last = (now, watts)
