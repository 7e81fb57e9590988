"""What foreign code prints to stdout goes to stderr: a command's own output may be JSON."""

from __future__ import annotations

import sys
import threading
from typing import Any, Self

_HERE = threading.local()


class _Router:
    """Stands for stdout: writes to stderr in a thread that runs foreign code, else where it went before."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it, and note that it was printed."""
        quiet: SaysNothing | None = getattr(_HERE, "quiet", None)
        if quiet is None:
            return int(self.stream.write(text))
        quiet.printed = True
        return sys.stderr.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class SaysNothing:
    """A `with` around foreign code; threads do not disturb one another.

    Attributes
    ----------
    printed:
        Did the code within write to stdout.
    """

    def __init__(self) -> None:
        self.printed = False

    def __enter__(self) -> Self:
        if not isinstance(sys.stdout, _Router):
            sys.stdout = _Router(sys.stdout)
        _HERE.quiet = self
        return self

    def __exit__(self, *_: object) -> None:
        _HERE.quiet = None
