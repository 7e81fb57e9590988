"""SIGHUP: a server loads anew; the end of its terminal ends it, unless `nohup` started it."""

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
    had_terminal, outlives_it = _has_terminal(), signal.getsignal(number) is signal.SIG_IGN

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        nonlocal had_terminal
        if had_terminal and not _has_terminal():
            had_terminal = False  # a later one asks for loading anew
            server.should_exit = not outlives_it
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
