"""HTTP/1.1 by httptools and uvicorn: what is bounded, how requests are refused, and how a connection ends.

uvicorn answers pipelined requests in order. A refusal takes its place among them like any other answer, so that the
answers to the requests before it are whole, and the connection ends behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from premodel.serving.access import head_too_large
from premodel.serving.heads import EVERYWHERE, METHOD, NOT_HTTP, RefusedError, read_head
from premodel.serving.log import CountedLog
from premodel.serving.refusals import BAD_KINDS, error_response
from premodel.serving.transport import Lingering

MALFORMED, LARGE, SLOW, CUT = BAD_KINDS
CUT_S = 0.5
"""Before the end of the server's grace a connection that is still there is cut."""
ALLOW = "GET, HEAD, POST, OPTIONS"


class BadRequests:
    """What clients did wrong with their connections: each is counted, and a line per kind and interval is logged.

    Parameters
    ----------
    log:
        Takes the lines.
    count:
        Called with one of BAD_KINDS each time; None for no one.
    """

    def __init__(self, log: CountedLog, count: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._count = count

    def note(self, kind: str, message: str, client: tuple[str, int] | None) -> None:
        """Count one; `message` holds nothing that the client sent."""
        if self._count is not None:
            self._count(kind)
        self._log.note(kind, f"bad request from {client[0] if client else 'a client'}: {message}")


class _OverError(Exception):
    """A message after the one that was to be the last."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of which every state is bounded in bytes and in time.

    A head that does not end within the configured bytes (`h11_max_incomplete_event_size`) is answered with 431; what
    arrives in one piece may be longer, by the size of a piece, and `access.HeaderLimit` refuses it by its exact size.
    What is no HTTP, or against it, is answered with 400, 501 or 505, and what does not arrive in time with 408.

    Parameters
    ----------
    config, server_state, app_state:
        As uvicorn gives them.
    bad:
        Takes what clients do wrong.
    patience_s:
        From a head's first byte to its last, for the rest of a body whose request was answered already, for a client
        that does not read, and for one that goes on sending after the end.

    Notes
    -----
    A client may end its half of the connection once its requests are out; the answers still come. Over TLS that is no
    half but the end, as the event loop has it.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        bad: BadRequests,
        patience_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._max_head_bytes = config.h11_max_incomplete_event_size or (16 << 10)
        self._bad = bad
        self._patience_s = patience_s
        self._line: Lingering
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._last: asyncio.TimerHandle | None = None
        self._begun = False
        """A message has begun and not ended."""
        self._in_head = True
        self._method = "GET"
        self._moved = False
        """Within the newest piece a head or a message ended, or a part of a body came."""
        self._bare_bytes = 0
        """Of the message that comes in, since it last moved."""
        self._over = False
        """Nothing more is read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        self._line = Lingering(transport, self.loop, self._patience_s)
        super().connection_made(cast(asyncio.Transport, self._line))
        self._wait_for_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._unset_keepalive_if_required()
        self._stop_timer()
        self._stop_stall()
        if self._last is not None:
            self._last.cancel()
        self.pipeline.clear()
        super().connection_lost(exc)
        self._line.lost()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; count the bytes and the time while no end of a head and nothing of a body comes."""
        if self._over or self.transport.is_closing():
            self._line.heard()
            return
        first = not self._begun
        self._moved = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            if not self._over:
                self._refuse(*_reason(error, data if first and not self._moved else b""))
            return
        if not self._begun:
            return
        self._bare_bytes = 0 if self._moved else self._bare_bytes + len(data)
        if self._bare_bytes > self._max_head_bytes:
            self._refuse(431, head_too_large(self._bare_bytes, self._max_head_bytes), LARGE)
        elif self._in_head and self._timer is None:
            self._start_timer()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client ended its half: what it sent whole is answered, what it did not is refused."""
        self._line.client_ended = True
        self._line.flush()  # an answer without a body may still be held, and the loop would close below it
        if self.scheme == "https" or self.transport.is_closing():
            return False
        self._unset_keepalive_if_required()
        if self._begun and not self._over:
            self._refuse(400, f"request ends within its {'head' if self._in_head else 'body'}", CUT)
        elif self.cycle is None or self.cycle.response_complete:
            return False
        else:
            self.cycle.keep_alive = False
        self._over = True
        return not self.transport.is_closing()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self._stop_stall()
        self._stalled = self.loop.call_later(self._patience_s, self._give_up)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._stop_stall()

    def on_message_begin(self) -> None:
        """A head starts."""
        if self._over:
            raise _OverError
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._method = "GET"
        self._begun = self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; fields behind a body are none, and could be taken for some that were checked."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A body follows, or the end of the message."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self._method = method.decode("ascii")
        self.url = read_head(method, version, self.url, self.headers)
        if version == "1.0":
            self.expect_100_continue = False
        if self.url == EVERYWHERE:
            app, self.url, self.app = self.app, b"/", cast(Any, _options)
            super().on_headers_complete()
            self.app = app
        else:
            super().on_headers_complete()
        if self._timer is not None:
            self._stop_timer()
        self._in_head, self._moved = False, True

    def on_body(self, body: bytes) -> None:
        """Hand a piece on as it is, where there is none before it: uvicorn would copy it in and out of a buffer."""
        self._moved = True
        if not self.cycle.body and not self.cycle.response_complete:
            self.cycle.body, body = body, b""  # type: ignore[assignment]
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head starts, unless this was the last request."""
        super().on_message_complete()
        if self._timer is not None:
            self._stop_timer()
        self._begun, self._moved = False, True
        if not self.cycle.keep_alive:
            self._over = True
        elif self.cycle.response_complete:
            self._wait_for_next()

    def on_response_complete(self) -> None:
        """Start the next answer, or wait for a request; the rest of one that was answered early may come in peace."""
        super().on_response_complete()
        if self.transport.is_closing() or not self._begun:
            return
        self._unset_keepalive_if_required()
        if not self._in_head and self.cycle.response_complete:
            self._start_timer()

    def shutdown(self) -> None:
        """The server ends: what was asked is answered, nothing more is taken, and who hinders it is cut off."""
        if self.cycle is None or self.cycle.response_complete:
            self._line.close_at_once()
            return
        if self.config.timeout_graceful_shutdown is not None:
            self._last = self.loop.call_later(self.config.timeout_graceful_shutdown - CUT_S, self.transport.abort)
        self.cycle.keep_alive = False
        if not self._begun:
            self._over = True

    def timeout_keep_alive_handler(self) -> None:
        """No request came for long."""
        self._line.close_at_once()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:  # is not taken up: what follows is HTTP/1.1 as before
                data = data[upgrade.args[0] :]
            else:
                return

    def _refuse(self, status: int, message: str, kind: str) -> None:
        """Answer in the place of the message that comes in, and end the connection behind it."""
        self._over = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._bad.note(kind, message, self.client)
        waits = self.cycle is not None and not self.cycle.response_complete
        if self._begun and not self._in_head:  # it is the newest cycle's
            if self.cycle.response_complete:
                self.transport.close()
                return
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
            elif self.cycle.response_started:
                self.cycle.keep_alive = False
                return
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                waits = False
        self.cycle = self._cycle(self._method)
        if waits:
            self.pipeline.appendleft((self.cycle, cast(Any, _Refusal(status, message))))
        else:
            self.flow.resume_reading()
            self._start_asgi_task(self.cycle, cast(Any, _Refusal(status, message)))

    def _cycle(self, method: str) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=cast(Any, {"type": "http", "method": method, "headers": []}),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )

    def _wait_for_next(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._patience_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_slow(self) -> None:
        if self.flow.read_paused:  # nothing can come
            self._start_timer()
        else:
            self._refuse(408, "request did not arrive in time", SLOW)

    def _give_up(self) -> None:
        self._bad.note(SLOW, "answers are not read", self.client)
        self.transport.abort()


def _reason(error: httptools.HttpParserError, data: bytes) -> tuple[int, str, str]:
    """Status, message and kind; `data` begins with the message, or is empty."""
    cause = error.__context__
    if isinstance(cause, RefusedError):
        return cause.status, cause.message, MALFORMED
    if isinstance(error, httptools.HttpParserInvalidMethodError) and METHOD.match(data.lstrip(b"\r\n")):
        return 501, "method is unknown", MALFORMED
    return 400, NOT_HTTP, MALFORMED


class _Refusal:
    """The app of a request that is refused."""

    def __init__(self, status: int, message: str) -> None:
        self._response = error_response(status, message, {"connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


async def _options(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to `OPTIONS *`."""
    await Response(status_code=204, headers={"allow": ALLOW})(scope, receive, send)
