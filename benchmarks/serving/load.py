"""An hour of requests in a row: does the server lose or spoil an answer, does it grow, and what does it cost.

Images of several sizes, and 5 % of requests that are none; every answer is compared with what `predict` answers in this
process. With `--litserve PYTHON` the same `predict` is served by LitServe, side by side: the phases alternate in
blocks, so that all meet the same machine.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench import Client, generated_bundle, generated_images, prepared, serving

from premodel.clock import now_ms
from premodel.runtime.answer import Answer
from premodel.runtime.engine import Premodel

SIDES = (96, 224, 384, 768, 1536)
PER_SIDE = 12
BAD_SHARE = 0.05
BLOCKS = 4
WARM_UP = 200
Expected = tuple[int | None, str | None, str | None, list[int], list[float]]
"""Label, class, candidate, top labels, probabilities."""


@dataclass
class Load:
    """What is sent, in order: an image's index, or -1 - k for the k-th bad input."""

    images: list[bytes]
    expected: list[Expected]
    bad: list[bytes]
    order: list[int]


@dataclass
class Server:
    """One of those compared: how it is asked, and how its answer is read."""

    name: str
    address: tuple[str, int]
    pid: int
    request: Callable[[bytes], bytes]
    read: Callable[[bytes], Expected]
    refuses_with: range


@dataclass
class Outcome:
    """What became of some requests."""

    latency_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Put two together."""
        self.latency_ms += other.latency_ms
        self.seconds += other.seconds
        self.counts += other.counts


def bad_inputs(image: bytes) -> list[bytes]:
    """Nothing, no image, an image cut short, and one that names more pixels than are allowed."""
    large = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    large = large[:16] + (60_000).to_bytes(4, "big") * 2 + large[24:]
    return [b"", b"this is no image" * 50, image[: len(image) // 2], large]


def make_load(clf: Premodel, images: list[bytes], requests: int, seed: int) -> Load:
    """Draw the order; what is expected comes from `predict` in this process."""
    rng = np.random.default_rng(seed)
    bad = bad_inputs(images[-1])
    order = rng.integers(0, len(images), requests)
    spoiled = rng.random(requests) < BAD_SHARE
    order[spoiled] = -1 - rng.integers(0, len(bad), int(spoiled.sum()))
    return Load(images, [expected_of(clf.predict(image)) for image in images], bad, order.tolist())


def expected_of(answer: Answer) -> Expected:
    return answer.label, answer.class_name, answer.candidate, answer.top_labels, answer.top_probabilities


def read_protocol(body: bytes) -> Expected:
    """The answer in a binary response of the Open Inference Protocol."""
    header, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    found: dict[str, Any] = {}
    for tensor in header["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        data, end = body[end : end + size], end + size
        kind = {"INT32": "<i4", "FP32": "<f4"}.get(tensor["datatype"])
        found[tensor["name"]] = data[4:].decode() if kind is None else np.frombuffer(data, kind).tolist()
    return found["label"][0], found["class"], found["candidate"], found["top_labels"], found["probabilities"]


def read_json(body: bytes) -> Expected:
    """The answer as `litserve_app.py` gives it."""
    data = json.loads(body)
    return data["label"], data["class"], data["candidate"], data["top_labels"], data["probabilities"]


def litserve_request(image: bytes) -> bytes:
    body = json.dumps({"image": base64.b64encode(image).decode()}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def send(server: Server, load: Load, order: Sequence[int], concurrency: int) -> Outcome:
    """So many connections that never wait share the requests; each response is checked once all are there."""
    requests = {
        index: server.request(load.images[index] if index >= 0 else load.bad[-1 - index]) for index in set(order)
    }
    left, lock, total = iter(order), threading.Lock(), Outcome()
    given: list[tuple[int, int, bytes]] = []

    def work() -> None:
        client = Client(server.address)
        while True:
            with lock:
                index = next(left, None)
            if index is None:
                client.close()
                return
            start = now_ms()
            try:
                status, body = client.exchange(requests[index])
            except (OSError, RuntimeError, ValueError):
                status, body = 0, b""
                client = Client(server.address)
            spent = now_ms() - start
            with lock:
                given.append((index, status, body))
                if index >= 0:
                    total.latency_ms.append(spent)

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total.seconds = time.perf_counter() - begun
    total.counts.update(verdict(server, load, *line) for line in given)
    total.counts["lost"] += len(order) - len(given)
    return total


def verdict(server: Server, load: Load, index: int, status: int, body: bytes) -> str:
    """Answered, refused, or what went wrong."""
    if status == 0:
        return "lost"
    if index < 0:
        return "refused" if status in server.refuses_with else "wrong"
    if status != 200:
        return "lost"
    return "answered" if server.read(body) == load.expected[index] else "wrong"


def in_process(clf: Premodel, load: Load, order: Sequence[int]) -> Outcome:
    """The images of the same requests, one after the other in this process."""
    outcome = Outcome()
    begun = time.perf_counter()
    for index in order:
        if index >= 0:
            start = now_ms()
            clf.predict(load.images[index])
            outcome.latency_ms.append(now_ms() - start)
    outcome.seconds = time.perf_counter() - begun
    return outcome


def memory_mb(pid: int) -> float:
    """Proportional set size of a process and all that it started."""
    pids, at = [pid], 0
    while at < len(pids):
        for task in Path(f"/proc/{pids[at]}/task").glob("*/children"):
            pids += [int(child) for child in task.read_text().split()]
        at += 1
    texts = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in pids]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("Pss:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


@contextmanager
def litserve(python: Path, bundle: Path, zoo: Path | None) -> Generator[Server]:
    """LitServe in a process of its own, on a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    source = Path(__file__).resolve().parents[2] / "src"
    command = [str(python), str(Path(__file__).with_name("litserve_app.py")), str(bundle), str(port)]
    process = subprocess.Popen(
        [*command, *([str(zoo)] if zoo else [])], env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = ("127.0.0.1", port)
        while not healthy(address):
            if process.poll() is not None:
                raise RuntimeError(f"LitServe ended with {process.returncode}; try: {' '.join(command)}")
            time.sleep(0.1)
        yield Server("LitServe", address, process.pid, litserve_request, read_json, range(400, 600))
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # it leaves its workers behind when it alone is asked to end
        process.wait()


def healthy(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def measure(clf: Premodel, servers: Sequence[Server], load: Load, concurrencies: Sequence[int]) -> dict[str, Any]:
    """Every server and this process by turns, block by block, at each concurrency."""
    memory = {server.name: {"started": memory_mb(server.pid)} for server in servers}
    for server in servers:
        send(server, load, load.order[:WARM_UP], max(concurrencies))
        memory[server.name]["warm"] = memory_mb(server.pid)
    rows = []
    for concurrency in concurrencies:
        outcomes = {name: Outcome() for name in ("in process", *(server.name for server in servers))}
        for block in np.array_split(load.order, BLOCKS):
            outcomes["in process"].add(in_process(clf, load, block.tolist()))
            for server in servers:
                outcomes[server.name].add(send(server, load, block.tolist(), concurrency))
        for server in servers:
            memory[server.name][f"after {concurrency}"] = memory_mb(server.pid)
        rows += [row_of(name, concurrency, outcome) for name, outcome in outcomes.items()]
    return {"rows": rows, "memory_mb": memory}


def row_of(name: str, concurrency: int, outcome: Outcome) -> dict[str, Any]:
    p50, p99 = np.quantile(outcome.latency_ms, [0.5, 0.99])
    return {
        "name": name,
        "concurrency": 1 if name == "in process" else concurrency,
        "beside": concurrency,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "images_per_second": len(outcome.latency_ms) / outcome.seconds,
        **{word: outcome.counts[word] for word in ("answered", "refused", "lost", "wrong")},
    }


def show(report: dict[str, Any]) -> None:
    names = ("cpu", "cores", "load", "python", "requests", "bad", "images", "sides", "mean_bytes", "workers")
    print(", ".join(f"{name} {report[name]}" for name in names), end="\n\n")
    print("| | concurrency | p50 ms | p99 ms | images/s | answered | bad, refused | lost | wrong |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in report["rows"]:
        figures = f"{row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['images_per_second']:.0f}"
        counts = " | ".join(str(row[word]) for word in ("answered", "refused", "lost", "wrong"))
        alone = row["name"] == "in process"
        connections = f"1, beside {row['beside']}" if alone else row["concurrency"]
        print(f"| {row['name']} | {connections} | {figures} | {' | | | ' if alone else counts} |")
    print()
    for name, values in report["memory_mb"].items():
        print(f"memory of {name}: " + ", ".join(f"{when} {value:.0f} MB" for when, value in values.items()))


def images_of(args: argparse.Namespace) -> list[bytes]:
    """Generated ones of every side, or those of the folder, each made to one of the sides."""
    if args.images is None:
        return [image for side in SIDES for image in generated_images(PER_SIDE, side)]
    files = sorted(file for file in args.images.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    images = []
    for number, file in enumerate(files[: PER_SIDE * len(SIDES)]):
        side = SIDES[number % len(SIDES)]
        whole = cv2.imread(str(file))
        if whole is None:
            raise SystemExit(f"load: {file} must be an image that OpenCV decodes")
        pixels = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)
        images.append(cv2.imencode(".jpg", pixels)[1].tobytes())
    return images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a premodel of yours, with --images")
    parser.add_argument("--images", type=Path, help="folder of images it can answer")
    parser.add_argument("--zoo", type=Path, help="where its models are, if they were moved")
    parser.add_argument(
        "--litserve", type=Path, metavar="PYTHON", help="a Python with LitServe and premodel's packages"
    )
    parser.add_argument("--requests", type=int, default=3600, help="at each concurrency (default: 3600)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 64], help="connections (default: 1 8 64)")
    parser.add_argument("--workers", type=int, default=1, help="of `premodel serve` (default: 1)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if (args.bundle is None) != (args.images is None):
        parser.error("--bundle and --images go together")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        images = images_of(args)
        path = args.bundle or generated_bundle(Path(folder), images, 0.0)
        words = ("--workers", str(args.workers), "--queue", str(max(64, *args.concurrency)))
        other = nullcontext(None) if args.litserve is None else litserve(args.litserve, path, args.zoo)
        with Premodel(path, threads=1, zoo=args.zoo) as clf, serving(path, args.zoo, *words) as own, other as beside:
            load = make_load(clf, images, args.requests, seed=0)
            mine = Server("premodel serve", own.address, own.pid, lambda image: prepared(path.stem, image),
                          read_protocol, range(400, 401))  # fmt: skip
            servers = [mine] if beside is None else [mine, beside]
            result = measure(clf, servers, load, args.concurrency)
    report = {
        "cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "python": platform.python_version(), "requests": args.requests, "bad": sum(i < 0 for i in load.order),
        "images": len(images), "sides": "/".join(map(str, SIDES)),
        "mean_bytes": round(np.mean([len(i) for i in images])),
        "workers": args.workers, **result,
    }  # fmt: skip
    print(json.dumps(report)) if args.json else show(report)


if __name__ == "__main__":
    main()
