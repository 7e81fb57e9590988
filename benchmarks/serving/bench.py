"""What a served request costs beyond the in-process call, and how many a second there are at saturation.

The server is `premodel serve` in a process of its own; the client speaks HTTP over one kept connection per thread, from
bytes prepared before the clock starts, so that no client library is measured. Each image is answered in this process
and by the server, in random order, so that both meet the same machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from premodel.backends.replay import record
from premodel.clock import now_ms
from premodel.domains.image.decode import decode
from premodel.domains.image.preprocess import preprocess
from premodel.domains.image.spec import InputSpec
from premodel.domains.image.views import View
from premodel.files import file_sha256
from premodel.runtime.bundle import Bundle, write_bundle
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.zoo.candidate import Candidate, Model

BUDGET_MS = 0.7
BUDGET_RATE = 0.85
LABELS = 1000
TIMEOUT_S = 120


class Serving(NamedTuple):
    """A running server."""

    address: tuple[str, int]
    pid: int


class Client:
    """One kept connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """Send a prepared request; gives the response's body."""
        status, body = self.exchange(request)
        if status != 200:
            raise RuntimeError(body.decode(errors="replace"))
        return body

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a prepared request; gives the response's status code and body."""
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower()
        length = int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0])
        while len(data) < end + 4 + length:
            data += self._receive()
        return int(head.split(b" ", 2)[1]), data[end + 4 :]

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        data = self._socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the server closed the connection")
        return data


def prepared(model: str, image: bytes) -> bytes:
    """A whole request: the image as BYTES, all outputs as binary data, as tritonclient sends it."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(image) + 4}}
    text = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [tensor]}).encode()
    body = text + len(image).to_bytes(4, "little") + image
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
        f"Inference-Header-Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def serving(path: Path, zoo: Path | None, *words: str) -> Generator[Serving]:
    """`premodel serve` in a process of its own; given once every candidate was opened."""
    command = [sys.executable, "-m", "premodel.cli.main", "serve", str(path), "--port", "0", "--json", "--threads", "1"]
    command += [*(["--zoo", str(zoo)] if zoo else []), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        host, _, port = json.loads(process.stdout.readline())["url"].removeprefix("http://").rpartition(":")
        address = (host, int(port))
        while not ready(address):
            time.sleep(0.05)
        yield Serving(address, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def ready(address: tuple[str, int]) -> bool:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        return connection.recv(100).startswith(b"HTTP/1.1 200 ")


def generated_images(count: int, side: int) -> list[bytes]:
    """JPEGs of smooth noise with a grain, about as large as photographs of that side."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        grain = rng.integers(-12, 13, smooth.shape, np.int16)
        images.append(cv2.imencode(".jpg", np.clip(smooth + grain, 0, 255).astype(np.uint8))[1].tobytes())
    return images


def generated_bundle(folder: Path, images: Sequence[bytes], latency_ms: float) -> Path:
    """A premodel of one candidate with recorded answers, which takes `latency_ms` each."""
    spec = InputSpec((224, 224), "NHWC", "uint8", "RGB", "center-crop", 0.875, "bilinear")
    tensors = [preprocess(decode(image), spec) for image in images]
    answers = np.random.default_rng(1).dirichlet(np.full(LABELS, 0.1), len(images)).astype(np.float32)
    record(folder / "m.npz", tensors, answers, latency_ms=latency_ms)
    model = Model("m", folder / "m.npz", "replay", spec, "softmax", sha256=file_sha256(folder / "m.npz"))
    candidates = (Candidate(model, View(), LABELS),)
    policy = Single(("m",), [1.0], Costs((max(latency_ms, 0.1),), 0.3))
    path = folder / "bench.premodel"
    write_bundle(
        path, Bundle(policy, candidates, tuple(f"class {i}" for i in range(LABELS)), "top1", None), folder=folder
    )
    return path


def overhead(
    clf: Premodel, address: tuple[str, int], model: str, images: Sequence[bytes], rounds: int
) -> dict[str, Any]:
    """Milliseconds of an in-process call, of a served request, and the difference, at concurrency 1."""
    rng = np.random.default_rng(2)
    client = Client(address)
    requests = [prepared(model, image) for image in images]
    spent: dict[str, list[float]] = {"in_process": [], "served": []}
    for round_ in range(rounds + 1):
        for image, request in zip(images, requests, strict=True):
            runs: dict[str, Callable[[], Any]] = {
                "in_process": partial(clf.predict, image),
                "served": partial(client.ask, request),
            }
            for name in rng.permutation(list(runs)):
                start = now_ms()
                runs[name]()
                if round_:
                    spent[name].append(now_ms() - start)
    client.close()
    difference = np.array(spent["served"]) - np.array(spent["in_process"])
    return {
        "in_process_ms": statistics.median(spent["in_process"]),
        "served_ms": statistics.median(spent["served"]),
        "served_p99_ms": float(np.quantile(spent["served"], 0.99)),
        "overhead_ms": float(np.median(difference)),
        "requests": len(difference),
    }


def in_process_rate(clf: Premodel, images: Sequence[bytes], seconds: float) -> float:
    """Answers per second of one thread."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        clf.predict(images[count % len(images)])
        count += 1
    return count / (time.perf_counter() - start)


def served_rate(
    address: tuple[str, int], model: str, images: Sequence[bytes], seconds: float, concurrency: int
) -> dict[str, float]:
    """Requests per second of so many connections that never wait, with their latencies."""
    requests = [prepared(model, image) for image in images]
    latencies: list[list[float]] = [[] for _ in range(concurrency)]
    failed: list[str] = []
    end = time.perf_counter() + seconds

    def work(index: int) -> None:
        client = Client(address)
        try:
            while time.perf_counter() < end:
                start = now_ms()
                client.ask(requests[(index + len(latencies[index])) % len(requests)])
                latencies[index].append(now_ms() - start)
        except (OSError, RuntimeError) as error:
            failed.append(str(error))
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(concurrency)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    if failed:
        raise RuntimeError(f"{len(failed)} clients failed, the first with: {failed[0]}")
    flat = [value for values in latencies for value in values]
    return {
        "concurrency": concurrency,
        "per_second": len(flat) / elapsed,
        "p50_ms": float(np.quantile(flat, 0.5)),
        "p99_ms": float(np.quantile(flat, 0.99)),
    }


def measure(path: Path, images: Sequence[bytes], args: argparse.Namespace) -> dict[str, Any]:
    words = ("--workers", str(args.workers), "--queue", str(max(64, max(args.concurrency))))
    with Premodel(path, threads=1, zoo=args.zoo) as clf, serving(path, args.zoo, *words) as (address, _):
        clf.warm()
        report: dict[str, Any] = {"overhead": overhead(clf, address, path.stem, images, args.rounds)}
        report["in_process_per_second"] = in_process_rate(clf, images, args.seconds)
        report["saturation"] = [
            served_rate(address, path.stem, images, args.seconds, concurrency) for concurrency in args.concurrency
        ]
    return report


def show(report: dict[str, Any]) -> None:
    names = ("cpu", "cores", "load", "python", "images", "mean_bytes", "workers")
    print(", ".join(f"{name} {report[name]}" for name in names))
    cost = report["overhead"]
    print(
        f"concurrency 1: in process {cost['in_process_ms']:.3f} ms, "
        f"served {cost['served_ms']:.3f} ms (p99 {cost['served_p99_ms']:.3f}); "
        f"overhead {cost['overhead_ms']:.3f} ms over {cost['requests']} requests; "
        f"at most {BUDGET_MS}: {'met' if cost['overhead_ms'] <= BUDGET_MS else 'NOT met'}"
    )
    base = report["in_process_per_second"]
    print(f"in process, one thread: {base:.0f} per second")
    for row in report["saturation"]:
        share = row["per_second"] / base
        verdict = f"at least {100 * BUDGET_RATE:.0f} %: {'met' if share >= BUDGET_RATE else 'NOT met'}"
        if row["concurrency"] <= report["workers"]:
            verdict = "no saturation"
        print(
            f"concurrency {row['concurrency']}: {row['per_second']:.0f} per second, {100 * share:.0f} % of that; "
            f"{verdict}; p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a premodel of yours, with --images")
    parser.add_argument("--images", type=Path, help="folder of encoded images it can answer")
    parser.add_argument("--zoo", type=Path, help="where its models are, if they were moved")
    parser.add_argument("--side", type=int, default=384, help="of generated images (default: 384)")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of the generated candidate (default: 0)")
    parser.add_argument("--rounds", type=int, default=20, help="over 64 images (default: 20)")
    parser.add_argument("--seconds", type=float, default=5.0, help="per rate (default: 5)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 64], help="connections (default: 1 8 64)")
    parser.add_argument("--workers", type=int, default=1, help="of the server (default: 1)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if (args.bundle is None) != (args.images is None):
        parser.error("--bundle and --images go together")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.bundle is None:
            images = generated_images(64, args.side)
            path = generated_bundle(Path(folder), images, args.latency_ms)
        else:
            files = sorted(file for file in args.images.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
            images, path = [file.read_bytes() for file in files[:64]], args.bundle
        report = {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            "images": len(images),
            "mean_bytes": round(statistics.mean(len(image) for image in images)),
            "workers": args.workers,
            "budget": {"overhead_ms": BUDGET_MS, "rate": BUDGET_RATE},
            **measure(path, images, args),
        }
    print(json.dumps(report)) if args.json else show(report)


if __name__ == "__main__":
    main()
