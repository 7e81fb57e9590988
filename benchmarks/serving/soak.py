"""A server under mixed load for as long as asked: recording, reloads, labels, bad requests; its memory over time."""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

EVERY_S = 10.0
GARBAGE = (b"\0" * 64, b"GET / HTTP/9.9\r\n\r\n", b"POST /v2 HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"G")


def ask(url: str, body: bytes, counts: Counter[str]) -> None:
    """One request, good or bad; its status is counted."""
    headers = {"Content-Type": "application/octet-stream"}
    try:
        with urlopen(Request(url, body, headers), timeout=60) as response:
            counts[str(response.status)] += 1
            response.read()
    except HTTPError as error:
        counts[str(error.code)] += 1
        error.read()
        error.close()
    except (URLError, OSError) as error:
        counts[type(error).__name__] += 1


def load(url: str, name: str, images: list[Path], end: float, seed: int, counts: Counter[str], pause_s: float) -> None:
    """One client until the end."""
    draw = random.Random(seed)
    infer = f"{url}/v2/models/{name}/infer"
    address = urlsplit(url)
    while time.monotonic() < end:
        kind = draw.random()
        data = draw.choice(images).read_bytes()
        if kind < 0.8:
            ask(infer, data, counts)
        elif kind < 0.85:
            ask(infer, data[: len(data) // 2], counts)
        elif kind < 0.9:
            ask(infer + "?max_latency_ms=0.001", data, counts)
        elif kind < 0.93:
            ask(f"{url}/v2/models/other/infer", data, counts)
        elif kind < 0.97:
            with urlopen(f"{url}/metrics", timeout=60) as response:
                counts["metrics"] += bool(response.read())
        else:
            with socket.create_connection((address.hostname or "", address.port or 80), timeout=60) as connection:
                connection.sendall(draw.choice(GARBAGE))
                counts["garbage"] += 1
        time.sleep(pause_s * draw.random() * 2)


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1e3 if found else float("nan")


def main() -> None:
    """Serve, load, watch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", type=Path, help="a folder")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--pause-s", type=float, default=0.1, help="mean, between two requests of a client")
    parser.add_argument("--reload-s", type=float, default=20)
    parser.add_argument("--out", type=Path, help="every measurement, JSON lines")
    args = parser.parse_args()
    images = sorted(path for path in args.images.rglob("*") if path.suffix in (".png", ".jpg", ".jpeg", ".JPEG"))
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "records.db"
        words = [args.bundle, "--port", 0, "--json", "--record", record, "--record-share", 1, "--record-mb", 20]
        words += ["--shadow", 0.2]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "premodel.cli.main", "serve", *map(str, words)],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        begun = time.monotonic()
        end = begun + 60 * args.minutes
        clients = [
            threading.Thread(target=load, args=(url, args.bundle.stem, images, end, seed, counts, args.pause_s))
            for seed in range(args.clients)
        ]
        for one in clients:
            one.start()
        rows, reloads, due = [], 0, begun + args.reload_s
        while time.monotonic() < end:
            time.sleep(EVERY_S)
            if time.monotonic() >= due:
                server.send_signal(signal.SIGHUP)
                reloads, due = reloads + 1, time.monotonic() + args.reload_s
                if reloads % 5 == 0:  # a reader and writer beside the server
                    words = ["label", record, "--next", 5, "--out", Path(folder) / "out"]
                    subprocess.run([sys.executable, "-m", "premodel.cli.main", *map(str, words)], check=False)
            disk_mb = sum(path.stat().st_size for path in Path(folder).glob("records.db*")) / 1e6
            row = {
                "minute": round((time.monotonic() - begun) / 60, 2),
                "resident_mb": resident_mb(server.pid),
                "threads": len(list(Path(f"/proc/{server.pid}/task").iterdir())),
                "files": len(list(Path(f"/proc/{server.pid}/fd").iterdir())),
                "disk_mb": round(disk_mb, 2),
                "requests": sum(counts.values()),
                "reloads": reloads,
            }
            rows.append(row)
            if args.out is not None:
                with args.out.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
        for one in clients:
            one.join()
        with urlopen(f"{url}/metrics", timeout=60) as response:
            text = response.read().decode()
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
        tracebacks = (Path(folder) / "log").read_text().count("Traceback")
    kept = dict(re.findall(r'^premodel_records_total{outcome="(\w+)"} (\S+)', text, re.M))
    thirds = [sum(r["resident_mb"] for r in part) / max(len(part), 1) for part in _thirds(rows)]
    print(json.dumps({"code": code, "tracebacks": tracebacks, "status": counts, "records": kept, "thirds_mb": thirds,
                      "max_disk_mb": max(r["disk_mb"] for r in rows), "last": rows[-1]}, indent=1))  # fmt: skip


def _thirds(rows: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """After a fifth for warming up."""
    rest = rows[len(rows) // 5 :]
    step = max(1, len(rest) // 3)
    return [rest[:step], rest[step : 2 * step], rest[2 * step :]]


if __name__ == "__main__":
    main()
