"""Who may use the server: loopback, or a token, or an open door asked for by name; and with how large a head."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from premodel.errors import OptionError, sentence

OPEN_PATHS = frozenset(("/", "/page.css", "/page.js", "/camera.js", "/v2/health/live", "/v2/health/ready"))
"""Paths without secrets: the page, which asks for the token itself, and what a supervisor polls."""


def check_bind(host: str, *, token: bool, allow_open: bool) -> None:
    """Refuse to listen where others can reach the server without a token.

    Raises
    ------
    OptionError
        `host` is not of this machine only, there is no token, and `allow_open` is not set.
    """
    if token or allow_open or is_loopback(host):
        return
    raise OptionError(
        "server would be open to others",
        where=f"--host {host}",
        allowed="127.0.0.1, ::1 or localhost without a token",
        do="give --token-file F, or --allow-open if that is meant",
    )


def is_loopback(host: str) -> bool:
    """Is an address of this machine only; of names only localhost is taken as such."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class BearerToken:
    """ASGI middleware: everything but OPEN_PATHS wants `Authorization: Bearer TOKEN`, compared in constant time."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._digest = hashlib.sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allows(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        error = {"error": "a token is needed; do: send the header Authorization: Bearer TOKEN"}
        await JSONResponse(error, 401, {"www-authenticate": "Bearer"})(scope, receive, send)

    def _allows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("latin-1", "replace")).digest()
        return hmac.compare_digest(digest, self._digest) and scheme.lower() == "bearer"


def head_too_large(size: int, max_bytes: int) -> str:
    """The message of a 431."""
    return sentence("headers are too large", given=f"{size} bytes", allowed=f"up to {max_bytes}")


class HeaderLimit:
    """ASGI middleware: answers 431 to a request whose target and headers are longer than `max_bytes`.

    The connection (`http.BoundedProtocol`) bounds what is buffered, but takes a longer head that comes in one piece.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 431."""
        if scope["type"] == "http":
            target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
            size = target + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
            if size > self._max_bytes:
                error = {"error": head_too_large(size, self._max_bytes)}
                await JSONResponse(error, 431, {"connection": "close"})(scope, receive, send)
                return
        await self._app(scope, receive, send)
