"""All cases of one fuzzer in a process of its own, and the row of the table that they make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from faults.finding import Finding
from faults.fuzzers.base import Fuzzer, feed
from faults.fuzzers.registry import all_fuzzers


def fuzz(fuzzer: Fuzzer, count: int, folder: Path, seed: int = 0) -> Finding:
    """One row of the table, from a child process, so that a crash is a failure and no end."""
    found = Finding(f"hostile {fuzzer.name}", f"{fuzzer.how}; seeds {seed} to {seed + count - 1}", count)
    folder.mkdir()
    command = [sys.executable, "-m", "faults.fuzz", fuzzer.name, str(seed), str(count), str(folder)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        found.failures.append(f"{fuzzer.name}: the process ended with {done.returncode}: {done.stderr[-500:]}")
        return found
    found.failures += result["failures"]
    outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(result["outcomes"].items()))
    found.seen = f"{outcomes}; slowest {result['slowest_s']:.2f} s of CPU, peak {result['peak_mb']} MB"
    return found


if __name__ == "__main__":
    name, first, number, where = sys.argv[1:]
    seeds = range(int(first), int(first) + int(number))
    print(json.dumps(feed(all_fuzzers()[name], seeds, Path(where)).to_json()))
