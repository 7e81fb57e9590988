"""The transport: head and body in one piece, and an end that the client can hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from premodel.serving.transport import OnePiece


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
