"""The served premodel: a bounded queue before a small pool of threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from premodel.clock import now_ms
from premodel.errors import InputError, PremodelError, RunError, sentence
from premodel.records import TOP_K
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.base import CallOptions
from premodel.runtime.reference import reference_of
from premodel.serving.body import unpack
from premodel.serving.drift import Drift
from premodel.serving.limits import Limits
from premodel.serving.prometheus import Metrics
from premodel.serving.received import Received
from premodel.serving.request import InferRequest, read_request
from premodel.serving.response import InferResponse, write_response
from premodel.serving.shadow import Shadow
from premodel.serving.signature import metadata

STOP_S = 5.0
"""How long the end of a service waits for its workers, once every request was answered or given up."""
logger = logging.getLogger(__name__)


class WaitedTooLongError(PremodelError):
    """A request whose time ran out before its work started."""


@dataclass(frozen=True, eq=False)
class Replied:
    """A request and its answers, one per image."""

    request: InferRequest
    answers: Sequence[Answer]


class Service:
    """A premodel with a name, limits, threads and metrics.

    Parameters
    ----------
    premodel:
        Closed with the service.
    name:
        The served model's name.
    limits:
        Threads, queue, time and sizes.
    shadow:
        The shadow check; None for none.

    Attributes
    ----------
    metrics:
        What was counted.
    metadata:
        The protocol's model metadata.
    hung:
        The service was stopped, and a worker did not end.
    """

    def __init__(self, premodel: Premodel, name: str, limits: Limits, shadow: Shadow | None = None) -> None:
        self.premodel = premodel
        self.name = name
        self.limits = limits
        self.metrics = Metrics(premodel.candidates)
        self.top_k = min(TOP_K, len(premodel.bundle.label_names))
        self.domain = premodel.bundle.domain
        self.metadata = metadata(name, self.top_k, self.domain.noun, answers_labels=self.domain.answers_labels)
        self._shadow = shadow
        reference = reference_of(premodel.bundle.training_record, str(premodel.path))
        chooses = premodel.policy.fixed_candidate is None
        self._drift = None if reference is None else Drift(reference, chooses=chooses)
        if self._drift is not None:
            self.metrics.watch_drift(self._drift)
        self._pool = ThreadPoolExecutor(limits.workers, "infer")
        self._lock = threading.Lock()
        self._accepted = 0
        self._running = 0
        self._moved_ms = now_ms()
        self.hung = False
        self._warm: Future[Mapping[str, str]] | None = None
        self._stopping = False
        self.metrics.watch(lambda: self._accepted - self._running, lambda: self._running)

    @property
    def ready(self) -> bool:
        """Every candidate was opened, at least one can run, a worker moves, and the service is not stopping."""
        if (
            self._stopping
            or self.stuck
            or self._warm is None
            or not self._warm.done()
            or self._warm.exception() is not None
        ):
            return False
        return not set(self.premodel.candidates) <= set(self._warm.result())

    @property
    def stuck(self) -> bool:
        """Every worker is busy, and none has begun or ended anything for longer than a request may take."""
        with self._lock:
            return self._running >= self.limits.workers and now_ms() - self._moved_ms > self.limits.timeout_s * 1e3

    @property
    def shadowed(self) -> bool:
        """Is there a shadow check, which is given every response."""
        return self._shadow is not None

    def start(self) -> None:
        """Open every candidate in the background; requests may come at once."""
        self._warm = self._pool.submit(self._open)
        if self._shadow is not None:
            self._shadow.start(self.metrics.shadowed)

    def stop(self) -> None:
        """Answer what was accepted, then close everything; a worker that does not end within STOP_S is left alone."""
        self._stopping = True
        ending = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": self.stuck}, daemon=True)
        ending.start()
        ending.join(self.limits.timeout_s + STOP_S)
        if ending.is_alive():
            self.hung = True
            logger.error("%d workers did not end, and are left", self._running)
            return
        if self._shadow is not None:
            self._shadow.stop()
        self.premodel.close()

    def accept(self) -> bool:
        """Take a place for a request, before its body is read; False if all are taken. `leave` gives it back."""
        with self._lock:
            if self._stopping or self._accepted >= self.limits.workers + self.limits.queue:
                return False
            self._accepted += 1
            return True

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._accepted -= 1

    def submit(self, received: Received) -> Future[Replied]:
        """Answer an accepted request on a thread of the pool; its place is given back when that is done."""
        future = self._pool.submit(self._answer, received)
        future.add_done_callback(lambda _: self.leave())
        return future

    def respond(self, replied: Replied) -> InferResponse:
        """Write the response: on the thread of the event loop, so that one of the pool begins the next request."""
        names = self.premodel.bundle.label_names
        return write_response(self.name, replied.request, replied.answers, self.top_k, self.premodel.candidates, names)

    def sent(self, replied: Replied) -> None:
        """To be called when a response was sent; never waits."""
        if self._shadow is not None:
            self._shadow.answered(replied.request.images, replied.answers, busy=self._accepted > self.limits.workers)

    def _open(self) -> Mapping[str, str]:
        unavailable = self.premodel.warm()
        for name, reason in unavailable.items():
            logger.warning("%s is left out: %s", name, reason)
        return unavailable

    def _answer(self, received: Received) -> Replied:
        with self._lock:
            self._running += 1
            self._moved_ms = now_ms()
        try:
            body = unpack(received.body, received.encoding, self.limits.max_body_bytes)
            request = read_request(body, received.asked, self.limits, self.domain.task)
            self._check_time(request, received.arrived_ms)
            return Replied(request, [self._predict(request, index) for index in range(len(request.images))])
        finally:
            with self._lock:
                self._running -= 1
                self._moved_ms = now_ms()

    def _check_time(self, request: InferRequest, arrived_ms: float) -> None:
        """Work that nobody waits for any more is not begun."""
        allowed_ms = self.limits.timeout_s * 1e3
        if request.timeout_ms is not None:
            allowed_ms = min(allowed_ms, request.timeout_ms)
        waited_ms = now_ms() - arrived_ms
        if waited_ms > allowed_ms:
            raise WaitedTooLongError(
                "request waited too long", given=f"{waited_ms:.3g} ms", allowed=f"{allowed_ms:.3g} ms", do="try again"
            )

    def _predict(self, request: InferRequest, index: int) -> Answer:
        options = request.options
        try:
            answer = self.premodel.predict(
                request.images[index], max_latency_ms=options.max_latency_ms, cost_weight=options.cost_weight
            )
        except RunError as error:
            self.metrics.unanswered()
            if len(request.images) == 1:
                raise
            raise RunError(sentence(str(error), where=f"{self.domain.noun} {index}")) from error
        except InputError as error:
            if len(request.images) == 1:
                raise
            raise InputError(sentence(str(error), where=f"{self.domain.noun} {index}")) from error
        self.metrics.answered(answer)
        if self._drift is not None and options == CallOptions():  # a budget of one call is no drift
            self._drift.answered(answer)
        return answer
