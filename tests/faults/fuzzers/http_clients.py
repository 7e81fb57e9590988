"""Clients of every manner against `premodel serve`: pipelined, split, half-closed, cut, slow, damaged."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bundles import make_bundle
from faults.finding import premodel
from faults.fuzzers.base import REFUSED, Case, Fuzzer
from faults.http_model import Answer, Message, Requests, WrongAnswerError, head, read_answers
from policy_makers import MAKERS
from premodel.runtime.engine import Premodel
from serving_client import INFER

TIMEOUT_S = 1.0
WAIT_S = 20.0
"""A connection that neither answers nor ends for so long hangs."""
MAX_BODY_BYTES, MAX_HEAD_BYTES = 1 << 16, 16 << 10
MAX_LINES = 60
"""In the log of a whole run, whatever clients do."""
ANNOUNCED = (400, 408, 413, 431, 501, 505)
"""Status codes of refusals that end the connection, where they end it."""
ANSWERED, GONE = "answered", "gone before the answers"


@dataclass(frozen=True)
class Plan:
    """What one client does.

    Attributes
    ----------
    messages:
        What it sends.
    pieces:
        The same bytes as they are sent, and the pause behind each, in seconds.
    end:
        "asks" reads the answers and closes; "half" ends its half first; "slow" waits for the server to end it;
        "gone" closes, and "reset" resets the connection without reading.
    """

    messages: tuple[Message, ...]
    pieces: tuple[tuple[bytes, float], ...]
    end: str


def draw(rng: random.Random, requests: Requests) -> Plan:
    """One client."""
    messages = [requests.good(rng) for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 20)))]
    end = rng.choices(("asks", "half", "slow", "gone", "reset"), (40, 40, 2, 9, 9))[0]
    kind = rng.random()
    if end == "slow":
        messages = [*messages[:3], requests.cut(rng, half_closed=False)]
    elif kind < 0.35 or not messages:
        messages.append(requests.bad(rng))
        if rng.random() < 0.3:  # must not be answered
            messages.append(requests.good(rng))
    elif kind < 0.5:
        end = "half" if end == "asks" else end
        messages.append(requests.cut(rng, half_closed=True) if rng.random() < 0.6 else requests.damaged(rng))
    data = b"".join(message.data for message in messages)
    if end in ("gone", "reset") and rng.random() < 0.5:
        data = data[: rng.randrange(len(data) + 1)]
    return Plan(tuple(messages), _split(rng, data), end)


def _split(rng: random.Random, data: bytes) -> tuple[tuple[bytes, float], ...]:
    most = rng.choice((0, 0, 1, 4, 30))
    if len(data) < 400 and rng.random() < 0.1:
        most = len(data)
    places = sorted(rng.randrange(len(data) + 1) for _ in range(most))
    pause = rng.choice((0.0, 0.0, 0.001)) if most <= 30 else 0.0
    bounds = [0, *places, len(data)]
    return tuple((data[a:b], pause) for a, b in itertools.pairwise(bounds) if b > a)


def follow(port: int, plan: Plan) -> str:
    """Do what the plan has, and check every answer; gives the outcome."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what was answered is read all the same
            for piece, pause in plan.pieces:
                connection.sendall(piece)
                if pause:
                    time.sleep(pause)
            if plan.end == "half":
                connection.shutdown(socket.SHUT_WR)
        if plan.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if plan.end in ("gone", "reset"):
            return GONE
        return check(plan, *receive(connection, plan))


def due(plan: Plan) -> list[Message]:
    """The messages that must be answered, in this order."""
    found = []
    for message in plan.messages:
        found.append(message)
        if message.ends:
            break
    return found


def receive(connection: socket.socket, plan: Plan) -> tuple[bytes, bool]:
    """What the server sends: all of it where one side ends the connection, else as many answers as are due."""
    expected = due(plan)
    methods = [message.method for message in expected]
    data = b""
    until_end = plan.end != "asks" or expected[-1].ends
    try:
        while until_end or len(read_answers(data, methods)[0]) < len(expected):
            piece = connection.recv(1 << 16)
            if not piece:
                return data, True
            data += piece
    except TimeoutError as error:
        raise AssertionError(f"neither an answer nor an end; {_met(plan, data)}") from error
    except ConnectionResetError as error:
        raise AssertionError(f"reset by the server; {_met(plan, data)}") from error
    return data, False


def check(plan: Plan, data: bytes, ended: bool) -> str:
    """Compare what came with what was due."""
    expected = due(plan)
    last = expected[-1]
    foretold = [message for message in expected if message.statuses]  # damage, which is the last, has any answers
    try:
        answers, interim, left = read_answers(data, [message.method for message in expected])
    except WrongAnswerError as error:
        raise AssertionError(f"{error}; {_met(plan, data)}") from error
    if last.statuses and (len(answers) != len(expected) or left):
        raise AssertionError(f"{len(answers)} answers, {len(left)} bytes, for {len(expected)}; {_met(plan, data)}")
    if not last.statuses and last.data.strip(b"\r\n") and len(answers) <= len(foretold) and not left:
        raise AssertionError(f"no answer to damage; {_met(plan, data)}")
    for message, answer in zip(foretold, answers, strict=False):
        wrong = _wrong(message, answer)
        if wrong:
            raise AssertionError(f"{wrong} for {message.data[:120]!r}; {_met(plan, data)}")
    if any(answer.status == 500 for answer in answers):
        raise AssertionError(f"a mistake of the server; {_met(plan, data)}")
    if interim > sum(message.asks for message in foretold) and last.statuses:
        raise AssertionError(f"{interim} times 100 Continue; {_met(plan, data)}")
    if last.ends and not ended:
        raise AssertionError(f"the connection goes on; {_met(plan, data)}")
    return REFUSED if any(answer.status >= 400 for answer in answers) else ANSWERED


def _wrong(message: Message, answer: Answer) -> str:
    """What is wrong with an answer; empty for nothing."""
    if answer.status not in message.statuses:
        return f"{answer.status} instead of {message.statuses}"
    if answer.status >= 400 and message.method != "HEAD" and list(json.loads(answer.body)) != ["error"]:
        return f"no error in {answer.body[:80]!r}"
    if answer.status == 405 and "allow" not in answer.headers:
        return "405 without Allow"
    if message.mark and json.loads(answer.body).get("id") != message.mark:
        return "the answer to another request"
    if message.ends and answer.status in ANNOUNCED and answer.headers.get("connection") != "close":
        return "an end that was not announced"
    return ""


def _met(plan: Plan, data: bytes) -> str:
    sent = b"".join(piece for piece, _ in plan.pieces)
    return f"{plan.end}, {len(plan.pieces)} pieces of {sent[-200:]!r}, received {data[-200:]!r}"


class Server:
    """`premodel serve` in a process of its own, whose log is read as it grows."""

    def __init__(self, bundle: Path, log: Path) -> None:
        self._log = log
        self._read = 0
        self._lines = 0
        limits = ["--timeout", TIMEOUT_S, "--max-body-mb", MAX_BODY_BYTES / (1 << 20)]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                premodel("serve", bundle, "--port", 0, "--json", *limits), stdout=subprocess.PIPE, stderr=errors
            )
        assert self._process.stdout is not None
        with self._process.stdout as output:
            line = output.readline()
        if not line:
            self._process.wait()
            raise AssertionError(f"no server: {log.read_text()[-500:]}")
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    def wait_until_ready(self) -> None:
        """Every candidate is open."""
        asks = Message(head("GET /v2/health/ready HTTP/1.1", "host: localhost"), (200,))
        plan = Plan((asks,), ((asks.data, 0.0),), "asks")
        for _ in range(int(WAIT_S / 0.05)):
            with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S) as connection:
                connection.sendall(asks.data)
                answers = read_answers(receive(connection, plan)[0], ["GET"])[0]
            if answers[0].status == 200:
                return
            time.sleep(0.05)
        raise AssertionError("the server is not ready")

    def check_log(self) -> None:
        """No traceback, and few lines."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        self._lines += new.count(b"\n")
        if b"Traceback" in new or self._process.poll() is not None:
            raise AssertionError(f"in the log: {new[-1500:]!r}")
        if self._lines > MAX_LINES:
            raise AssertionError(f"{self._lines} lines in the log, the last {new[-200:]!r}")

    def stop(self) -> None:
        """It ends well, and in time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=30)
        finally:
            self._process.kill()
            self._process.wait()
        if code or b"Traceback" in self._log.read_bytes():
            raise AssertionError(f"ended with {code}: {self._log.read_bytes()[-1500:]!r}")


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """Serve a small premodel; a case is one client, and a good request behind it."""
    inside = folder / "inside"
    inside.mkdir()
    made = make_bundle(folder / "made", MAKERS["select, the paper's chain"])
    image = made.small.images[0].read_bytes()
    with Premodel(made.path) as premodel:
        label = premodel.predict(image).label
    requests = Requests(image, MAX_BODY_BYTES, MAX_HEAD_BYTES)
    fields = ("host: localhost", "inference-header-content-length: 0", f"content-length: {len(image)}")
    good = Message(head(f"POST {INFER} HTTP/1.1", *fields) + image, (200,), "POST")
    server = Server(made.path, inside / "log.txt")

    def in_time(plan: Plan) -> str:
        """Once more where a machine that is busy with other things let the time of a request run out."""
        for _ in range(5):
            begun = time.monotonic()
            try:
                return follow(server.port, plan)
            except AssertionError:
                waits = 4 * TIMEOUT_S if plan.end == "slow" else TIMEOUT_S / 2
                if time.monotonic() - begun < waits:
                    raise
        return follow(server.port, plan)

    def behind() -> None:
        plan = Plan((good,), ((good.data, 0.0),), "asks")
        with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as connection:
            connection.sendall(good.data)
            data, _ = receive(connection, plan)
        answers = read_answers(data, ["POST"])[0]
        if answers[0].status in (503, 504):
            raise AssertionError(f"busy: {answers[0].body!r}")
        tensors = {tensor["name"]: tensor["data"] for tensor in json.loads(answers[0].body)["outputs"]}
        if tensors["label"] != [label]:
            raise AssertionError(f"a wrong answer: {tensors}")

    def case(rng: random.Random) -> str:
        outcome = in_time(draw(rng, requests))
        behind()
        server.check_log()
        return outcome

    try:
        server.wait_until_ready()
        yield case
    finally:
        server.stop()


FUZZERS = (
    Fuzzer(
        "http",
        "One client of a served premodel: 1 to 21 requests, right, odd, forbidden, damaged, cut; pipelined, split "
        "anywhere, half-closed, slow, closed or reset; every answer, its order and status against the RFCs, the log, "
        "and a good request behind it",
        lay,
        10_000,
        test_count=100,
        wall_s=120.0,
        outcomes=(ANSWERED, REFUSED, GONE),
        refused_share=0.2,
        requires=("starlette", "uvicorn"),
    ),
)
