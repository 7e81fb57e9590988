"""All hostile inputs of one kind in a process of their own, with the time and the memory that each took."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from faults.finding import Finding
from faults.hostile import KINDS, lay_ground, run_case, serve_ground, written

MAX_SECONDS = 2.0
MAX_MB = 1500
"""Of the whole process; an image of 100 megapixels alone takes 300 decoded, and as much again while it is turned."""


def feed(kind: str, count: int, folder: Path) -> dict[str, Any]:
    """Feed so many; gives outcomes, failures, the slowest case's CPU seconds and the largest peak in MB."""
    faulthandler.dump_traceback_later(1800, exit=True)
    ground = lay_ground(folder)
    before = written(folder)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest, peak_mb = 0.0, 0
    with serve_ground(ground) if kind == "request" else contextlib.nullcontext() as client:
        for seed in range(count):
            start = time.process_time()
            try:
                outcomes[run_case(kind, ground, seed, *([client] if client else []))] += 1
            except Exception as error:  # noqa: BLE001
                where = traceback.extract_tb(error.__traceback__)[-1]
                failures.append(f"{kind} {seed}: {type(error).__name__}: {str(error)[:200]} ({where.name})")
            took = time.process_time() - start
            slowest = max(slowest, took)
            if took > MAX_SECONDS:
                failures.append(f"{kind} {seed}: {took:.1f} s")
    peak_mb = _peak_mb()
    if peak_mb > MAX_MB:
        failures.append(f"{kind}: a peak of {peak_mb} MB")
    failures += [f"{kind}: wrote {path}" for path in sorted(written(folder) - before)]
    return {"outcomes": outcomes, "failures": failures, "slowest": slowest, "peak_mb": peak_mb}


def _peak_mb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1000


def hostile_inputs(kind: str, count: int, folder: Path) -> Finding:
    """One row of the table, from a child process, so that a crash is a failure and no end."""
    found = Finding(f"hostile {kind}", (KINDS[kind].__doc__ or "").split("\n")[0].rstrip("."), count)
    folder.mkdir()
    command = [sys.executable, "-m", "faults.hostile_runs", kind, str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        found.failures.append(f"{kind}: the process ended with {done.returncode}: {done.stderr[-500:]}")
        return found
    found.failures += result["failures"]
    outcomes = ", ".join(f"{count} {what}" for what, count in sorted(result["outcomes"].items()))
    found.seen = f"{outcomes}; slowest {result['slowest']:.2f} s of CPU, peak {result['peak_mb']} MB"
    return found


if __name__ == "__main__":
    print(json.dumps(feed(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
