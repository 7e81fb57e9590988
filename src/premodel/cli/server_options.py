"""What the commands that listen have in common: address, token, TLS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from premodel.errors import MissingExtraError
from premodel.files import read_token
from premodel.serving.limits import Limits

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

    from premodel.serving.access import Doors

EXTRA = ("starlette", "uvicorn", "httptools", "uvloop", "prometheus_client")


def add_server_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the options of an address and of who may use it."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=port, help=f"0 for any free one (default: {port})")
    access = parser.add_argument_group("access")
    access.add_argument("--token-file", type=Path, metavar="F", help="requests must bear the token in this file")
    access.add_argument("--allow-open", action="store_true", help="no token although others can reach the address")
    access.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="host name that is this server's, without a "
        "token; may be repeated",
    )  # fmt: skip
    access.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL", help="origin whose pages may ask, without a "
        "token; may be repeated",
    )  # fmt: skip
    access.add_argument("--tls-cert", type=Path, metavar="F", help="certificate chain, PEM; with --tls-key")
    access.add_argument("--tls-key", type=Path, metavar="F", help="private key, PEM")


@dataclass(frozen=True, eq=False)
class Server:
    """What listens: its socket, where it is reached, the certificate it shows, and whom it answers without a token."""

    listener: socket.socket
    url: str
    cert: Path | None
    key: Path | None
    doors: Doors

    def run(
        self,
        app: ASGIApp,
        limits: Limits,
        count_bad: Callable[[str], None] | None = None,
        on_hangup: Callable[[], None] | None = None,
    ) -> None:
        """Serve until asked to stop; `count_bad` and `on_hangup` as for `run_server`."""
        from premodel.serving.server import run_server

        run_server(app, self.listener, limits, self.cert, self.key, count_bad, on_hangup)


def read_access(args: argparse.Namespace) -> str | None:
    """The token, if one is wanted; all that can be checked before listening is.

    Raises
    ------
    MissingExtraError
        The serve extra is not installed.
    OptionError
        The token cannot be read, others could reach the server without one, or the TLS files cannot be used.
    """
    for package in EXTRA:
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve")
    from premodel.serving.access import check_bind
    from premodel.serving.server import check_tls

    token = None if args.token_file is None else read_token(args.token_file)
    check_bind(args.host, token=token is not None, allow_open=args.allow_open)
    check_tls(args.tls_cert, args.tls_key)
    return token


@contextmanager
def listening(args: argparse.Namespace, token: str | None) -> Generator[Server]:
    """Listen as the options say; OptionError if that address cannot be had."""
    from premodel.serving.access import doors_of, is_loopback
    from premodel.serving.server import open_socket, url_of

    tls = args.tls_cert is not None
    doors = doors_of(args.host, args.allow_host, args.allow_origin)
    with open_socket(args.host, args.port) as listener:
        if not is_loopback(args.host) and token is not None and not tls:
            advice = "the token travels unencrypted; give --tls-cert and --tls-key"
            print(f"premodel {args.command}: {advice}", file=sys.stderr)
        yield Server(listener, url_of(listener, tls=tls), args.tls_cert, args.tls_key, doors)
