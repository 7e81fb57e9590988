"""Listening: a socket, TLS, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
import ssl
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from premodel.errors import OptionError
from premodel.serving.hangup import hangups
from premodel.serving.http import BadRequests, BoundedProtocol
from premodel.serving.limits import Limits
from premodel.serving.log import CountedLog

KEEP_ALIVE_S = 30
PATIENCE_S = 10.0
"""For a head, for the rest of a request that was answered, and for a client that does not read; see `http`."""
BACKLOG = 512
logger = logging.getLogger(__name__)


def open_socket(host: str, port: int) -> socket.socket:
    """Listen; port 0 takes any free one.

    Raises
    ------
    OptionError
        The address is unknown, or taken.
    """
    where = f"{host}:{port}"
    if not 0 <= port <= 65535:
        raise OptionError("no port", where="--port", given=port, allowed="0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OptionError("host is unknown", where=where, do="give an address of this machine to --host") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OptionError(
            f"cannot listen ({error.strerror})", where=where, do="give another --port, or an address of this machine"
        ) from error
    return listener


def url_of(listener: socket.socket, *, tls: bool) -> str:
    """Where the server is reached."""
    host, port = listener.getsockname()[:2]
    return f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def check_tls(cert: Path | None, key: Path | None) -> None:
    """Refuse half a pair, and files that are no certificate and its key.

    Raises
    ------
    OptionError
        One is missing, cannot be read, or does not belong to the other.
    """
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise OptionError("--tls-cert and --tls-key go together", given="one of them")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"TLS files cannot be used ({reason})", where=f"{cert}, {key}") from error


def run_server(
    app: ASGIApp,
    listener: socket.socket,
    limits: Limits,
    cert: Path | None = None,
    key: Path | None = None,
    count_bad: Callable[[str], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; then take nothing new, answer what was accepted, and return.

    Parameters
    ----------
    count_bad:
        Called with one of `refusals.BAD_KINDS` for every request that is refused before the app sees it.
    on_hangup:
        Called, on a thread of its own, when SIGHUP comes; one that comes because the terminal was closed ends the
        server, as it would without this.
    """
    log = CountedLog(logger)
    http = partial(BoundedProtocol, bad=BadRequests(log, count_bad), patience_s=min(PATIENCE_S, limits.timeout_s))
    config = uvicorn.Config(
        app,
        http=cast(Any, http),
        loop="uvloop",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.max_header_bytes,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(limits.timeout_s) + 1,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    server = _Server(config, log)
    with _quiet_signals(), _one_line(), hangups(on_hangup, server):
        server.run(sockets=[listener])
    log.tell_all()


class _Server(uvicorn.Server):
    """A server whose log tells the errors of connections in counted lines."""

    def __init__(self, config: uvicorn.Config, log: CountedLog) -> None:
        super().__init__(config)
        self._log = log

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        asyncio.get_running_loop().set_exception_handler(self._on_error)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % 10 == 0:
            self._log.tell_due()
        return await super().on_tick(counter)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """What the loop caught: an error of a connection is its client's or the network's."""
        error = context.get("exception")
        if isinstance(error, OSError):
            self._log.note("connection", f"connection failed ({error.strerror or type(error).__name__})")
        else:
            loop.default_exception_handler(dict(context))


class _OneLine(logging.Filter):
    """Tells a request that was ended with the server in one line, where uvicorn shows a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; all are let through."""
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            record.msg, record.args, record.exc_info = "a request was ended with the server", (), None
        return True


@contextmanager
def _one_line() -> Generator[None]:
    log, filtering = logging.getLogger("uvicorn.error"), _OneLine()
    log.addFilter(filtering)
    try:
        yield
    finally:
        log.removeFilter(filtering)


@contextmanager
def _quiet_signals() -> Generator[None]:
    """Signals that uvicorn raises again after its orderly end do nothing more."""
    before: dict[signal.Signals, Callable[..., object] | int | None] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
