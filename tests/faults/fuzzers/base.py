"""What a fuzzer is, and the loop that feeds its cases by seed and watches time, memory and folders.

A module of this package has a tuple FUZZERS; `registry.py` finds it. A fuzzer's `lay` makes whole files, servers or
stores in an empty folder and gives the function that damages and tries them. That function gets a random generator of
its own for each seed and either returns what it saw, one of `outcomes`, or raises: a PremodelError of one line counts
as "refused", anything else is a failure of that seed. A property that does not hold is an AssertionError.
"""

from __future__ import annotations

import faulthandler
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from premodel.errors import PremodelError

Case = Callable[[random.Random], str]
REFUSED = "refused"
SHOWN = 100


@dataclass(frozen=True)
class Fuzzer:
    """One kind of wrong input.

    Attributes
    ----------
    name:
        Of the row in the table, and for `scripts/faults --only`.
    how:
        What is damaged, and what is then done with it: the table's second column.
    lay:
        Opens the ground in an empty folder and gives the function that tries one case. Whatever a case writes belongs
        beneath the folder's `inside`.
    count, test_count:
        Cases of a full run, and of the tests.
    cpu_s, wall_s, peak_mb:
        What one case may take, and the whole process.
    outcomes:
        What a case may give.
    refused_share:
        The least share of refusals: below it the damage does not damage.
    requires:
        Modules of extras, without which the tests skip it.
    """

    name: str
    how: str
    lay: Callable[[Path], AbstractContextManager[Case]]
    count: int
    test_count: int = 100
    cpu_s: float = 2.0
    wall_s: float = 30.0
    peak_mb: int = 1500
    outcomes: tuple[str, ...] = ("answered", REFUSED)
    refused_share: float = 0.1
    requires: tuple[str, ...] = ()


@dataclass
class Feed:
    """What was seen: outcomes by name, failures one line each, the slowest case in seconds of CPU, the peak in MB."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**vars(self), "outcomes": dict(self.outcomes)}


class HangError(BaseException):
    """A case took longer than it may; no code under test catches it."""


def try_case(fuzzer: Fuzzer, case: Case, seed: int) -> str:
    """Feed one case; gives its outcome, or raises what must not be."""
    with _bounded(fuzzer.wall_s):
        try:
            outcome = case(random.Random(f"{fuzzer.name} {seed}"))
        except PremodelError as error:
            if "\n" in str(error) or not str(error).isprintable():
                raise AssertionError(f"not one clear line: {str(error)!r}") from error
            outcome = REFUSED
    if outcome not in fuzzer.outcomes:
        raise AssertionError(f"outcome {outcome!r}")
    return outcome


def feed(fuzzer: Fuzzer, seeds: range, folder: Path, *, cpu: bool = True) -> Feed:
    """Feed the cases of these seeds; `folder` is empty. `cpu` False leaves seconds uncounted, as in tests."""
    found = Feed()
    try:
        _feed(fuzzer, seeds, folder, found, cpu=cpu)
    finally:
        faulthandler.cancel_dump_traceback_later()
    found.peak_mb = peak_mb()
    if cpu and found.peak_mb > fuzzer.peak_mb:
        found.failures.append(f"{fuzzer.name}: a peak of {found.peak_mb} MB")
    return found


def _feed(fuzzer: Fuzzer, seeds: range, folder: Path, found: Feed, *, cpu: bool) -> None:
    """Feed the cases; a process that hangs in one is ended with a traceback."""
    with fuzzer.lay(folder) as case:
        before = written(folder)
        for seed in seeds:
            faulthandler.dump_traceback_later(4 * fuzzer.wall_s + 60, exit=True)
            start = time.process_time()
            try:
                found.outcomes[try_case(fuzzer, case, seed)] += 1
            except (Exception, HangError) as error:  # noqa: BLE001 - every failure is a row, and the next case runs
                found.failures.append(f"{fuzzer.name} {seed}: {_told(error)}")
            took = time.process_time() - start
            found.slowest_s = max(found.slowest_s, took)
            if cpu and took > fuzzer.cpu_s:
                found.failures.append(f"{fuzzer.name} {seed}: {took:.1f} s of CPU")
            if len(found.failures) >= SHOWN:
                found.failures.append(f"{fuzzer.name}: broken off after seed {seed}")
                break
        found.failures += [f"{fuzzer.name}: wrote {path}" for path in sorted(written(folder) - before)]


def written(folder: Path) -> set[str]:
    """Every path beneath a folder but those beneath its `inside`."""
    return {str(path) for path in folder.rglob("*") if folder / "inside" not in (path, *path.parents)}


def peak_mb() -> int:
    """The largest memory that this process has had; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next((line.split()[1] for line in lines if line.startswith("VmHWM")), "0")) // 1000


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    def on_alarm(*_: object) -> None:
        raise HangError(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = next((one for one in reversed(frames) if "premodel" in Path(one.filename).parts), frames[-1])
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text} ({Path(where.filename).name}:{where.lineno} {where.name})"
