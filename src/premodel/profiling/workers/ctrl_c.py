"""Ctrl-C reaches every process of a terminal; the one that started the others decides what becomes of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes that this thread starts within never see SIGINT; an end that is asked for meanwhile comes after it.

    So no child is asked to end, or left by its parent, before it is whole; it would tell so in a traceback.

    Notes
    -----
    A child inherits the thread's mask of signals, which holds from its first instruction on: a handler that it sets
    itself comes too late for what happens while it imports. The mask of one thread leaves the signal to the others, so
    here handlers wait besides. Where the system has no masks a child may still tell.
    """
    resource_tracker.ensure_running()  # a helper of multiprocessing: where its start comes first, the mask is taken off
    masks = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        with _later():
            yield
            if masks:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later() -> Iterator[None]:
    """Signals that end this process wait for the end of the block; only the main thread takes any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)

    handlers = {number: signal.getsignal(number) for number in ENDS}
    own = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in own:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
    for one in came:
        signal.raise_signal(one)
