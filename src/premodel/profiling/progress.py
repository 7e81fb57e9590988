"""How a pass reports how far it is; the command line shows it, a library call may leave it out."""

from __future__ import annotations

from typing import Protocol


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
