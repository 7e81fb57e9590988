"""A client of an inference server over HTTP: one connection, kept; a server that goes away is waited for."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from premodel.clock import now_ms
from premodel.errors import InputError, ModelError, OptionError, RemoteError
from premodel.files import read_token

TOKEN_VARIABLE = "PREMODEL_OIP_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE_VARIABLE = "PREMODEL_OIP_TOKEN_FILE"  # noqa: S105
CA_FILE_VARIABLE = "PREMODEL_OIP_CA_FILE"
"""Environment variables; a manifest is copied and shown around, so it holds no secret."""

TIMEOUT_S = 60.0
PATIENCE_S = 300.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 5.0
MAX_REPLY_BYTES = 256 << 20
BUSY = (429, 502, 503, 504)
"""Statuses of a server, or of a proxy before it, that will answer later."""
logger = logging.getLogger(__name__)


class AwayError(RemoteError):
    """A server that cannot be reached at this moment."""


@dataclass(frozen=True, eq=False)
class Reply:
    """What a server answered.

    Attributes
    ----------
    status, headers, body:
        Of the response; names of headers in lower case.
    whole:
        Did the server say how long the body is; else only its contents show whether it was cut.
    round_trip_ms:
        From the first byte sent to the last one received, over a connection that was open.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    round_trip_ms: float
    whole: bool = True

    @property
    def message(self) -> str:
        """The protocol's error text, else the beginning of the body."""
        with contextlib.suppress(ValueError, RecursionError):
            data = json.loads(self.body)
            if isinstance(data, dict) and isinstance(data.get("error"), str):
                return str(data["error"])[:500]
        return self.body[:200].decode("utf-8", "replace").strip() or f"status {self.status}"


class OipClient:
    """Talks to one server; not for several threads at once.

    Parameters
    ----------
    url:
        http:// or https://, host, port, and a path before "/v2" if there is one.
    timeout_s:
        Of one request.
    patience_s:
        How long a server that answered once, and then went away, is waited for.
    sleep:
        Waits between two attempts.

    Attributes
    ----------
    url:
        As given, without a slash at the end.

    Raises
    ------
    OptionError
        The URL is none, or the token or the certificates cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = check_url(url)
        self.patience_s = patience_s
        self._timeout_s = timeout_s
        self._sleep = sleep
        parts = urlsplit(self.url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._tls = _tls_context() if parts.scheme == "https" else None
        self._token = _token()
        self._connection: http.client.HTTPConnection | None = None
        self._used = False
        self._met = False
        self._deadline_ms = 0.0

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        came_back: Callable[[], None] = lambda: None,
        reads: Callable[[Reply], object] = lambda _: None,
    ) -> Reply:
        """Ask, and wait for a server that went away; a request is repeated, so it must not change anything.

        `came_back` is called when it answers again, before the request is repeated; it may ask, and raise. `reads` is
        given an answer of no stated length; if it raises InputError, the answer was cut, and is asked for again.

        Raises
        ------
        RemoteError
            The server cannot be reached, or did not come back within `patience_s`.
        OptionError
            TLS failed, or the token is not the one.
        ModelError
            What is there is no inference server.
        """
        try:
            return self._ask(method, path, body, headers or {}, reads)
        except AwayError as error:
            if not self._met or self.patience_s <= 0:
                raise RemoteError(str(error), do="is the server running, and is this its address?") from error
            return self._wait(error, lambda: self._ask(method, path, body, headers or {}, reads), came_back)

    def table(self, path: str) -> dict[str, Any]:
        """A JSON table that the server gives, such as metadata.

        Raises
        ------
        RemoteError, OptionError
            As `request`.
        ModelError
            The server has no such thing, or gives something else.
        """
        reply = self.request("GET", path, reads=_json_of)
        if reply.status != 200:
            raise ModelError(reply.message, where=self.url + path, given=f"status {reply.status}")
        try:
            data = _json_of(reply)
        except InputError as error:
            raise ModelError(
                "URL must be that of an inference server, got an answer that is no JSON", where=self.url + path
            ) from error
        if not isinstance(data, dict):
            raise ModelError(
                "URL must be that of an inference server, got JSON that is no table", where=self.url + path
            )
        return data

    def close(self) -> None:
        """Close the connection; asking again opens a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._used = False

    def _wait(self, error: AwayError, ask: Callable[[], Reply], came_back: Callable[[], None]) -> Reply:
        """Ask again and again, ever more rarely, until the server answers or patience ends."""
        start = now_ms()
        logger.warning("%s; waiting for it, up to %.0f s", error, self.patience_s)
        pause_s = FIRST_PAUSE_S
        while True:
            left_s = self.patience_s - (now_ms() - start) / 1e3
            if left_s <= 0:
                raise RemoteError(
                    f"{error}; it did not come back within {self.patience_s:.0f} s",
                    do="what was stored is kept: run the same command again when it is back",
                ) from error
            self._sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
            with contextlib.suppress(AwayError):
                patience_s, self.patience_s = self.patience_s, 0.0  # what `came_back` asks must not wait in turn
                try:
                    came_back()
                except RemoteError:
                    continue
                finally:
                    self.patience_s = patience_s
                reply = ask()
                logger.warning("%s is back after %.1f s", self.url, (now_ms() - start) / 1e3)
                return reply

    def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], reads: Callable[[Reply], object]
    ) -> Reply:
        """Ask once; a kept connection that the server has closed meanwhile is opened anew."""
        kept = self._used
        try:
            reply = self._exchange(method, path, body, headers)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            self.close()
            if not kept:
                raise self._away(error) from error
            return self._ask(method, path, body, headers, reads)
        except ssl.SSLError as error:
            self.close()
            raise self._tls_failed(error) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._away(error) from error
        if reply.status in BUSY:
            raise AwayError(f"server is busy ({reply.message})", where=self.url)
        self._check_status(reply)
        if not reply.whole and reply.status == 200:
            try:
                reads(reply)
            except InputError as error:
                raise AwayError("server's answer was cut", where=self.url) from error
        self._met = True
        return reply

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        if self._connection is None:
            self._connection = self._connect()
        sent = dict(headers)
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token}"
        start = now_ms()
        self._deadline_ms = start + self._timeout_s * 1e3
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self._timeout_s)
        self._connection.request(method, self._path + path, body or None, sent)
        response = self._connection.getresponse()
        data = response.read(MAX_REPLY_BYTES + 1)
        round_trip_ms = now_ms() - start
        if len(data) > MAX_REPLY_BYTES:
            self.close()
            raise ModelError("reply is too large", where=self.url + path, allowed=f"up to {MAX_REPLY_BYTES} bytes")
        if response.length:  # http.client gives what there is, and shows only here that some is lacking
            raise http.client.IncompleteRead(data, response.length)
        whole = response.chunked or response.length is not None
        self._used = not response.will_close
        if response.will_close:
            self.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, data, round_trip_ms, whole)

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        connection.connect()
        # The time allowed is that of the whole answer, not of each byte of it.
        connection.response_class = self._response  # type: ignore[assignment]
        return connection

    def _response(self, sock: socket.socket, **more: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Bounded(sock, self._deadline_ms), **more)  # type: ignore[arg-type]

    def _away(self, error: Exception) -> AwayError:
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self._timeout_s:g} s"
        elif isinstance(error, http.client.IncompleteRead):
            reason = "its answer was cut"
        elif isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
            reason = f"no HTTP: {type(error).__name__}"
        else:
            reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        return AwayError(f"server does not answer ({reason})", where=self.url)

    def _tls_failed(self, error: ssl.SSLError) -> OptionError:
        reason = getattr(error, "verify_message", "") or (error.reason or str(error)).replace("_", " ").lower()
        return OptionError(
            f"TLS failed ({reason})", where=self.url,
            do=f"name the server's certificate in {CA_FILE_VARIABLE}, or write http:// if it has none",
        )  # fmt: skip

    def _check_status(self, reply: Reply) -> None:
        if reply.status in (401, 403):
            given = "no token" if self._token is None else "a token that it does not take"
            raise OptionError(
                f"server refuses ({reply.message})", where=self.url, given=given,
                do=f"name the file of the token in {TOKEN_FILE_VARIABLE}, or set {TOKEN_VARIABLE}",
            )  # fmt: skip
        if 300 <= reply.status < 400:
            raise ModelError(
                "server sends elsewhere", where=self.url, given=f"status {reply.status}", do="give the final URL"
            )


def _json_of(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise InputError("no JSON") from error


class _Bounded(io.RawIOBase):
    """What a socket receives, until a moment of `now_ms`; then TimeoutError."""

    def __init__(self, sock: socket.socket, deadline_ms: float) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline_ms = deadline_ms

    def makefile(self, mode: str) -> io.BufferedReader:
        """As of a socket."""
        del mode
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, into: Any) -> int | None:
        """Receive what there is."""
        left_s = (self._deadline_ms - now_ms()) / 1e3
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._raw.readinto(into)

    def close(self) -> None:
        """Let go of the socket, which its connection closes."""
        if not self.closed:
            self._raw.close()
        super().close()


def check_url(url: Any) -> str:
    """A server's URL without a slash at the end; OptionError if it is none, or holds a user or password."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        usable = parts is not None and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        parts, usable = None, False
    if parts is None or not usable or parts.query or parts.fragment or any(sign <= " " for sign in url):
        raise OptionError("no URL of a server", given=url, allowed="http://HOST:PORT or https://HOST:PORT")
    if parts.username is not None or parts.password is not None:
        raise OptionError(
            "URL holds a password", where=parts.hostname, do=f"leave it out, and set {TOKEN_VARIABLE} or "
            f"{TOKEN_FILE_VARIABLE}",
        )  # fmt: skip
    return str(url).rstrip("/")


def _token() -> str | None:
    path = os.environ.get(TOKEN_FILE_VARIABLE)
    if path:
        return read_token(Path(path))
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise OptionError(f"{TOKEN_VARIABLE} must be a token", allowed="printable ASCII characters without spaces")
    return token or None


def _tls_context() -> ssl.SSLContext:
    file = os.environ.get(CA_FILE_VARIABLE) or None
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"certificate cannot be read ({reason})", where=file) from error
