"""Tries every fault and writes the table of docs/reliability.md: `scripts/faults`."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bundles import make_bundle
from faults import kills, moments, shortage
from faults.finding import Finding, profile_words, run
from faults.hostile_runs import MAX_MB, MAX_SECONDS, hostile_inputs
from policy_makers import MAKERS
from premodel.version import __version__
from zoos import write_zoo

HOSTILE = {"bundle": 3000, "zoo.toml": 2000, "image": 2500, "labels": 1000, "request": 1500}
SAMPLES = 150
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def rounds(folder: Path, share: float, only: str) -> Iterator[Finding]:
    """Try every fault, `share` of the full number of times."""

    def times(full: int) -> int:
        return max(1, round(full * share))

    correct = np.random.default_rng(5).random((SAMPLES, 3)) < 0.6
    small = write_zoo(folder / "zoo", correct=correct, latency_ms=moments.MODEL_MS)
    store = folder / "store.db"
    done = run(*profile_words(small, store, "--max-timing-seconds", 1))
    if done.returncode:
        raise SystemExit(f"faults: the profile to start from failed: {done.stderr[-500:]}")
    bundle = folder / "whole.premodel"
    run("train", store, "--out", bundle, "--policy", "cascade", "--embed")
    maker = next(name for name in MAKERS if "cascade" in name)
    large = [make_bundle(folder / f"large{seed}", MAKERS[maker], embed=True, n=400 + seed).path for seed in range(2)]
    tasks: dict[str, Callable[[], Finding]] = {
        "kill profile": lambda: kills.kill_profile(small, folder, times(25)),
        "kill train": lambda: kills.kill_train(store, folder, times(25)),
        "kill package": lambda: kills.kill_writer(large[0], large[1], folder, times(25)),
        "kill pull": lambda: kills.kill_pull(folder, times(25)),
        "disk profile": lambda: shortage.fill_disk(small, folder, times(10)),
        "disk train": lambda: shortage.fill_disk_at_train(store, folder, times(10)),
        "read-only": lambda: shortage.read_only(small, store, bundle, folder),
        "memory": lambda: shortage.out_of_memory(small, folder, times(3)),
        "clock": lambda: moments.step_clock(small, folder, times(5)),
        "term profile": lambda: moments.terminate_profile(small, folder, times(10)),
        "term serve": lambda: moments.terminate_serve(bundle, small.zoo.parent, small.images[0], times(5)),
        "readers": lambda: moments.read_while_writing(small, folder, times(5)),
        "same": lambda: moments.same_bytes(store, folder),
    }
    for kind, count in HOSTILE.items():
        tasks[f"hostile {kind}"] = lambda kind=kind, count=count: hostile_inputs(  # type: ignore[misc]
            kind, times(count), folder / f"hostile-{kind}"
        )
    for name, task in tasks.items():
        if only in name:
            start = time.monotonic()
            found = task()
            print(
                f"{name}: {found.times} times, {len(found.failures)} failures, {time.monotonic() - start:.0f} s",
                file=sys.stderr,
            )
            for failure in found.failures[:10]:
                print(f"  {failure}", file=sys.stderr)
            yield found
    print(f"{shortage.bundles_open(folder)} bundles lie about, and all open", file=sys.stderr)


def table(findings: list[Finding], minutes: float) -> str:
    """The table and the conditions that it was made under, as Markdown."""
    lines = [
        f"Made on {datetime.now(UTC).date()} by `scripts/faults` in {minutes:.0f} minutes: premodel {__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {os.cpu_count()} cores"
        f"{', as root' if os.geteuid() == 0 else ''}.",
        "",
        "| fault | how it was tried | times | failures | what was seen |",
        "|---|---|---:|---:|---|",
    ]
    for found in findings:
        lines.append(f"| {found.fault} | {found.how} | {found.times:,} | {len(found.failures)} | {found.seen} |")
    lines += [
        "",
        "A hostile input fails if it ends in anything but a result or one clear line, takes over "
        f"{MAX_SECONDS:g} s of CPU, lets the process grow over {MAX_MB} MB, or writes outside its folder.",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Try every fault; write the table.")
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of times (a quick look: 0.05)")
    parser.add_argument("--only", default="", help="those whose name has this in it; the page is then left as it is")
    parser.add_argument("--page", type=Path, help="the page whose table is replaced (default: none)")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    start = time.monotonic()
    findings: list[Finding] = []
    text = ""
    try:
        for found in rounds(folder, args.share, args.only):
            findings.append(found)
            text = table(findings, (time.monotonic() - start) / 60)
            if args.page and not args.only:  # after each, so that a run broken off leaves what it saw
                page = args.page.read_text()
                head, rest = page.split(BEGIN)
                args.page.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    return 1 if any(found.failures for found in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
