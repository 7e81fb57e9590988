"""A connection's transport: responses leave in one piece, and the end waits for what the client still sends."""

from __future__ import annotations

import asyncio
from typing import Any

LINGER_S = 1.0
"""How long the end of a connection waits for the next bytes of its client."""


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
            self._loop.call_soon(self.flush)
            return
        self._transport.write(data)

    def write_eof(self) -> None:
        """End our half, after what was held back."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close, after what was held back."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            self.write(b"")


class Lingering(OnePiece):
    """A transport whose `close` ends our half and reads on until the client ends its own, and that bears being closed.

    Parameters
    ----------
    transport, loop:
        As for `OnePiece`.
    bound_s:
        How long a client that goes on sending is listened to, and then how long one that does not read is waited for.

    Attributes
    ----------
    client_ended:
        The client has ended its half.

    Notes
    -----
    A socket that is closed while bytes of the client are unread sends a reset, and the reset may overtake the answer
    (RFC 9112, section 9.6). TLS has no halves here: its end is a plain one.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, bound_s: float) -> None:
        super().__init__(transport, loop)
        self.client_ended = False
        self._bound_s = bound_s
        self._until = 0.0
        self._closing = self._heard = self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def is_closing(self) -> bool:
        """Nothing more can be written."""
        return self._closing or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, unless nothing can be written any more."""
        if not self._closing and not self._transport.is_closing():
            super().write(data)

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._paused and not self.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def heard(self) -> None:
        """Note that the client sends while the end waits for it."""
        self._heard = True

    def close(self) -> None:
        """Send what there is and end our half; close once the client did the same or sends nothing more."""
        if self.is_closing():
            return
        if self.client_ended or not self._transport.can_write_eof():
            self.close_at_once()
            return
        self.flush()
        self._closing = True
        self._transport.write_eof()
        self.resume_reading()
        self._until = self._loop.time() + self._bound_s
        self._timer = self._loop.call_later(LINGER_S, self._end)

    def close_at_once(self) -> None:
        """Send what there is and close."""
        if not self._transport.is_closing():
            self.flush()
            self._closing = True
            self._transport.close()
        self.lost()
        self._timer = self._loop.call_later(self._bound_s, self._transport.abort)

    def lost(self) -> None:
        """Note that the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        if self._heard and self._loop.time() < self._until:
            self._heard = False
            self._timer = self._loop.call_later(LINGER_S, self._end)
        else:
            self.close_at_once()
