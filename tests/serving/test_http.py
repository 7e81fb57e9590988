"""The connection: its bound on a head, in pieces and in one, and what it leaves alone."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
from collections.abc import Generator
from urllib.request import urlopen

import pytest

from bundles import Made
from serving_client import INFER, png, running

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


def test_head_requests_are_answered(connection: socket.socket) -> None:
    for _ in range(2):
        connection.sendall(b"HEAD /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        data = received(connection)
        assert data.startswith(OK)
        assert data.endswith(b"\r\n\r\n")


GET = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n"


def ask(connection: socket.socket, data: bytes, *, half_closed: bool = False) -> list[tuple[int, bytes, bytes]]:
    """Send, and read every answer until the server ends the connection: status, head, body."""
    connection.sendall(data)
    if half_closed:
        connection.shutdown(socket.SHUT_WR)
    rest = b""
    while piece := connection.recv(65536):
        rest += piece
    answers = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        status, lowered = int(head[9:12]), head.lower()
        length = 0
        if status >= 200 and b"content-length: " in lowered and not data.startswith(b"HEAD"):
            length = int(lowered.partition(b"content-length: ")[2].split(b"\r\n")[0])
        body, rest = rest[:length], rest[length:]
        answers.append((status, head, body))
    return answers


def statuses(connection: socket.socket, data: bytes, *, half_closed: bool = False) -> list[int]:
    return [status for status, _, _ in ask(connection, data, half_closed=half_closed)]


def infer(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GET, [200]),
        (GET * 5, [200] * 5),
        (b"HEAD /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n" * 50, [200] * 50),
        (infer(b"{}"), [400]),
        (infer(b"{}") + GET, [400, 200]),
        (GET + b"GET /v2 HTT", [200, 400]),
        (GET + infer(b"{", 9), [200, 400]),
        (infer(b"{}") + infer(b"{", 9), [400, 400]),
        (b"", []),
    ],
)
def test_a_client_that_ended_its_half_gets_its_answers(
    connection: socket.socket, data: bytes, expected: list[int]
) -> None:
    assert statuses(connection, data, half_closed=True) == expected


@pytest.mark.parametrize("good", [GET, infer(b"{}"), GET * 3])
@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"GET /v2 HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 40_000])
def test_the_answer_to_a_bad_request_follows_those_before_it(
    connection: socket.socket, good: bytes, bad: bytes
) -> None:
    first = [400] if good.startswith(b"POST") else [200] * good.count(b"GET")
    answers = ask(connection, good + bad + GET)
    assert [status for status, _, _ in answers[:-1]] == first
    assert answers[-1][0] in (400, 431), "and nothing behind it"
    assert b"connection: close" in answers[-1][1]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET /v3 HTTP/1.1\r\nhost: [\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        (b"GET /v2 HTTP/2.0\r\nhost: localhost\r\n\r\n", 505),
        (b"GET /v2\r\n\r\n", 505),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", 501),
        (b"BREW /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n", 501),
        (b"GET * HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"GET ftp://localhost/v2 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"GET http://localhost:x/v2 HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /v2 HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
        (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx : y\r\n\r\n", 400),
    ],
)
def test_heads_that_the_protocol_forbids_are_refused(connection: socket.socket, data: bytes, status: int) -> None:
    answers = ask(connection, data + GET)
    assert [one for one, _, _ in answers] == [status], "the connection ends, as nothing shows where the next one begins"
    assert list(json.loads(answers[0][2])) == ["error"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET http://localhost/v2 HTTP/1.1\r\nhost: localhost\r\n", 200),
        (b"GET http://localhost HTTP/1.1\r\nhost: other.example\r\n", 200),
        (b"GET http://other.example/v2 HTTP/1.1\r\nhost: localhost\r\n", 403),
        (b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n", 204),
        (b"DELETE /v2 HTTP/1.1\r\nhost: localhost\r\n", 405),
        (b"PROPFIND /v2 HTTP/1.1\r\nhost: localhost\r\n", 405),
        (b"GET //v2 HTTP/1.1\r\nhost: localhost\r\n", 404),
        (b"GET /%00%ff HTTP/1.1\r\nhost: localhost\r\n", 404),
        (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\norigin: http://[\r\n", 403),
        (b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: h2c\r\n", 200),
        (b"\r\nGET /v2 HTTP/1.1\r\nhost: localhost\r\n", 200),
    ],
)
def test_odd_heads_that_the_protocol_allows_keep_the_connection(
    connection: socket.socket, data: bytes, status: int
) -> None:
    answers = ask(connection, data + b"\r\n" + GET, half_closed=True)
    assert [one for one, _, _ in answers] == [status, 200]
    assert status != 405 or b"allow: " in answers[0][1].lower()


def test_a_request_of_http_1_0_is_answered_and_is_the_last(connection: socket.socket) -> None:
    assert statuses(connection, b"GET /v2 HTTP/1.0\r\nexpect: 100-continue\r\n\r\n" + GET) == [200]


def test_after_the_last_request_nothing_is_read(connection: socket.socket) -> None:
    assert statuses(connection, GET[:-2] + b"connection: close\r\n\r\n" + b"nonsense\r\n\r\n") == [200]


def test_a_body_for_which_the_server_was_asked(connection: socket.socket) -> None:
    connection.sendall(infer(b"", 2)[:-2] + b"expect: 100-continue\r\n\r\n")
    assert received(connection).startswith(b"HTTP/1.1 100 ")
    assert statuses(connection, b"{}", half_closed=True) == [400]


def test_fields_behind_a_body_are_no_headers(connection: socket.socket) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    body = b"2\r\n{}\r\n0\r\ninference-header-content-length: x\r\n\r\n"
    (answered,) = ask(connection, head + body, half_closed=True)
    assert b"one tensor" in answered[2]


def test_a_body_that_no_one_reads_is_no_next_request(connection: socket.socket) -> None:
    data = GET[:-2] + b"content-length: %d\r\n\r\n" % len(GET) + GET + GET
    assert statuses(connection, data, half_closed=True) == [200, 200]


def test_trailing_fields_and_chunks_without_end_are_cut_off(connection: socket.socket) -> None:
    head = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2;"
    assert statuses(connection, head + b"a" * 600_000) == [200]


def test_an_answer_before_the_body_is_through_arrives(connection: socket.socket) -> None:
    """17 MB where 16 are allowed: the refusal comes, though the client still sends."""
    size = 17 << 20
    answers = ask(connection, infer(b"a" * size))
    assert [status for status, _, _ in answers] == [413]
    assert b"connection: close" in answers[0][1]


def test_what_takes_too_long_is_refused_or_closed_and_the_log_is_short(made: Made) -> None:
    with running(made.path, "--timeout", 0.3) as (url, process):
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.create_connection(place, timeout=60) as one:
            assert statuses(one, b"GET /v2 HTTP/1.1\r\nhost: local") == [408], "half a head"
        with socket.create_connection(place, timeout=60) as one:
            assert statuses(one, GET + GET[:20]) == [200, 408], "half a head behind a request"
        with socket.create_connection(place, timeout=60) as one:
            assert statuses(one, infer(b"{", 9)) == [408], "half a body"
        with socket.create_connection(place, timeout=60) as one:
            assert statuses(one, b"GET /v2 HTTP/1.1\r\nhost: a.\r\ncontent-length: 9\r\n\r\n1") == [403]
        for _ in range(30):
            with socket.create_connection(place, timeout=60) as one:
                assert statuses(one, b"nonsense\r\n\r\n") == [400]
        for _ in range(20):  # asks and is gone before the answers
            with socket.create_connection(place, timeout=60) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.sendall(infer(b"{}") * 20 + GET[:10])
        with urlopen(url + "/metrics") as response:
            text = response.read().decode()
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=60)[1]
    assert 'premodel_bad_requests_total{kind="malformed"} 30.0' in text
    assert 'premodel_bad_requests_total{kind="slow"} 3.0' in text
    assert "Traceback" not in log
    assert log.count("cannot be read as HTTP/1.1") == 2, "the first, and one for the 29 others"
    assert "(29 more in " in log
    assert process.returncode == 0


def test_a_client_that_does_not_read_does_not_hold_up_the_end(made: Made) -> None:
    with running(made.path, "--timeout", 1) as (url, process):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60) as one:
            one.sendall(GET)
            assert answer(one)[0].startswith(OK)
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.send(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 20_000)
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=60)[1]
        assert process.returncode == 0
        assert "Traceback" not in log
        assert "Cancel" not in log
