"""A board that lies: stands before a true one, and changes or cuts what it answers.

`from lying_board import LyingBoard` in any test.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    """What is about to be sent: a table of JSON with binary data behind it, or a body of other bytes, and how."""

    path: str
    status: int
    table: Any
    binary: bytes
    length_header: str | None = None
    head: bytes | None = None
    cut: float = 1.0
    stated_length: str | None = ""
    pause_s: float = 0.0

    def body(self) -> tuple[bytes, int]:
        """The body, and the length of its JSON."""
        if isinstance(self.table, bytes):
            return self.table + self.binary, len(self.table)
        text = json.dumps(self.table).encode("utf-8", "surrogatepass")
        return text + self.binary, len(text)


Lie = Callable[[Answer], None]


@dataclass
class LyingBoard:
    """Forwards requests to `url`; `lie` changes each answer before it is sent.

    Attributes
    ----------
    asked:
        Paths asked for, in order.
    """

    url: str
    lie: Lie = lambda _: None
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """The true answer, to be lied about."""
        self.asked.append(path)
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        sent = {name: value for name, value in headers.items() if name not in ("host", "content-length", "connection")}
        connection.request(method, path, body or None, sent)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        length = response.headers.get("inference-header-content-length")
        end = len(data) if length is None else int(length)
        return Answer(path, response.status, json.loads(data[:end]), data[end:])


@contextmanager
def lying(board: LyingBoard) -> Generator[str]:
    """The URL of a lying board, served by threads of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                threading.Thread(target=_serve, args=(board, connection, stop), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join(5)


def _serve(board: LyingBoard, connection: socket.socket, stop: threading.Event) -> None:
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(30)
        with connection.makefile("rb") as stream:
            while not stop.is_set():
                method, path, _ = stream.readline().decode("latin-1").split(" ", 2)
                headers: dict[str, str] = {}
                while line := stream.readline().strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", "0")))
                answer = board.answer(method, path, headers, body)
                board.lie(answer)
                if not _send(connection, answer, stop):
                    return


def _send(connection: socket.socket, answer: Answer, stop: threading.Event) -> bool:
    """Send it; True if the connection stays open."""
    body, length = answer.body()
    stated = str(len(body)) if answer.stated_length == "" else answer.stated_length
    lines = [f"HTTP/1.1 {answer.status} OK", "Content-Type: application/octet-stream"]
    if answer.binary or answer.length_header is not None:
        lines.append(f"Inference-Header-Content-Length: {answer.length_header or length}")
    lines.append("Connection: close" if stated is None else f"Content-Length: {stated}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" if answer.head is None else answer.head
    data = head + body[: round(len(body) * answer.cut)]
    if answer.pause_s:
        for byte in range(len(data)):
            connection.sendall(data[byte : byte + 1])
            if stop.wait(answer.pause_s):
                return False
        return True
    connection.sendall(data)
    return answer.cut == 1.0 and stated == str(len(body)) and answer.head is None


LIES: dict[str, tuple[Any, ...]] = {
    "numbers": (-1, 10**400, 1e300, float("nan"), float("inf"), 1 << 70, 0.5, -0.0),
    "texts": ("", "\ud800", "a\0b", "x" * 5000, "\x1b[2J", "0", "nan"),
    "others": (None, True, [], {}, [[]], [None], {"": {}}),
}


def draw_lie(rng: random.Random) -> Any:
    """A value that nothing promised."""
    return rng.choice(LIES[rng.choice(tuple(LIES))])
