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
from functools import cached_property
from pathlib import Path

import numpy as np

from bundles import make_bundle
from faults import kills, moments, shortage
from faults.finding import Finding, profile_words, run
from faults.fuzz import fuzz
from faults.fuzzers.registry import all_fuzzers
from policy_makers import MAKERS
from premodel.version import __version__
from zoos import SmallZoo, write_zoo

SAMPLES = 150
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def rounds(folder: Path, share: float, only: str, seed: int) -> Iterator[Finding]:
    """Try every fault, `share` of the full number of times; `seed` is the fuzzers' first, and the kills'."""

    def times(full: int) -> int:
        return max(1, round(full * share))

    def chosen(tasks: dict[str, Callable[[], Finding]]) -> dict[str, Callable[[], Finding]]:
        return {name: task for name, task in tasks.items() if only in name}

    start = Start(folder)
    tasks: dict[str, Callable[[], Finding]] = {
        "kill profile": lambda: kills.kill_profile(start.small, folder, times(80), seed),
        "kill train": lambda: kills.kill_train(start.store, folder, times(60), seed),
        "kill package": lambda: kills.kill_writer(*start.large, folder, times(80), seed),
        "kill pull": lambda: kills.kill_pull(folder, times(60), seed),
        "kill outputs": lambda: kills.kill_outputs(start.store, folder, times(160), seed),
        "kill migration": lambda: kills.kill_migration(start.store, folder, times(60), seed),
        "disk profile": lambda: shortage.fill_disk(start.small, folder, times(10)),
        "disk train": lambda: shortage.fill_disk_at_train(start.store, folder, times(10)),
        "read-only": lambda: shortage.read_only(start.small, start.store, start.bundle, folder),
        "memory": lambda: shortage.out_of_memory(start.small, folder, times(3)),
        "clock": lambda: moments.step_clock(start.small, folder, times(5)),
        "term profile": lambda: moments.terminate_profile(start.small, folder, times(10)),
        "term serve": lambda: moments.terminate_serve(
            start.bundle, start.small.zoo.parent, start.small.images[0], times(5)
        ),
        "readers": lambda: moments.read_while_writing(start.small, folder, times(5)),
        "same": lambda: moments.same_bytes(start.store, folder),
    }
    for name, fuzzer in all_fuzzers().items():
        place = folder / f"hostile-{len(tasks)}"
        tasks[f"hostile {name}"] = lambda fuzzer=fuzzer, place=place: fuzz(fuzzer, times(fuzzer.count), place, seed)  # type: ignore[misc]
    for name, task in chosen(tasks).items():
        begun = time.monotonic()
        found = task()
        took_s = time.monotonic() - begun
        print(f"{name}: {found.times} times, {len(found.failures)} failures, {took_s:.0f} s", file=sys.stderr)
        for failure in found.failures[:10]:
            print(f"  {failure}", file=sys.stderr)
        yield found
    print(f"{shortage.bundles_open(folder)} bundles lie about, and all open", file=sys.stderr)


class Start:
    """What the faults begin with, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def small(self) -> SmallZoo:
        """A zoo of recordings."""
        correct = np.random.default_rng(5).random((SAMPLES, 3)) < 0.6
        return write_zoo(self._folder / "zoo", correct=correct, latency_ms=moments.MODEL_MS)

    @cached_property
    def store(self) -> Path:
        """Its profile."""
        store = self._folder / "store.db"
        done = run(*profile_words(self.small, store, "--max-timing-seconds", 1))
        if done.returncode:
            raise SystemExit(f"faults: the profile to start from failed: {done.stderr[-500:]}")
        return store

    @cached_property
    def bundle(self) -> Path:
        """A bundle trained on that."""
        bundle = self._folder / "whole.premodel"
        run("train", self.store, "--out", bundle, "--policy", "cascade", "--embed")
        return bundle

    @cached_property
    def large(self) -> tuple[Path, Path]:
        """Two large bundles."""
        maker = MAKERS[next(name for name in MAKERS if "cascade" in name)]
        first, second = (make_bundle(self._folder / f"large{n}", maker, embed=True, n=400 + n).path for n in range(2))
        return first, second


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
        lines.append(_row(found))
    lines += [
        "",
        "A hostile input fails if it ends in anything but a result or one clear line, takes longer or more memory than "
        "its fuzzer allows (2 s of CPU, 30 s in all, 1500 MB, where `tests/faults/fuzzers` states nothing else), or "
        "writes outside its folder. `scripts/faults --only 'hostile NAME' --seed N` tries others.",
    ]
    return "\n".join(lines)


def joined(old: str, found: Finding) -> str:
    """The table with one row replaced, or added if there is none of this fault."""
    row = _row(found)
    lines = old.split("\n")
    begin = f"| {found.fault} |"
    at = next((index for index, line in enumerate(lines) if line.startswith(begin)), None)
    if at is not None:
        lines[at] = row
    else:
        last = max(index for index, line in enumerate(lines) if line.startswith("|"))
        lines.insert(last + 1, row)
    return "\n".join(lines)


def _row(found: Finding) -> str:
    return f"| {found.fault} | {found.how} | {found.times:,} | {len(found.failures)} | {found.seen} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description="Try every fault; write the table.")
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of times (a quick look: 0.05)")
    parser.add_argument("--seed", type=int, default=0, help="first seed of the fuzzers, and of the kills (default: 0)")
    parser.add_argument(
        "--only", default="", help="those whose name has this in it; only their rows of the page are replaced"
    )
    parser.add_argument("--page", type=Path, help="the page whose table is replaced (default: none)")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    start = time.monotonic()
    findings: list[Finding] = []
    text = ""
    try:
        for found in rounds(folder, args.share, args.only, args.seed):
            findings.append(found)
            text = table(findings, (time.monotonic() - start) / 60)
            if args.page:  # after each, so that a run broken off leaves what it saw
                page = args.page.read_text()
                head, rest = page.split(BEGIN)
                old, tail = rest.split(END)
                new = joined(old, found) if args.only else f"\n{text}\n"
                args.page.write_text(f"{head}{BEGIN}{new}{END}{tail}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    return 1 if any(found.failures for found in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
