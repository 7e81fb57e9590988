"""What a meter is, and the time it lives in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from premodel.clock import now_ms
from premodel.errors import PremodelError


class MeterError(PremodelError):
    """A meter is not there, may not be read, or failed; an energy pass turns it into "not measured"."""


class Meter(Protocol):
    """Counts joules.

    Attributes
    ----------
    name:
        What `--energy` calls it.
    method:
        How joules are had, such as "energy counter".
    scope:
        What they are the joules of, such as "package-0".
    """

    name: str
    method: str
    scope: str

    def open(self) -> None:
        """Begin to count; MeterError if it cannot."""

    def energy_j(self) -> float:
        """Joules since it was opened; MeterError if it cannot be read any more."""

    def raw(self) -> tuple[float, ...]:
        """What the hardware shows now, unprocessed: by its change a meter proves itself; MeterError as above."""

    def close(self) -> None:
        """End; closing twice is allowed."""


class Time(Protocol):
    """A clock, sleep, and something that is done again and again; tests have one of their own."""

    def now_s(self) -> float:
        """Seconds on a monotonic clock."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    def every(self, period_s: float, work: Callable[[], bool]) -> Callable[[], None]:
        """Do something every so many seconds until it gives False; gives what stops it."""


class RealTime:
    """The time of this machine; `every` is a thread."""

    def now_s(self) -> float:
        """Seconds on the one clock."""
        return now_ms() / 1e3

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def every(self, period_s: float, work: Callable[[], bool]) -> Callable[[], None]:
        """Do the work in a thread of its own."""
        over = threading.Event()

        def repeat() -> None:
            while not over.wait(period_s) and work():
                pass

        thread = threading.Thread(target=repeat, name="energy meter", daemon=True)
        thread.start()

        def stop() -> None:
            over.set()
            thread.join()

        return stop


def read_number(path: Path) -> float:
    """One number out of a file of sysfs.

    Raises
    ------
    MeterError
        The file is gone, may not be read, or holds no number.
    """
    try:
        text = path.read_text()
    except PermissionError as error:
        raise MeterError(f"permission denied on {path}") from error
    except FileNotFoundError as error:
        raise MeterError(f"{path} is not there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MeterError(f"{path} cannot be read ({error})") from error
    try:
        return float(int(text))
    except ValueError as error:
        raise MeterError(f"{path} holds no number") from error


def read_text(path: Path) -> str:
    """The text of a file of sysfs; empty if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
