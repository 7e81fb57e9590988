"""What HTTP/1.1 (RFC 9110, 9112) asks of a server: requests with the answers that they are due, and a strict reader.

Written from the RFCs, apart from the server's code: a message here carries the status codes that are right for it.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from faults.mutations import mutate_bytes
from serving_client import INFER

HOST = "host: localhost"
PATHS = {
    "/": 200, "/v2": 200, "/v2/": 404, "/v2/health/live": 200, "/v2/health/ready": 200, "/v2/models/small": 200,
    "/v2/models/small/ready": 200, "/v2/models/small/versions/1": 200, "/metrics": 200, "/openapi.json": 200,
    "/v2?a=b": 200, "/v%32": 200, "/%00": 404, "/%ff%fe": 404, "//v2": 404, "/v2/../v2": 404, "/v3": 404,
    "/v2/models/other": 404, "/v2/models/small/versions/2": 404, "/" + "a" * 3000: 404,
}  # fmt: skip
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([ -~\t]*)")


@dataclass(frozen=True)
class Message:
    """A request, or what is none.

    Attributes
    ----------
    data:
        Its bytes.
    statuses:
        One of which its answer must have; empty where none can be foretold, as of random damage.
    method:
        HEAD has answers without a body.
    ends:
        Nothing behind it is answered.
    early:
        Its answer does not need its body.
    asks:
        It asks for 100 Continue.
    mark:
        What its answer must hold, so that answers cannot be taken for each other's.
    """

    data: bytes
    statuses: tuple[int, ...]
    method: str = "GET"
    ends: bool = False
    early: bool = True
    asks: bool = False
    mark: str = ""

    @property
    def head_size(self) -> int:
        """Bytes of the head."""
        return self.data.index(b"\r\n\r\n") + 4


@dataclass(frozen=True)
class Answer:
    """A response as it was read; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class WrongAnswerError(AssertionError):
    """What a server must not send."""


def head(line: str, *fields: str) -> bytes:
    """A request's head."""
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


def read_answers(data: bytes, methods: Sequence[str]) -> tuple[list[Answer], int, bytes]:
    """The whole answers in what was received, how many 100 Continue there were, and the bytes of one that is not whole.

    Raises
    ------
    WrongAnswerError
        It is no HTTP/1.1, or has no length.
    """
    answers: list[Answer] = []
    interim = 0
    while data:
        top, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            break
        status, headers = _read_head(top)
        if status < 200:
            interim, data = interim + 1, rest
            continue
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        found = _read_body(rest, headers, empty=method == "HEAD" or status in (204, 304))
        if found is None:
            break
        body, data = found
        answers.append(Answer(status, headers, body))
    return answers, interim, data


def _read_head(top: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = top.split(b"\r\n")
    status = STATUS_LINE.fullmatch(first)
    if status is None:
        raise WrongAnswerError(f"no status line: {first[:80]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None:
            raise WrongAnswerError(f"no header: {line[:80]!r}")
        headers[field[1].decode().lower()] = field[2].decode().strip()
    return int(status[1]), headers


def _read_body(rest: bytes, headers: dict[str, str], *, empty: bool) -> tuple[bytes, bytes] | None:
    """The body and what follows it; None if it is not whole."""
    if empty:
        return b"", rest
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while (found := re.match(rb"([0-9a-f]+)\r\n", rest)) is not None:
            size = int(found[1], 16)
            if len(rest) < found.end() + size + 2:
                return None
            body += rest[found.end() : found.end() + size]
            rest = rest[found.end() + size + 2 :]
            if size == 0:
                return body, rest
        return None
    if not headers.get("content-length", "").isdecimal():
        raise WrongAnswerError(f"an answer without a length: {headers}")
    size = int(headers["content-length"])
    return (rest[:size], rest[size:]) if len(rest) >= size else None


class Requests:
    """Draws messages.

    Parameters
    ----------
    image:
        One that the served premodel answers.
    max_body_bytes, max_head_bytes:
        Of the server.
    """

    def __init__(self, image: bytes, max_body_bytes: int, max_head_bytes: int) -> None:
        self._image = image
        self._max_body_bytes = max_body_bytes
        self._max_head_bytes = max_head_bytes
        self._good: tuple[Callable[[random.Random], Message], ...] = (
            self._get, self._get, self._infer, self._infer, self._wrong_infer, self._other_method, self._odd,
        )  # fmt: skip

    def good(self, rng: random.Random) -> Message:
        """A request that the protocol allows; whether it is answered well is another question."""
        return rng.choice(self._good)(rng)

    def bad(self, rng: random.Random) -> Message:
        """What the protocol forbids, or the server's limits."""
        return rng.choice((self._bad_head, self._bad_head, self._bad_chunk, self._large))(rng)

    def damaged(self, rng: random.Random) -> Message:
        """A request with random damage."""
        whole = rng.choice((self._get, self._wrong_infer, self._other_method, self._odd))(rng)
        data = mutate_bytes(rng, whole.data, self._get(rng).data)
        # Nobody could foretell which answers to parts of it would have no body.
        return Message(data.replace(b"HEAD", b"GET"), (), ends=True)

    def cut(self, rng: random.Random, *, half_closed: bool) -> Message:
        """A request that ends too early, by a client that ends its half, or that only waits."""
        whole = self.good(rng)
        whole = replace(whole, data=whole.data.lstrip(b"\r\n"))
        size = rng.randrange(1, len(whole.data))
        late = 400 if half_closed else 408
        if size < whole.head_size:
            return Message(whole.data[:size], (late,), ends=True)
        statuses: tuple[int, ...] = (late,)
        if whole.early:  # the end may be seen first
            statuses = (*whole.statuses, late) if half_closed else whole.statuses
        return replace(whole, data=whole.data[:size], statuses=statuses, ends=True, mark="")

    def _fields(self, rng: random.Random) -> list[str]:
        """Headers that change nothing."""
        fields = [HOST]
        for _ in range(rng.choice((0, 0, 1, 3, 30))):
            name = "x-" + "".join(rng.choices(string.ascii_letters + "-_.!~", k=rng.randint(1, 12)))
            value = "".join(rng.choices(string.ascii_letters + " \t:;,\"'\\{}=\xe4\xff", k=rng.randint(0, 60)))
            fields.append(f"{name}:{rng.choice(('', ' ', '  '))}{value.strip()}")
        rng.shuffle(fields)
        return fields

    def _get(self, rng: random.Random) -> Message:
        path, status = rng.choice(list(PATHS.items()))
        method = rng.choice(("GET", "GET", "HEAD"))
        fields = self._fields(rng)
        body = b""
        if rng.random() < 0.2:  # that nobody reads
            body = rng.randbytes(rng.choice((1, 40, 5000)))
            fields.append(f"Content-Length: {len(body)}")
        return Message(head(f"{method} {path} HTTP/1.1", *fields) + body, (status,), method)

    def _post(
        self, rng: random.Random, path: str, body: bytes, statuses: tuple[int, ...], *more: str, early: bool = False,
        mark: str = "",
    ) -> Message:  # fmt: skip
        fields = [*self._fields(rng), *more]
        asks = rng.random() < 0.1
        if asks:
            fields.append("expect: 100-continue")
        if rng.random() < 0.5:
            fields.append(f"content-length: {len(body)}")
        else:
            fields.append(rng.choice(("transfer-encoding: chunked", "Transfer-Encoding: Chunked")))
            body = chunked(rng, body)
        rng.shuffle(fields)
        data = head(f"POST {path} HTTP/1.1", *fields) + body
        return Message(data, statuses, "POST", early=early, asks=asks, mark=mark)

    def _infer(self, rng: random.Random) -> Message:
        if rng.random() < 0.3:
            return self._post(rng, INFER, self._image, (200,), "inference-header-content-length: 0")
        mark = f"{rng.getrandbits(40):x}"
        size = len(self._image)
        tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
        tensor["parameters"] = {"binary_data_size": size + 4}
        text = json.dumps({"id": mark, "inputs": [tensor]}).encode()
        body = text + size.to_bytes(4, "little") + self._image
        return self._post(rng, INFER, body, (200,), f"Inference-Header-Content-Length: {len(text)}", mark=mark)

    def _wrong_infer(self, rng: random.Random) -> Message:
        body = rng.choice(
            (b"", b"{}", b"[]", b"\xff" * 30, b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n", b"0" * 3000)
        )
        if rng.random() < 0.2:
            path = rng.choice(("/v2/models/other/infer", "/v2/models/small/versions/7/infer"))
            return self._post(rng, path, body, (404,), early=True)
        return self._post(rng, INFER, body, (400,), rng.choice(("a: b", "content-encoding: gzip", "content-type: x/y")))

    def _other_method(self, rng: random.Random) -> Message:
        method = rng.choice(("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "POST"))
        return Message(head(f"{method} /v2 HTTP/1.1", *self._fields(rng)), (405,), method)

    def _odd(self, rng: random.Random) -> Message:
        """What is seldom sent, and right."""
        last = ("connection: close", HOST)
        return rng.choice(
            (
                Message(b"\r\n" + head("GET /v2 HTTP/1.1", HOST), (200,)),
                Message(head("GET http://localhost/v2 HTTP/1.1", HOST), (200,)),
                Message(head("GET http://localhost:80/v2?a HTTP/1.1", "host: elsewhere.example"), (200,)),
                Message(head("GET http://elsewhere.example/v2 HTTP/1.1", HOST), (403,)),
                Message(head("GET /v2 HTTP/1.1", "host: elsewhere.example"), (403,)),
                Message(head("GET /v2 HTTP/1.1", HOST, "origin: http://["), (403,)),
                Message(head("OPTIONS * HTTP/1.1", HOST), (204,)),
                Message(head("GET /v2 HTTP/1.1", HOST, "connection: upgrade", "upgrade: h2c"), (200,)),
                Message(head("GET /v2 HTTP/1.1", HOST, "connection: upgrade", "upgrade: websocket"), (200,)),
                Message(head("GET /v2 HTTP/1.1", "hOST: LOCALHOST:99"), (200,)),
                Message(head("GET /v2 HTTP/1.1", *last), (200,), ends=True),
                Message(head("GET /v2 HTTP/1.0"), (200,), ends=True),
                Message(head("HEAD /v3 HTTP/1.0", "expect: 100-continue"), (404,), "HEAD", ends=True),
                Message(
                    head(f"POST {INFER} HTTP/1.1", *last, "content-length: 2") + b"{}", (400,), "POST", ends=True,
                    early=False,
                ),
            )
        )  # fmt: skip

    def _bad_head(self, rng: random.Random) -> Message:
        line, post = "GET /v2 HTTP/1.1", f"POST {INFER} HTTP/1.1"
        data, statuses = rng.choice(
            (
                (b"nonsense\r\n\r\n", (400,)),
                (rng.randbytes(1).replace(b"\r", b"\0").replace(b"\n", b"\0") + b"\0\r\n\r\n", (400,)),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400,)),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
                (head("BREW /v2 HTTP/1.1", HOST), (400, 501)),
                (head("get /v2 HTTP/1.1", HOST), (400, 501)),
                (head("GET /v2 HTTP/1.7", HOST), (400, 505)),
                (head("GET /v2 HTTP/2.0", HOST), (505,)),
                (b"GET /v2\r\n\r\n", (400, 505)),
                (head("CONNECT localhost:80 HTTP/1.1", HOST), (400, 405, 501)),
                (head("GET v2 HTTP/1.1", HOST), (400,)),
                (head("GET /a b HTTP/1.1", HOST), (400,)),
                (head("GET /\xe4 HTTP/1.1", HOST), (400,)),
                (head("GET * HTTP/1.1", HOST), (400,)),
                (head("GET http://[ HTTP/1.1", HOST), (400,)),
                (head(line), (400,)),
                (head(line, HOST, HOST), (400,)),
                (head(line, "host: ["), (400,)),
                (head(line, "host: a/b"), (400,)),
                (head(line, HOST, "x : y"), (400,)),
                (head(line, HOST, "nothing"), (400,)),
                (head(line, HOST, ": y"), (400,)),
                (head(line, HOST, "x\xe4: y"), (400,)),
                (head(line, HOST, "x: a\0b"), (400,)),
                (head(line, HOST, "x: a", " folded"), (400,)),
                (head(post, HOST, "content-length: -1"), (400,)),
                (head(post, HOST, "content-length: 1x"), (400,)),
                (head(post, HOST, "content-length: 2", "content-length: 3") + b"{}", (400,)),
                (head(post, HOST, "content-length: " + "9" * rng.choice((20, 5000))), (400,)),
                (head(post, HOST, "content-length: 2", "transfer-encoding: chunked") + b"0\r\n\r\n", (400,)),
                (head(post, HOST, "transfer-encoding: chunked", "content-length: 2") + b"0\r\n\r\n", (400,)),
                (head(post, HOST, "transfer-encoding: gzip") + b"{}", (400, 501)),
                (head(post, HOST, "transfer-encoding: chunked, gzip") + b"{}", (400, 501)),
                (head(post, HOST, "transfer-encoding: gzip, chunked") + b"0\r\n\r\n", (400, 501)),
                (head(f"POST {INFER} HTTP/1.0", "transfer-encoding: chunked") + b"0\r\n\r\n", (400,)),
            )
        )
        return Message(data, statuses, ends=True)

    def _bad_chunk(self, rng: random.Random) -> Message:
        body = chunked(rng, rng.randbytes(rng.randint(0, 100)), last=False)
        body += rng.choice(
            (b"x\r\n", b"-1\r\n", b"\r\n", b"5\r\nabcdefghi\r\n", b"fffffffffffffffff\r\n", b" 1\r\na\r\n")
        )
        data = head(f"POST {INFER} HTTP/1.1", *self._fields(rng), "transfer-encoding: chunked") + body
        return Message(data, (400,), "POST", ends=True, early=False)

    def _large(self, rng: random.Random) -> Message:
        if rng.random() < 0.4:
            body = bytes(self._max_body_bytes + rng.randint(1, self._max_body_bytes))
            return replace(self._post(rng, INFER, body, (413,)), ends=True)
        sign = b"a" * rng.randint(2 * self._max_head_bytes, 6 * self._max_head_bytes)
        whole = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx: " + sign + b"\r\n\r\n"
        if rng.random() < 0.7:
            return Message(whole, (431,), ends=True)
        # Without an end, and in one piece with what was before it, it may be taken for a head that is cut or slow.
        line = rng.choice((b"GET /", b"GET /v2 HTTP/1.1\r\n", b"GET /v2 HTTP/1.1\r\nx: "))
        return Message(line + sign, (431, 400, 408), ends=True)


def chunked(rng: random.Random, body: bytes, *, last: bool = True) -> bytes:
    """A body in chunks of any size, with extensions and trailing fields now and then."""
    parts = []
    while body:
        size = min(len(body), rng.choice((1, 7, 300, 4096, 70_000)))
        if size == 1 and len(body) > 200:
            continue
        extension = rng.choice(("", "", "", ";a", ";a=b", ';a="b c"'))
        parts.append(f"{size:x}{extension}\r\n".encode() + body[:size] + b"\r\n")
        body = body[size:]
    if last:
        parts.append(rng.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nx: y\r\nhost: [\r\n\r\n", b"000\r\n\r\n")))
    return b"".join(parts)
