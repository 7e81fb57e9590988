"""The transport: head and body in one piece, and an end that the client can hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from premodel.serving.transport import LINGER_S, Lingering, OnePiece


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


class Line:
    """A transport and a loop with a clock that is set by hand."""

    def __init__(self) -> None:
        self.done: list[bytes | str] = []
        self.now = 0.0
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.lingering = Lingering(
            cast(asyncio.Transport, self), cast(asyncio.AbstractEventLoop, self), bound_s=3 * LINGER_S
        )

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self.done.append(given[0] if given else name)

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        """What is held back stays, so that a test sees who sends it."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Line:
        self.later.append((self.now + seconds, callback))
        return self

    def cancel(self) -> None:
        self.later.clear()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return "close" in self.done

    def passes(self, seconds: float) -> None:
        self.now += seconds
        due = [callback for at, callback in self.later if at <= self.now]
        self.later = [(at, callback) for at, callback in self.later if at > self.now]
        for callback in due:
            callback()


def test_the_end_waits_until_the_client_sends_nothing_more() -> None:
    line = Line()
    line.lingering.write(HEAD)
    line.lingering.close()
    assert line.done == [HEAD, "write_eof"]
    assert line.lingering.is_closing()
    line.lingering.write(b"too late")
    line.lingering.heard()
    line.passes(LINGER_S)
    assert line.done == [HEAD, "write_eof"], "the client still sends"
    line.passes(LINGER_S)
    assert line.done == [HEAD, "write_eof", "close"]
    line.passes(3 * LINGER_S)
    assert line.done[-1] == "abort", "it does not read what was sent"


def test_a_client_that_goes_on_sending_is_not_listened_to_for_ever() -> None:
    line = Line()
    line.lingering.close()
    for _ in range(3):
        line.lingering.heard()
        line.passes(LINGER_S)
    assert line.done == ["write_eof", "close"]


def test_where_the_client_ended_its_half_the_end_is_at_once() -> None:
    line = Line()
    line.lingering.client_ended = True
    line.lingering.write(HEAD)
    line.lingering.close()
    line.lingering.close()
    assert line.done == [HEAD, "close"]
    line.lingering.lost()
    line.passes(100)
    assert line.done == [HEAD, "close"]


def test_reading_is_paused_only_where_it_can_be() -> None:
    line = Line()
    line.lingering.resume_reading()
    line.lingering.pause_reading()
    line.lingering.pause_reading()
    line.lingering.close()
    line.lingering.pause_reading()
    assert line.done == ["pause_reading", "write_eof", "resume_reading"], "what comes in is read to the end"
