"""The shadow check: on a share of the requests the best candidate runs as well, after the answer, and is compared."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from premodel.errors import OptionError, PremodelError
from premodel.runtime.answer import Answer
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.engine import Premodel

logger = logging.getLogger(__name__)

PLACES = 8
"""Images that may wait; one more is dropped."""
STOP_S = 5.0
"""How long the end waits for the comparison at work."""
NICE = 10
"""Added to the thread's niceness, so that answers come first where there are too few cores."""
OUTCOMES = ("agree", "differ", "failed", "dropped")

Counted = Callable[[str], None]
Noted = Callable[[Mapping[str, Any]], None]
"""Is given what a comparison found."""


def _uncounted(outcome: str) -> None:
    """Before the start nobody counts."""
    del outcome


def best_candidate(record: Mapping[str, Any], where: object) -> str:
    """The most accurate single candidate by a bundle's training record, the faster one of equals.

    Raises
    ------
    OptionError
        The record does not say.
    """
    try:
        rows = [(float(row["accuracy"]), -float(row["latency_ms"]), str(row["name"])) for row in record["singles"]]
        return max(rows)[2]
    except (KeyError, TypeError, ValueError) as error:
        raise OptionError(
            "the bundle does not say which candidate is the best", where=where, do="train it again"
        ) from error


class Shadow:
    """One thread behind a short queue; whatever is too much is dropped and counted.

    Parameters
    ----------
    premodel:
        Its best candidate is opened here.
    share:
        Of the answered images, 0 to 1.
    seed:
        Of the draw.

    Raises
    ------
    OptionError
        The share is out of range, or the best candidate is unknown.
    RunError
        The best candidate cannot be opened.
    """

    def __init__(self, premodel: Premodel, share: float, seed: int = 0) -> None:
        if not 0 < share <= 1:
            raise OptionError("share of the shadow check is out of range", given=share, allowed="above 0, up to 1")
        self.best = best_candidate(premodel.bundle.training_record, premodel.path)
        self._candidate: OpenedCandidate = premodel.open_candidate(self.best)
        self._share = share
        self._draw = random.Random(seed)  # noqa: S311 - a sample, not a secret
        self._waiting: queue.Queue[tuple[Any, int | str, Noted | None] | None] = queue.Queue(PLACES)
        self._thread: threading.Thread | None = None
        self._counted: Counted = _uncounted

    def start(self, counted: Counted) -> None:
        """Begin; `counted` is called with one of OUTCOMES for every image drawn."""
        self._counted = counted
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the comparison at work; those that wait are dropped."""
        if self._thread is None:
            return
        self._drop_waiting()
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=STOP_S)
        self._thread.join(STOP_S)
        self._thread = None

    def answered(
        self, images: Sequence[Any], answers: Sequence[Answer], *, busy: bool, notes: Sequence[Noted | None] = ()
    ) -> None:
        """Draw from the images of a request whose response was sent; never waits. Abstentions are not compared.

        Parameters
        ----------
        busy:
            A request waits for a worker; what is drawn is then dropped.
        notes:
            One per image: called with what its comparison found, where there is one; none for nobody.
        """
        for image, answer, noted in zip(images, answers, notes or [None] * len(answers), strict=True):
            said = answer.label if answer.outcome is None else answer.outcome
            if said is None or self._draw.random() >= self._share:
                continue
            try:
                if busy:
                    raise queue.Full
                self._waiting.put_nowait((image, said, noted))
            except queue.Full:
                self._counted("dropped")

    def _drop_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
                self._counted("dropped")

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # on Linux a thread has a niceness of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while (item := self._waiting.get()) is not None:
            self._counted(self._compare(*item))

    def _compare(self, image: Any, said: int | str, noted: Noted | None = None) -> str:
        try:
            prediction = self._candidate.predict(self._candidate.candidate.domain.decode(image))
        except PremodelError as error:
            logger.warning("shadow check of %s: %s", self.best, error)
            return "failed"
        found = int(prediction.labels[0]) if prediction.outcome is None else prediction.outcome
        outcome = "agree" if found == said else "differ"
        if noted is not None:
            noted({"candidate": self.best, "outcome": outcome, "answer": found})
        return outcome
