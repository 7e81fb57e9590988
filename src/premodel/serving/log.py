"""Log lines that are counted: of each kind one line at most in an interval, with how many there were."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from premodel.clock import now_ms

INTERVAL_S = 60.0
"""Between two lines of one kind."""


@dataclass
class _Kind:
    """What was held back since the last line of a kind."""

    since_ms: float
    held: int = 0
    level: int = logging.WARNING
    message: str = ""


class CountedLog:
    """A log in which what repeats itself is one line per kind and interval. May be used from many threads.

    The first line of a kind is written at once. Those that follow within the interval are counted, and written as one
    line once the interval is over: the newest of them, and how many there were.

    Parameters
    ----------
    logger:
        Where the lines go.
    interval_s:
        Between two lines of one kind.
    clock_ms:
        Milliseconds that only rise.

    Notes
    -----
    There is no thread behind it. What was held back is written by the next `note` or `tell_due` after its interval,
    or by `tell_all`; who owns the log calls one of these now and then, and the last one at the end.
    """

    def __init__(
        self, logger: logging.Logger, interval_s: float = INTERVAL_S, clock_ms: Callable[[], float] = now_ms
    ) -> None:
        self._logger = logger
        self._interval_ms = interval_s * 1e3
        self._clock_ms = clock_ms
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def note(self, kind: str, message: str, level: int = logging.WARNING) -> None:
        """Write a line, or count it.

        Parameters
        ----------
        kind:
            Lines of one kind are counted together; names of kinds come from the program, never from a client, as each
            is kept.
        message:
            One line.
        level:
            Of the line.
        """
        self.tell_due()
        with self._lock:
            known = self._kinds.get(kind)
            if known is not None:
                known.held, known.level, known.message = known.held + 1, level, message
                return
            self._kinds[kind] = _Kind(self._clock_ms())
        self._logger.log(level, "%s", message)

    def tell_due(self) -> None:
        """Write what was held back and whose interval is over."""
        self._tell(self._clock_ms() - self._interval_ms)

    def tell_all(self) -> None:
        """Write everything that was held back."""
        self._tell(self._clock_ms())

    def _tell(self, begun_by_ms: float) -> None:
        lines = []
        with self._lock:
            now = self._clock_ms()
            for kind, known in list(self._kinds.items()):
                if known.since_ms > begun_by_ms:
                    continue
                if known.held:
                    seconds = (now - known.since_ms) / 1e3
                    lines.append((known.level, known.message, known.held, seconds))
                    self._kinds[kind] = _Kind(now)
                else:
                    del self._kinds[kind]
        for level, message, held, seconds in lines:
            self._logger.log(level, "%s (%d more in %.0f s)", message, held, seconds)
