"""The recorder: keeps a sample of what a server was asked and answered, on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from premodel.errors import OptionError, PremodelError
from premodel.files import file_sha256
from premodel.runtime.answer import Answer, finite_or_none
from premodel.runtime.engine import Premodel
from premodel.serving.log import CountedLog
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import DAY_S, DEFAULT_DAYS, DEFAULT_MB, MIN_MB, Kept
from premodel.serving.steady_clock import SteadyClock

logger = logging.getLogger(__name__)

DEFAULT_SHARE = 0.1
PLACES = 64
"""Inputs that may wait to be written; one more is dropped."""
WAITING_BYTES = 64 << 20
"""That they may have together."""
FORGET_S = 600.0
"""Between two looks for records that are too old."""
STOP_S = 5.0
"""How long the end waits for what is still to be written."""
NICE = 10
"""Added to the thread's niceness, so that answers come first where there are too few cores."""
OUTCOMES = ("kept", "dropped", "failed")

Counted = Callable[[str], None]


def _uncounted(outcome: str) -> None:
    """Before the start nobody counts."""
    del outcome


@dataclass(eq=False)
class Ticket:
    """An input that is to be kept; its number is there once it was written."""

    data: Any
    answer: Answer
    kept: float
    elapsed: float
    digest: str
    domain: Any
    record: int | None = None


@dataclass(frozen=True, eq=False)
class _Compared:
    """What a shadow comparison found of an input that was kept."""

    ticket: Ticket
    found: Mapping[str, Any]


class Recorder:
    """One thread behind a short queue; whatever is too much is dropped and counted, and no answer waits or fails.

    Parameters
    ----------
    path:
        Of the record store; made if it is not there, continued if it is.
    share:
        Of the answers, above 0 up to 1: see `probability`.
    days:
        After which a record is deleted.
    max_mb:
        Of the file and its log, in 10^6 bytes; the oldest records make room for new ones.
    seed:
        Of the draw; None for another one in each run.
    clock:
        For tests.

    Raises
    ------
    OptionError
        A number is out of its range.
    StoreError
        The store cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        share: float = DEFAULT_SHARE,
        days: float = DEFAULT_DAYS,
        max_mb: float = DEFAULT_MB,
        seed: int | None = None,
        clock: SteadyClock | None = None,
    ) -> None:
        for name, value, low, high in (
            ("share of the answers to record", share, 0.0, 1.0),
            ("days that records are kept", days, 0.0, 36_500.0),
            ("size of the record store in MB", max_mb, MIN_MB, 1e7),
        ):
            if not (low <= value <= high and value > 0):
                bounds = f"{low:g} to {high:g}" if low else f"above 0, up to {high:g}"
                raise OptionError(f"{name} is out of range", given=value, allowed=bounds)
        self._store = RecordStore(path, create=True, max_mb=max_mb)
        self._share, self._days = share, days
        self._clock = clock or SteadyClock()
        self._draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._waiting: queue.Queue[Ticket | _Compared | None] = queue.Queue(PLACES)
        self._bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._counted: Counted = _uncounted
        self._log = CountedLog(logger)
        self._run = self._store.begin_run(self._clock.started, {"share": share, "days": days})
        self._looked = -math.inf

    @property
    def path(self) -> Path:
        """Of the store."""
        return self._store.path

    @property
    def disk_bytes(self) -> int:
        """Of the store and its log."""
        return self._store.disk_bytes

    def admit(self, premodel: Premodel) -> str:
        """The digest of a premodel whose answers may be recorded here.

        Raises
        ------
        StoreError
            The store is of another task or of other labels.
        """
        bundle = premodel.bundle
        self._store.adopt(bundle.domain.task, bundle.label_names)
        return file_sha256(premodel.path)

    def probability(self, answer: Answer) -> float:
        """With which probability an answer is kept: the share where it is sure, up to twice that where it is not."""
        confidence = 0.0 if answer.abstained else answer.confidence
        unsure = 0.0 if math.isnan(confidence) else 1 - min(max(confidence, 0.0), 1.0)
        return min(1.0, self._share * (1 + unsure))

    def start(self, counted: Counted) -> None:
        """Begin; `counted` is called with one of OUTCOMES for every input drawn."""
        self._counted = counted
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, for STOP_S at most, and close the store."""
        if self._thread is not None:
            self._ending.set()
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(STOP_S)
            ended, self._thread = not self._thread.is_alive(), None
            if not ended:
                return  # it holds the store; what it was writing is rolled back
        self._log.tell_all()
        self._store.close()

    def answered(
        self, inputs: Sequence[Any], answers: Sequence[Answer], digest: str, domain: Any
    ) -> list[Ticket | None]:
        """Draw from the inputs of a request whose response was sent; never waits and never raises.

        Returns
        -------
        What is to be kept, None for what is not.
        """
        tickets: list[Ticket | None] = []
        for data, answer in zip(inputs, answers, strict=True):
            kept = self.probability(answer)
            if self._draw.random() >= kept:
                tickets.append(None)
                continue
            ticket = Ticket(data, answer, kept, self._clock.elapsed, digest, domain)
            tickets.append(ticket if self._put(ticket) else None)
        return tickets

    def compared(self, ticket: Ticket, found: Mapping[str, Any]) -> None:
        """Add what a shadow comparison found of an input that is kept; never waits."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(_Compared(ticket, found))

    def _put(self, ticket: Ticket) -> bool:
        size = _size(ticket.data)
        with self._lock:
            fits = self._bytes + size <= WAITING_BYTES and not self._ending.is_set()
            if fits:
                try:
                    self._waiting.put_nowait(ticket)
                except queue.Full:
                    fits = False
                else:
                    self._bytes += size
        if not fits:
            self._counted("dropped")
        return fits

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # on Linux a thread has a niceness of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            batch, ended = self._next_batch()
            self._write(batch)
            self._look_at_the_clock()
            if ended:
                return

    def _next_batch(self) -> tuple[list[Ticket | _Compared], bool]:
        """What waits, up to the bytes of one transaction; and whether that is the end."""
        batch: list[Ticket | _Compared] = []
        size = 0
        while size < self._store.batch_bytes:
            try:
                wait_s = 0.0 if batch or self._ending.is_set() else FORGET_S
                item = self._waiting.get(timeout=wait_s) if wait_s else self._waiting.get_nowait()
            except queue.Empty:
                return batch, self._ending.is_set()
            if item is None:
                return batch, self._waiting.empty()
            if isinstance(item, Ticket):
                with self._lock:
                    self._bytes -= _size(item.data)
                size += _size(item.data)
            batch.append(item)
        return batch, False

    def _write(self, batch: Sequence[Ticket | _Compared]) -> None:
        tickets = [one for one in batch if isinstance(one, Ticket)]
        try:
            if tickets:
                rows = [Kept(one.elapsed, one.kept, _encoded(one), _answer_of(one)) for one in tickets]
                for one, number in zip(tickets, self._store.add(self._run, rows), strict=True):
                    one.record = number
        except Exception as error:  # noqa: BLE001 - whatever it is, the server answers on
            self._note(error)
            for _ in tickets:
                self._counted("failed")
        else:
            for _ in tickets:
                self._counted("kept")
        for one in tickets:
            one.data = None  # the shadow check may hold the ticket for longer
        try:
            for done in batch:
                if isinstance(done, _Compared) and done.ticket.record is not None:
                    self._store.compared(done.ticket.record, done.found)
        except Exception as error:  # noqa: BLE001 - see above
            self._note(error)

    def _look_at_the_clock(self) -> None:
        """Delete what is too old, now and then, unless the machine's clock has just jumped."""
        clock = self._clock
        if clock.elapsed - self._looked < FORGET_S and clock.settled:
            return
        try:
            if clock.look():
                self._store.restart_run(self._run, clock.started)
                self._log.note("clock", "the machine's clock was set: records follow it")
            if clock.settled:
                self._looked = clock.elapsed
                self._store.forget(clock.now - self._days * DAY_S)
        except Exception as error:  # noqa: BLE001 - see above
            self._note(error)

    def _note(self, error: Exception) -> None:
        known = isinstance(error, PremodelError)
        reason = str(error) if known else f"internal error ({type(error).__name__})"
        self._log.note("failed", f"not recorded: {reason}", logging.ERROR)


def _size(data: Any) -> int:
    return int(data.nbytes) if hasattr(data, "nbytes") else len(data)


def _encoded(ticket: Ticket) -> bytes:
    """The input as bytes that decode to the same."""
    data = ticket.data
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    encoded: bytes = ticket.domain.encode(data)
    return encoded


def _answer_of(ticket: Ticket) -> dict[str, Any]:
    """What is kept of an answer: no reason of a failure, as it may name a file or an address."""
    answer = ticket.answer
    return {
        "premodel": ticket.digest,
        "label": answer.label,
        "outcome": answer.outcome,
        "probability": None if answer.probability is None else finite_or_none(answer.probability),
        "confidence": finite_or_none(answer.confidence),
        "candidate": answer.candidate,
        "ran": list(answer.ran),
        "failed": sorted(answer.failed),
        "latency_ms": round(answer.latency_ms["total"], 3),
    }
