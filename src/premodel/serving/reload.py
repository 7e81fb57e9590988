"""A premodel loaded again under a running server: the old one serves until the new one is ready."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from premodel.errors import PremodelError, RunError
from premodel.serving.served import Served

Opener = Callable[[], Served]
logger = logging.getLogger(__name__)


class Reloader:
    """Loads anew when asked, one time after the other, on a thread of its own.

    Parameters
    ----------
    name:
        The served model's name, for the log.
    reopen:
        Opens what is to be served.
    replace:
        Puts it in the place of the old one.
    count:
        Is given "done" or "failed".

    Attributes
    ----------
    error:
        Why the last attempt failed; empty if it did not.
    """

    def __init__(
        self, name: str, reopen: Opener, replace: Callable[[Served], None], count: Callable[[str], None]
    ) -> None:
        self._name = name
        self._reopen = reopen
        self._replace = replace
        self._count = count
        self._lock = threading.Lock()
        self._busy = False
        self._next: Future[Served] | None = None
        self.error = ""

    @property
    def busy(self) -> bool:
        """Is it loading."""
        return self._busy

    def ask(self) -> Future[Served]:
        """Load anew: at once, or after what is being loaded, which may have been read before the file changed."""
        with self._lock:
            if self._next is None:
                self._next = Future()
                if not self._busy:
                    self._busy = True
                    threading.Thread(target=self._work, name="reload", daemon=True).start()
            return self._next

    def _work(self) -> None:
        while True:
            with self._lock:
                asked, self._next = self._next, None
                if asked is None:
                    self._busy = False
                    return
            try:
                served = self._load()
            except Exception as error:  # noqa: BLE001 - whatever it is, the old one serves on
                known = isinstance(error, PremodelError)
                self.error = str(error) if known else f"internal error ({type(error).__name__})"
                logger.error("%s was not loaded again, the one before serves on: %s", self._name, self.error)
                self._count("failed")
                asked.set_exception(error if known else RunError(self.error))
            else:
                self.error = ""
                logger.warning("%s was loaded again: %s", self._name, ", ".join(served.premodel.candidates))
                self._count("done")
                asked.set_result(served)

    def _load(self) -> Served:
        """Open, run every candidate once, and put it in the place of the old one; nothing stays open if that fails."""
        served = self._reopen()
        try:
            unavailable = served.premodel.warm()
            if unavailable:
                name, reason = next(iter(unavailable.items()))
                raise RunError(f"candidate {name} cannot be opened ({reason})")
            self._replace(served)
        except BaseException:
            served.retire()
            raise
        gc.collect()  # what the old one held in cycles
        _give_back()
        return served


def _give_back() -> None:
    """Have the C library give freed memory back to the system: what runtimes freed lies scattered, and it keeps it."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
