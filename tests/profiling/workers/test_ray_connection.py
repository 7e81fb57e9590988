"""Addresses of clusters that cannot be used."""

from __future__ import annotations

import importlib.util
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from premodel.cli.main import main
from premodel.errors import MissingExtraError, OptionError
from premodel.profiling.profile import ProfileOptions
from premodel.profiling.workers import ray_connection as connection
from premodel.profiling.workers.ray_connection import _reach, check_address, import_ray
from zoos import write_zoo


@pytest.mark.parametrize("address", ["here", "ray://head:10001", "head:", "head:0", "head:70000", ":6379", "a/b:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="wrong address of a Ray cluster; given: "):
        ProfileOptions(ray=address).check()


@pytest.mark.parametrize("address", ["local", "auto", "head:6379", "10.0.0.1:6379", "[::1]:6379"])
def test_addresses(address: str) -> None:
    check_address(address)


def test_here_or_there() -> None:
    with pytest.raises(OptionError, match="work runs either here or on a cluster"):
        ProfileOptions(ray="auto", workers=2).check()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(connection, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"ray is not installed; .*'premodel\[cluster\]'"):
        import_ray()


def test_another_program_answers() -> None:
    class Other(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(OptionError, match=r"no Ray cluster answers .*another program answers there"):
            _reach(f"127.0.0.1:{server.server_address[1]}")
        thread.join()


STARTING = """
import signal
import sys
from premodel.profiling.workers.ray_connection import _same_sigterm

def rays(number, _):
    sys.exit(number)

def ours(number, _):
    raise KeyboardInterrupt(number)

signal.signal(signal.SIGTERM, ours)
try:
    with _same_sigterm():
        signal.signal(signal.SIGTERM, rays)
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print("ours" if signal.getsignal(signal.SIGTERM) is ours else "lost")
"""


def test_sigterm_while_ray_starts_does_what_it_did_before() -> None:
    """In a process of its own: one that Ray was in before may die of the signal, whatever Python's handler states."""
    done = subprocess.run([sys.executable, "-c", STARTING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ours\n"), done.stderr


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: premodel[cluster]")
def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = write_zoo(tmp_path, correct=np.ones((2, 1), bool))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = [str(small.zoo), str(small.data), "--labels", str(small.labels), "--store", str(tmp_path / "s.db")]
        assert main(["profile", *words, "--ray", address]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"premodel profile: no Ray cluster answers at this address; given: {address} (Connection refused); "
        "see that its head runs (ray start --head), and that this machine may reach it"
    )
    assert not (tmp_path / "s.db").exists(), "no empty store is left"
