"""Candidates that are opened ahead where memory does not hold all, and what opening one counts in a decision."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.errors import PremodelError, RemoteError, RunError
from premodel.runtime.candidate import open_network
from premodel.runtime.lazy_candidates import LazyCandidates, Slot

BUSY_MS = 1e6
"""What opening a network counts while another is being opened beside the answers: it would wait, and take its room."""


class PrefetchedCandidates(LazyCandidates):
    """Lazy candidates that are also opened before they are asked for.

    Notes
    -----
    With a budget that does not hold all, a network that was worth more to the last inputs than those in its way, by the
    time of opening it, is opened by a thread of its own, beside the next answers.
    """

    _prefetching = False
    _all_fit: bool | None = None

    def load_ms(self, count: int) -> NDArray[np.float64] | None:
        """float64 (count,): what opening each of the first candidates may take now; None without a budget.

        The slowest of the last openings here, which count digests too, and never less than the profile's.
        """
        if self._budget_mb is None:
            return None
        with self._changed:
            return np.array([0.0 if self._is_open(index) else self._bound_ms(index) for index in range(count)])

    def _bound_ms(self, index: int) -> float:
        busy = any(slot.opening for slot in self._slots.values())
        return BUSY_MS if busy else self._times.bound_ms(index)

    def load_price_ms(self, count: int) -> NDArray[np.float64] | None:
        """float64 (count,): what opening each of the first counts in what it is worth to run; None where all fit.

        The usual time of opening, less what it was worth more to the last inputs than those it would take the place of.
        """
        if self._budget_mb is None:
            return None
        with self._changed:
            if self._all_fit is None:
                self._all_fit = self._fit_together(count)
            if self._all_fit:
                return None
            return np.array([self._price_ms(index) for index in range(count)])

    def _price_ms(self, index: int) -> float:
        if self._is_open(index):
            return 0.0
        if any(slot.opening for slot in self._slots.values()):
            return BUSY_MS
        with suppress(RunError):
            slot = self._slot(index)
            ahead_ms = self._worth_ms(slot) - sum(self._worth_ms(other) for other in self._in_the_way(slot, None))
            return max(0.0, self._times.usual_ms(index) - ahead_ms)
        return self._times.usual_ms(index)

    def note_worth(self, worth_ms: Mapping[int, float], keep: int | None = None) -> None:
        """One input was answered, to which these candidates were worth so much more than others, in ms.

        What is worth opening now is opened by another thread; `keep` is one that is not unloaded for it.
        """
        with self._changed:
            self._worth.note(worth_ms)
            if not worth_ms or self._prefetching or self._closed or self._most_wanted(keep) is None:
                return
            self._prefetching = True
        threading.Thread(target=self._prefetch, args=(keep,), name="premodel-prefetch", daemon=True).start()

    def _most_wanted(self, keep: int | None) -> int | None:
        """The candidate that is not open and worth most, of those that are worth their opening and have room."""
        found = [
            (self._worth_ms(slot), index)
            for index, slot in enumerate(self._slot_of)
            if slot is not None and not slot.in_memory and index not in self._lost and self._has_room(slot, keep)
            and self._price_ms(index) == 0
        ]  # fmt: skip
        return max(found)[1] if found else None

    def _has_room(self, wanted: Slot, keep: int | None) -> bool:
        """Is there room for a network once what is in its way is unloaded, and one is kept."""
        kept = None if keep is None else self._slot_of[keep]
        gone = self._in_the_way(wanted, kept)
        left_mb = sum(slot.memory_mb for slot in self._slots.values() if slot.in_memory and slot not in gone)
        return kept not in gone and left_mb + wanted.memory_mb <= (self._budget_mb or 0.0)

    def _prefetch(self, keep: int | None) -> None:
        """Open the most wanted candidate; the lock is free meanwhile."""
        try:
            with self._changed:
                index = None if self._closed else self._most_wanted(keep)
                if index is None:
                    return
                slot = self._slot(index)
                for other in self._in_the_way(slot, None if keep is None else self._slot_of[keep]):
                    self._unload(other)
                prepared, start_ms = self._prepared(index), now_ms()
                marks = self._marks_of(prepared)
                verified, slot.opening = self._is_verified(index, marks), True
            try:
                network = open_network(prepared, verified=verified)
            except PremodelError as error:
                with self._changed:
                    if not isinstance(error, RemoteError):
                        self._lose(index, error)
                return
            finally:
                with self._changed:
                    slot.opening = False
                    self._changed.notify_all()
            with self._changed:
                if self._closed or slot.network is not None or marks != self._marks_of(prepared):
                    network.close()
                    return
                self._settle(index, self._pool.adopt(prepared, network), marks, now_ms() - start_ms)
                self._changed.notify_all()
        except PremodelError:  # it is reported when it is asked
            return
        finally:
            self._prefetching = False

    def _is_open(self, index: int) -> bool:
        with suppress(RunError):  # one that cannot be opened is reported when it is asked
            return self._opened[index] is not None or self._slot(index).network is not None
        return False

    def _fit_together(self, count: int) -> bool:
        """Have the networks of the first candidates room beside each other."""
        slots: dict[int, float] = {}
        for index in range(count):
            with suppress(RunError):
                slot = self._slot(index)
                slots[id(slot)] = slot.memory_mb
        return self._budget_mb is None or sum(slots.values()) <= self._budget_mb
