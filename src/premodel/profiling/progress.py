"""How a pass reports how far it is; the command line shows it, a library call may leave it out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, Self

from premodel.clock import now_s


class Progress(Protocol):
    """Is given one pass after the other."""

    def begin(self, what: str, total: int, unit: str) -> None:
        """A pass of `total` units begins."""

    def advance(self, count: int = 1) -> None:
        """So many more units are done."""

    def end(self) -> None:
        """The pass is over, or was broken off."""

    def note(self, message: str) -> None:
        """Say something to the user, one line."""


class Silent:
    """Tells nobody."""

    def begin(self, what: str, total: int, unit: str) -> None:
        """Nothing."""

    def advance(self, count: int = 1) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


class UntilSteady:
    """The bar of work that ends once its figures are steady, or after so many seconds: it shows those that passed.

    As a context it is full when the work ends, and stays as it stands where the work is broken off.

    Parameters
    ----------
    what:
        The work, in a word or two.
    max_seconds:
        When it ends at the latest.
    clock_s:
        Seconds on a monotonic clock.
    """

    def __init__(self, progress: Progress, what: str, max_seconds: float, clock_s: Callable[[], float] = now_s) -> None:
        self._progress = progress
        self._clock_s = clock_s
        self._total = max(1, math.ceil(max_seconds))
        self._shown = 0
        self._start_s: float | None = None
        progress.begin(f"{what} until steady, at most {self._total} s", self._total, "s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._progress.advance(self._total - self._shown)
        self._progress.end()

    def move(self) -> None:
        """Show the seconds that passed since this was called first; the bar is full no sooner than the work ends."""
        now = self._clock_s()
        self._start_s = now if self._start_s is None else self._start_s
        passed = min(int(now - self._start_s), self._total - 1)
        self._progress.advance(max(0, passed - self._shown))
        self._shown = max(self._shown, passed)
