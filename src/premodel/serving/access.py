"""Who may use the server: loopback, or a token, or an open door asked for by name; and with how large a head."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    """ASGI middleware: everything but OPEN_PATHS requires `Authorization: Bearer TOKEN`, compared in constant time."""

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


@dataclass(frozen=True)
class Doors:
    """Under which names a server without a token answers, and to which pages.

    Attributes
    ----------
    hosts:
        Host names beside localhost, this machine's name and every address written in figures, which no foreign name
        server can point here; lower case, without a port.
    origins:
        Origins of other pages that may ask, such as https://example.org.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def takes_host(self, host: str) -> bool:
        """Is a Host header one of these names; one that is not there is, as no browser leaves it out."""
        name = _host_name(host)
        if name in ("", "localhost", socket.gethostname().lower()) or name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def takes_origin(self, origin: str, host: str) -> bool:
        """Is an Origin header that of the server's own page, or one of these."""
        own = origin.partition("://")[2].lower()
        return bool(own and own == host.strip().lower()) or origin.lower().rstrip("/") in self.origins


def doors_of(host: str, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> Doors:
    """The doors of a server that listens on `host`.

    Raises
    ------
    OptionError
        A host is no name, or an origin none.
    """
    for name in hosts:
        if not name or "/" in name or not name.isascii() or not name.isprintable() or " " in name:
            raise OptionError("no host name", where="--allow-host", given=name, allowed="NAME, without a port or path")
    for origin in origins:
        if not origin.lower().startswith(("http://", "https://")) or urlsplit(origin).path.strip("/"):
            raise OptionError(
                "no origin", where="--allow-origin", given=origin, allowed="https://NAME or https://NAME:PORT"
            )
    names = tuple(_host_name(name) for name in (host, *hosts))
    return Doors(names, tuple(origin.lower().rstrip("/") for origin in origins))


def _host_name(host: str) -> str:
    """Without its port and brackets."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text if text.count(":") > 1 else text.partition(":")[0].rstrip(".")


class OwnNames:
    """ASGI middleware: answers 403 to a request under a foreign name, or from a page of another origin.

    Parameters
    ----------
    doors:
        What is let in.

    Notes
    -----
    A browser lets any page send requests to this machine, and a name server can point a page's own name here, after
    which the page may also read the answers (DNS rebinding). A token keeps both out, so this is for servers without.
    """

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._doors.takes_host(host):
            message = sentence(
                "host name is not this server's", given=repr(host[:100]), do="start it with --allow-host"
            )
            await JSONResponse({"error": message}, 403)(scope, receive, send)
        elif origin is None:
            await self._app(scope, receive, send)
        elif not self._doors.takes_origin(origin, host):
            message = sentence(
                "pages of another origin may not ask",
                given=repr(origin[:100]),
                do="start the server with --allow-origin",
            )
            await JSONResponse({"error": message}, 403)(scope, receive, send)
        elif origin.lower().rstrip("/") not in self._doors.origins:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            allowed = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": "*"}
            await Response(status_code=204, headers=allowed | _shown_to(origin))(scope, receive, send)
        else:
            await self._app(scope, receive, _showing(send, origin))


def _shown_to(origin: str) -> dict[str, str]:
    return {"access-control-allow-origin": origin, "access-control-expose-headers": "*", "vary": "Origin"}


def _showing(send: Send, origin: str) -> Send:
    async def shown(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_shown_to(origin))
        await send(message)

    return shown
