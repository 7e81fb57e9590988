"""Progress on stderr: done of total, rate and time left."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


class TerminalProgress:
    """Shows one bar per pass, and notes between them; a pipe or a file gets a line now and then."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def begin(self, what: str, total: int, unit: str) -> None:
        """Show a new bar."""
        self.end()
        quiet = not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.1,
            mininterval=10.0 if quiet else 0.2,
            ascii=quiet,
        )

    def advance(self, count: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(count)

    def describe(self, what: str) -> None:
        """Say behind the bar what is being done."""
        if self._bar is not None:
            self._bar.set_postfix_str(what, refresh=False)

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Write a line to stderr, clear of the bar."""
        tqdm.write(message, file=sys.stderr)
