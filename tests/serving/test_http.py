"""The connection: its bound on a head, in pieces and in one, and what it leaves alone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Generator
from typing import cast

import pytest

from premodel.serving.http import OnePiece
from serving_client import INFER, png

OK = b"HTTP/1.1 200 "
RAW = "inference-header-content-length: 0"


@pytest.fixture
def connection(server: str) -> Generator[socket.socket]:
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as made:
        yield made


def answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one response."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += received(connection)
    return head, body


def received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    assert data, "the server closed the connection"
    return data


def test_a_head_that_never_ends_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n")
    for number in range(8):
        connection.sendall(f"x-{number}: {'a' * 2040}\r\n".encode())
    connection.sendall(b"y: " + b"a" * 2000)
    head, body = answer(connection)
    assert head.startswith(b"HTTP/1.1 431 ")
    assert "16384" in json.loads(body)["error"]
    assert connection.recv(1) == b"", "and the connection ends"


def test_the_refusal_arrives_though_the_client_goes_on_sending(connection: socket.socket) -> None:
    connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n" + b"x: " + b"a" * 8_000_000)
    head, body = answer(connection)
    assert head.startswith(b"HTTP/1.1 431 ")
    assert "16384" in json.loads(body)["error"]
    assert connection.recv(1) == b"", "and the connection ends, without a reset"


def test_nothing_follows_a_refusal(connection: socket.socket) -> None:
    """The answer to a request before it may not be ready yet: then it is not sent."""
    connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n" + b"nonsense\r\n\r\n")
    data = b""
    while piece := connection.recv(65536):
        data += piece
    assert data.count(b"HTTP/1.1 400 ") == 1
    assert data.partition(b"HTTP/1.1 400 ")[2].count(b"HTTP/1.1 ") == 0


def test_one_header_that_never_ends_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 16_384)
    head, _ = answer(connection)
    assert head.startswith(b"HTTP/1.1 431 ")


def test_a_target_that_never_ends_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(b"GET /" + b"a" * 16_384)
    head, _ = answer(connection)
    assert head.startswith(b"HTTP/1.1 431 ")


def test_large_bodies_and_many_requests_on_one_connection_are_no_long_head(connection: socket.socket) -> None:
    body = png(300, 300) + b"\0" * 40_000
    request = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\n{RAW}\r\ncontent-length: {len(body)}\r\n\r\n"
    for _ in range(3):
        connection.sendall(request.encode() + body)
        head, _ = answer(connection)
        assert not head.startswith(b"HTTP/1.1 431 ")
    for _ in range(20):
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 2000 + b"\r\n\r\n")
        head, _ = answer(connection)
        assert head.startswith(OK), "heads are counted one by one"


def test_requests_one_after_the_other_without_waiting(connection: socket.socket) -> None:
    connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3)
    data = b""
    while data.count(OK) < 3:
        data += received(connection)
    assert data.count(b'"premodel"') >= 2


def test_a_body_in_chunks(connection: socket.socket) -> None:
    connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    connection.sendall(b"2\r\n{}\r\n0\r\n\r\n")
    head, body = answer(connection)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert "one tensor" in json.loads(body)["error"]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_400(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    head, body = answer(connection)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "request cannot be read as HTTP/1.1"}
    assert connection.recv(1) == b"", "and the connection ends"


class Sent:
    """A transport and a loop that note what is asked of them."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []
        self.soon: list[Callable[[], None]] = []
        self.piece = OnePiece(cast(asyncio.Transport, self), cast(asyncio.AbstractEventLoop, self))

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def is_closing(self) -> bool:
        return "close" in self.done


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_head_and_body_are_sent_together() -> None:
    sent = Sent()
    sent.piece.write(HEAD)
    assert sent.done == []
    sent.piece.write(b"body")
    for late in sent.soon:
        late()
    assert sent.done == [HEAD + b"body"]
    sent.piece.write(b"more")
    assert sent.done == [HEAD + b"body", b"more"]


@pytest.mark.parametrize("end", ["soon", "eof", "close"])
def test_a_head_that_no_body_follows_is_sent_all_the_same(end: str) -> None:
    sent = Sent()
    sent.piece.write(HEAD)
    if end == "soon":
        sent.soon[0]()
        assert sent.done == [HEAD]
    else:
        (sent.piece.close if end == "close" else sent.piece.write_eof)()
        assert sent.done == [HEAD, end]
        assert sent.piece.is_closing() == (end == "close")


def test_what_is_no_answer_yet_does_not_wait() -> None:
    sent = Sent()
    sent.piece.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert sent.done == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_head_requests_are_answered(connection: socket.socket) -> None:
    for _ in range(2):
        connection.sendall(b"HEAD /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        data = received(connection)
        assert data.startswith(OK)
        assert data.endswith(b"\r\n\r\n")
