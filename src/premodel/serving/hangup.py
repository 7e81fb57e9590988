"""SIGHUP: a server loads anew; the end of its terminal ends it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn


@contextmanager
def hangups(call: Callable[[], None] | None, server: uvicorn.Server) -> Generator[None]:
    """Have SIGHUP call this, where there is such a signal."""
    number = getattr(signal, "SIGHUP", None)
    if number is None or call is None:
        yield
        return
    had_terminal = _has_terminal()

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        if had_terminal and not _has_terminal():
            server.should_exit = True
        else:
            threading.Thread(target=call, name="hangup", daemon=True).start()

    before = signal.signal(number, hang_up)
    try:
        yield
    finally:
        signal.signal(number, before)


def _has_terminal() -> bool:
    """Is this process's terminal, if it has one, still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
