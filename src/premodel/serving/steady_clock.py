"""The time of records: even, though the machine's clock may be set."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """The time of a process that goes on evenly, whatever is done to the machine's clock.

    Parameters
    ----------
    wall, steady:
        Seconds since 1970, and seconds that only rise.

    Notes
    -----
    A clock that is set (a board without a battery at its start, a mistake that is put right) shows as a difference of
    the two. It is believed once it has stayed for SETTLE_S: a jump there and back changes nothing.
    """

    JUMP_S = 60.0
    SETTLE_S = 600.0

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._begun = steady()
        self.started: float = wall()
        self._seen: tuple[float, float] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._steady() - self._begun

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.started + self.elapsed

    @property
    def settled(self) -> bool:
        """Does the machine's clock go with this one."""
        return self._seen is None

    def look(self) -> bool:
        """Compare the two; True where the start was moved, as the machine's clock has been set for long enough."""
        off = self._wall() - self.now
        if abs(off) < self.JUMP_S:
            self._seen = None
            return False
        elapsed = self.elapsed
        if self._seen is None or abs(self._seen[1] - off) >= self.JUMP_S:
            self._seen = (elapsed, off)
            return False
        if elapsed - self._seen[0] < self.SETTLE_S:
            return False
        self.started += off
        self._seen = None
        return True
