"""HTTP/1.1 by httptools: heads of bounded size, refusals that arrive, and responses written in one piece."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from premodel.serving.access import head_too_large

LINGER_S = 1.0
"""How long the end of a refused connection waits for its client to stop sending."""


class OnePiece:
    """A transport that holds the head of a response back until its body follows, or the loop has nothing else to do.

    Both go out in one call to the system then, and the client wakes up once: uvicorn writes them one by one.

    Parameters
    ----------
    transport:
        What all else is asked of.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold back a head, or send it with what follows it."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(b"HTTP/1.1 2"):
            self._held = data
            self._loop.call_soon(self._send)
            return
        self._transport.write(data)

    def write_eof(self) -> None:
        """End our half, after what was held back."""
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        """Close, after what was held back."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._held:
            self.write(b"")


class BoundedProtocol(HttpToolsProtocol):
    """One connection; a head that does not end within the configured bytes is answered with 431 and the end.

    The bound is `h11_max_incomplete_event_size` of the configuration. What arrives in one piece may be longer, by the
    size of a piece; `access.HeaderLimit` refuses it by its exact size. What is no HTTP is answered with 400.

    Notes
    -----
    A socket that is closed while bytes of the client are unread sends a reset, and the reset may overtake the answer.
    So a refusal ends our half of the connection, and what still comes in is read and thrown away.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._max_head_bytes = config.h11_max_incomplete_event_size or (16 << 10)
        self._head_bytes = 0
        self._in_head, self._ended = True, False
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(cast(asyncio.Transport, OnePiece(transport, self.loop)))

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count while it is within a head."""
        if self._refused:
            return
        self._ended = False
        super().data_received(data)
        if not self._in_head or self._ended:  # where a message ended, most of the piece is of that one
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._max_head_bytes and not self.transport.is_closing():
            self._refuse("431 Request Header Fields Too Large", head_too_large(self._head_bytes, self._max_head_bytes))

    def on_headers_complete(self) -> None:
        """A body follows, or the end of the message."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a piece on as it is, where there is none before it: uvicorn would copy it in and out of a buffer."""
        if not self.cycle.body and not self.cycle.response_complete:
            self.cycle.body, body = body, b""  # type: ignore[assignment]
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head starts."""
        super().on_message_complete()
        self._in_head, self._ended, self._head_bytes = True, True, 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """What the parser could not read."""
        if not self.transport.is_closing():
            self._refuse("400 Bad Request", "request cannot be read as HTTP/1.1")

    def _refuse(self, status: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self._refused = True
        if self.cycle is not None:  # nothing may be written behind the end
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)
