"""Candidates that are opened when they are first needed, once, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from premodel.errors import PremodelError, RunError
from premodel.runtime.candidate import NetworkPool, OpenedCandidate
from premodel.runtime.model_files import ModelFiles
from premodel.runtime.zoo import Candidate


class LazyCandidates:
    """Candidates by index.

    Parameters
    ----------
    candidates:
        What may be opened.
    files:
        Where their model files are.
    threads:
        Threads of every runtime; None for what each candidate was profiled with.

    Attributes
    ----------
    unavailable:
        Candidates that cannot be opened, by index, with the reason. A candidate that failed to open is not tried
        again: opening is slow, and the reason does not go away by itself.
    """

    def __init__(self, candidates: Sequence[Candidate], files: ModelFiles, threads: int | None) -> None:
        self._candidates = tuple(candidates)
        self._files = files
        self._threads = threads
        self._pool = NetworkPool()
        self._lock = threading.Lock()
        self._closed = False
        self._opened: list[OpenedCandidate | None] = [None] * len(self._candidates)
        self.unavailable: dict[int, str] = {}

    def __getitem__(self, index: int) -> OpenedCandidate:
        """The candidate, opened.

        Raises
        ------
        RunError
            It cannot be opened, whatever the reason, or all were closed.
        """
        opened = self._opened[index]
        return self._open(index) if opened is None else opened

    def _open(self, index: int) -> OpenedCandidate:
        with self._lock:
            opened = self._opened[index]
            if opened is not None:
                return opened
            if self._closed:
                raise RunError("the premodel is closed")
            if index in self.unavailable:
                raise RunError(self.unavailable[index])
            candidate = self._candidates[index]
            try:
                candidate = candidate.with_file(self._files.get(candidate))
                if self._threads is not None:
                    candidate = candidate.with_threads(self._threads)
                opened = self._pool.open(candidate)
            except PremodelError as error:
                self.unavailable[index] = str(error)
                raise RunError(str(error)) from error
            self._opened[index] = opened
            return opened

    def close(self) -> None:
        """Close every network; closing twice is allowed."""
        with self._lock:
            self._closed = True
            self._opened = [None] * len(self._candidates)
            self._pool.close()
