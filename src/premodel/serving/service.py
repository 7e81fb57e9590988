"""The served premodel: a bounded queue before a small pool of threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from premodel.clock import now_ms
from premodel.errors import InputError, OptionError, PremodelError, RunError, sentence
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.base import CallOptions
from premodel.serving.body import unpack
from premodel.serving.deadline import Deadline, WaitedTooLongError
from premodel.serving.limits import Limits
from premodel.serving.prometheus import Metrics
from premodel.serving.received import Received
from premodel.serving.recorder import Recorder
from premodel.serving.reload import Opener, Reloader
from premodel.serving.request import InferRequest, read_request
from premodel.serving.response import InferResponse, write_response
from premodel.serving.served import Served
from premodel.serving.shadow import Noted, Shadow
from premodel.serving.workers import Workers

WATCH_S = 1.0
"""How often it is seen whether a model that was lost is to be tried again."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Replied:
    """A request and its answers, one per image, by what was served then."""

    request: InferRequest
    answers: Sequence[Answer]
    served: Served


class Service:
    """A premodel with a name, limits, threads and metrics.

    Parameters
    ----------
    premodel:
        Closed with the service, or when another takes its place.
    name:
        The served model's name.
    limits:
        Threads, queue, time and sizes.
    shadow:
        The shadow check; None for none.
    reopen:
        Opens the premodel anew, to take the place of this one; None if it cannot be.
    recorder:
        Keeps a sample of what is asked and answered; None for none. Stopped with the service.

    Attributes
    ----------
    metrics:
        What was counted.
    reloader:
        Loads the premodel anew; None without `reopen`.
    hung:
        The service was stopped, and a worker did not end.
    """

    def __init__(
        self,
        premodel: Premodel,
        name: str,
        limits: Limits,
        shadow: Shadow | None = None,
        reopen: Opener | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.metrics = Metrics(premodel.candidates)
        self.reloader = None if reopen is None else Reloader(name, reopen, self._replace, self.metrics.reloaded)
        self._recorder = recorder
        self._served = Served(premodel, name, shadow, "" if recorder is None else recorder.admit(premodel))
        self._deadline = None if limits.deadline_ms is None else Deadline(limits.deadline_ms)
        if self._deadline is not None:
            self._deadline.check(premodel)
        self._pool = Workers(limits.workers, limits.timeout_s, "infer")
        self._lock = threading.Lock()
        self._accepted = 0
        self.hung = False
        self._warm: Future[None] | None = None
        self._stopping = False
        self._ended = threading.Event()
        self.metrics.watch(lambda: self._accepted - self._running, lambda: self._running)
        self.metrics.watch_served(lambda: self._served)
        if recorder is not None:
            self.metrics.watch_records(lambda: recorder.disk_bytes)

    @property
    def served(self) -> Served:
        """What answers now."""
        return self._served

    @property
    def premodel(self) -> Premodel:
        """The premodel that answers now."""
        return self._served.premodel

    @property
    def ready(self) -> bool:
        """Every candidate was opened, at least one can run, a worker moves, and the service is not stopping."""
        warm = self._warm
        if self._stopping or self.stuck or warm is None or not warm.done() or warm.exception() is not None:
            return False
        return self._served.can_answer

    @property
    def stuck(self) -> bool:
        """Every worker is busy, and none has begun or ended anything for longer than a request may take."""
        return self._pool.stuck

    @property
    def _running(self) -> int:
        return self._pool.running

    @property
    def followed(self) -> bool:
        """Is there a shadow check or a recorder, which is given every response."""
        return self._served.shadow is not None or self._recorder is not None

    def start(self) -> None:
        """Open every candidate in the background; requests may come at once."""
        self._warm = self._pool.prepare(self._open)
        self._served.start(self.metrics.shadowed)
        if self._recorder is not None:
            self._recorder.start(self.metrics.recorded)
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def wait_until_open(self) -> None:
        """Wait until every candidate was tried that `start` has opened; raises what opening them raised."""
        if self._warm is not None:
            self._warm.result()

    def stop(self) -> None:
        """Answer what was accepted, then close everything; a worker that does not end in time is left alone."""
        self._stopping = True
        self._ended.set()
        self.hung = not self._pool.stop()
        if not self.hung:
            self._served.retire()
        if self._recorder is not None:
            self._recorder.stop()

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
        served = replied.served
        bundle, candidates = served.premodel.bundle, served.premodel.candidates
        return write_response(self.name, replied.request, replied.answers, served.top_k, candidates, bundle.label_names)

    def sent(self, replied: Replied) -> None:
        """To be called when a response was sent; never waits."""
        served, images, answers = replied.served, replied.request.images, replied.answers
        notes: list[Noted | None] = []
        if self._recorder is not None:
            tickets = self._recorder.answered(images, answers, served.digest, served.domain)
            notes = [None if one is None else partial(self._recorder.compared, one) for one in tickets]
        if served.shadow is not None and served is self._served:
            served.shadow.answered(images, answers, busy=self._accepted > self.limits.workers, notes=notes)

    def reload(self) -> Future[Served]:
        """Load the premodel anew, see `Reloader.ask`.

        Raises
        ------
        OptionError
            This server cannot.
        """
        if self.reloader is None:
            raise OptionError("this server cannot load its premodel again", do="start it anew")
        return self.reloader.ask()

    def reload_soon(self) -> None:
        """Load the premodel anew; what becomes of it is logged."""
        self.reload()

    def _replace(self, served: Served) -> None:
        """Let another premodel answer from now on; the old one is closed when its last request has ended."""
        with self._lock:
            if self._stopping:
                raise RunError("the server stops")
            old, self._served = self._served, served
        self.metrics.start_at_0(served.premodel.candidates)
        served.start(self.metrics.shadowed)
        old.retire()

    @contextmanager
    def _using(self) -> Generator[Served]:
        """What answers now, kept open for the time of the `with`."""
        with self._lock:
            use = self._served.used()
            served = use.__enter__()  # before another can take its place
        try:
            yield served
        finally:
            use.__exit__(None, None, None)

    def _open(self) -> None:
        with self._using() as served:
            for name, reason in served.premodel.unavailable.items():
                logger.warning("%s is left out, and tried again: %s", name, reason)
            served.premodel.warm()

    def _watch(self) -> None:
        """Have lost models tried again, so that they come back although nobody asks for them."""
        while not self._ended.wait(WATCH_S):
            try:
                with self._using() as served:
                    served.premodel.look_again()
            except PremodelError:  # closed meanwhile
                continue

    def _answer(self, received: Received) -> Replied:
        body = unpack(received.body, received.encoding, self.limits.max_body_bytes)
        with self._using() as served:
            request = read_request(body, received.asked, self.limits, served.domain.task)
            self._check_time(request, received.arrived_ms)
            answers = [self._predict(served, request, index, received) for index in range(len(request.images))]
            if self._deadline is not None:
                late = now_ms() - received.arrived_ms > self._deadline.deadline_ms
                self.metrics.met_deadline("late" if late else "on time")
            return Replied(request, answers, served)

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

    def _budget_ms(self, served: Served, request: InferRequest, index: int, received: Received) -> float | None:
        """What the call may take: the request's own budget, or what waiting left of the deadline, if that is less."""
        asked_ms = request.options.max_latency_ms
        if self._deadline is None:
            return asked_ms
        waited_ms = now_ms() - received.arrived_ms
        try:
            left_ms = self._deadline.budget_ms(served.premodel, waited_ms, len(request.images) - index)
        except WaitedTooLongError:
            self.metrics.met_deadline("refused")
            raise
        return left_ms if asked_ms is None else min(left_ms, asked_ms)

    def _cost_weight(self, served: Served, request: InferRequest, index: int) -> float | None:
        """The request's own cost weight, or the price of time of those who wait behind it, if that is higher."""
        asked = request.options.cost_weight
        if self._deadline is None:
            return asked
        behind = max(0, self._accepted - self._running) + len(request.images) - index - 1
        price = self._deadline.cost_weight(behind, self.limits.workers)
        usual = served.premodel.policy.trained_cost_weight if asked is None else asked
        raised = price > usual
        self.metrics.priced(price, raised=raised)
        return price if raised else asked

    def _predict(self, served: Served, request: InferRequest, index: int, received: Received) -> Answer:
        options = request.options
        budget_ms = self._budget_ms(served, request, index, received)
        weight = self._cost_weight(served, request, index)
        try:
            answer = served.premodel.predict(request.images[index], max_latency_ms=budget_ms, cost_weight=weight)
        except RunError as error:
            self.metrics.unanswered()
            if len(request.images) == 1:
                raise
            raise RunError(sentence(str(error), where=f"{served.domain.noun} {index}")) from error
        except InputError as error:
            if len(request.images) == 1:
                raise
            raise InputError(sentence(str(error), where=f"{served.domain.noun} {index}")) from error
        self.metrics.answered(answer)
        if self._deadline is not None:
            self._deadline.note(served.premodel, answer)
        if served.drift is not None and options == CallOptions() and weight is None:  # what one call asks is no drift
            served.drift.answered(answer)
        return answer
