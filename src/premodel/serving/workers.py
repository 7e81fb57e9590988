"""A pool of threads that reports whether it moves, and ends whatever its threads do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from premodel.clock import now_ms

STOP_S = 5.0
"""How long the end waits for the threads, beyond the time that a request may take."""
logger = logging.getLogger(__name__)


class Workers:
    """Some threads that work on requests.

    Parameters
    ----------
    count:
        Threads.
    timeout_s:
        What a request may take.
    name:
        Of the threads.

    Attributes
    ----------
    running:
        Threads at work on requests.
    """

    def __init__(self, count: int, timeout_s: float, name: str) -> None:
        self._count = count
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(count, name)
        self._lock = threading.Lock()
        self._moved_ms = now_ms()
        self.running = 0

    @property
    def stuck(self) -> bool:
        """Every thread is busy, and none has begun or ended anything for longer than a request may take."""
        with self._lock:
            return self.running >= self._count and now_ms() - self._moved_ms > self._timeout_s * 1e3

    def prepare(self, work: Callable[[], Any]) -> Future[Any]:
        """Have a thread do what is no request, and is not counted as one."""
        return self._pool.submit(work)

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a thread do it."""
        return self._pool.submit(self._work, work, args)

    def stop(self) -> bool:
        """Finish what was submitted; False if a thread did not end within the timeout and STOP_S, and was left."""
        end = {"cancel_futures": self.stuck}
        ending = threading.Thread(target=self._pool.shutdown, kwargs=end, daemon=True)
        ending.start()
        ending.join(self._timeout_s + STOP_S)
        if ending.is_alive():
            logger.error("%d workers did not end, and are left", self.running)
        return not ending.is_alive()

    def _work(self, work: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self._move(1)
        try:
            return work(*args)
        finally:
            self._move(-1)

    def _move(self, by: int) -> None:
        with self._lock:
            self.running += by
            self._moved_ms = now_ms()
