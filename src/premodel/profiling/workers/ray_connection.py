"""Connecting to a Ray cluster, or starting a small one here; the one place that imports Ray for profiling."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from premodel.errors import MissingExtraError, OptionError

ADDRESSES = "local, auto, or HOST:PORT of the cluster's head"
REACH_S = 10.0
"""How long an address may take to answer."""

SETTINGS = b"\x04"
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS + b"\0" * 5
"""How a connection of HTTP/2, and so of gRPC, begins (RFC 9113, section 3.4); the answer is of the type SETTINGS."""


def import_ray() -> Any:
    """The package, set to report nothing to its makers.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else every start warns about GPUs
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise MissingExtraError("ray", "cluster") from error


def check_address(address: str) -> None:
    """Raise OptionError for what cannot be the address of a cluster; nothing is connected to."""
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise OptionError("wrong address of a Ray cluster", given=address, allowed=ADDRESSES)


class Connection:
    """Makes this process a driver of a cluster; one that is connected already keeps the connection it has.

    Parameters
    ----------
    address:
        "local" starts a cluster of this machine's cores, which ends with the connection; "auto" is the cluster that
        this machine is a node of; or HOST:PORT of its head.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    OptionError
        No cluster answers at the address.
    """

    def __init__(self, address: str) -> None:
        check_address(address)
        self.ray = import_ray()
        self._stack = contextlib.ExitStack()
        if self.ray.is_initialized():
            return
        if address not in ("local", "auto"):
            _reach(address)
        # Ray reports dead workers on stdout, which is ours alone.
        self._stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        with _same_sigterm():
            try:
                self.ray.init(
                    address=address,
                    include_dashboard=False if address == "local" else None,
                    log_to_driver=False,
                    logging_level="ERROR",
                    _node_ip_address="127.0.0.1" if address == "local" else None,
                )
            except (self.ray.exceptions.RayError, RuntimeError, OSError, ValueError) as error:
                self.close()
                line = str(error).strip().partition("\n")[0]
                raise OptionError(
                    "no Ray cluster can be used at this address",
                    given=f"{address} ({line})",
                    do="start one with: ray start --head; and on this machine: ray start --address HOST:PORT",
                ) from error
        self._stack.callback(self.ray.shutdown)

    def nodes(self) -> dict[str, int]:
        """Cores that Ray may use, by id of each node that is alive."""
        return {str(node["NodeID"]): int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"]}

    def close(self) -> None:
        """Disconnect; closing twice is allowed."""
        self._stack.close()


def _reach(address: str) -> None:
    """See whether something like Ray answers there: Ray itself would try for minutes, and abort the process."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_S) as connection:
            if "RAY_USE_TLS" not in os.environ:
                connection.sendall(GREETING)
                if connection.recv(9)[3:4] != SETTINGS:
                    raise OSError("another program answers there")
    except OSError as error:
        raise OptionError(
            "no Ray cluster answers at this address",
            given=f"{address} ({error.strerror or error})",
            do="see that its head runs (ray start --head), and that this machine may reach it",
        ) from error


@contextlib.contextmanager
def _same_sigterm() -> Iterator[None]:
    """Keep what SIGTERM does: Ray sets a handler of its own when it starts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:  # Ray's handler was there already when SIGTERM came
        if callable(before):
            before(signal.SIGTERM, None)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
