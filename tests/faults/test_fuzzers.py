"""Every fuzzer of `scripts/faults`: some of its cases by seed, and the loop that watches them."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.fuzz import fuzz
from faults.fuzzers.base import REFUSED, Case, Fuzzer, feed
from faults.fuzzers.registry import all_fuzzers
from premodel.errors import InputError


@pytest.mark.parametrize("name", all_fuzzers())
def test_wrong_inputs_are_answered_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    fuzzer = all_fuzzers()[name]
    for module in fuzzer.requires:
        pytest.importorskip(module, reason="an extra is not installed")
    found = feed(fuzzer, range(fuzzer.test_count), tmp_path, cpu=False)
    assert found.failures == []
    assert sum(found.outcomes.values()) == fuzzer.test_count
    assert found.outcomes[REFUSED] >= fuzzer.refused_share * fuzzer.test_count, "the damage does not damage"


HANGS = """
import sys
from pathlib import Path
from faults.fuzzers.base import feed
from faults.test_fuzzers import watched
print(feed(watched("hangs"), range(1), Path(sys.argv[1])).failures[0])
"""


def watched(behave: str) -> Fuzzer:
    @contextlib.contextmanager
    def lay(folder: Path) -> Iterator[Case]:
        (folder / "inside").mkdir()

        def case(rng: random.Random) -> str:
            (folder / "inside" / "allowed").write_text("x")
            if behave == "hangs":
                for _ in range(600):  # an alarm may reach another thread, which ends no long sleep of this one
                    time.sleep(0.1)
            if behave == "two lines":
                error = InputError("x")
                error.args = ("one\ntwo",)
                raise error
            if behave == "writes outside":
                (folder / "escaped").write_text("x")
            if behave == "a bug":
                raise ZeroDivisionError("a bug")
            return "answered" if rng.random() < 2 else REFUSED

        yield case

    return Fuzzer("watched", "h", lay, 3, wall_s=0.2)


@pytest.mark.parametrize(
    ("behave", "reported"),
    [
        ("two lines", "watched 0: AssertionError: not one clear line"),
        ("writes outside", "watched: wrote "),
        ("a bug", "watched 0: ZeroDivisionError: a bug (test_fuzzers.py:"),
    ],
)
def test_what_must_not_be_is_a_failure(behave: str, reported: str, tmp_path: Path) -> None:
    assert feed(watched(behave), range(1), tmp_path).failures[0].startswith(reported)


def test_a_case_that_hangs_is_a_failure(tmp_path: Path) -> None:
    """In a process of its own, as `scripts/faults` feeds them: the alarm is the process's, and others may use it."""
    found = subprocess.run(
        [sys.executable, "-c", HANGS, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.startswith("watched 0: HangError: no end after 0.2 s")


def test_what_may_be_is_none(tmp_path: Path) -> None:
    found = feed(watched("well"), range(3), tmp_path)
    assert (found.failures, found.outcomes) == ([], {"answered": 3})


def test_a_row_tells_its_seeds_and_counts(tmp_path: Path) -> None:
    found = fuzz(all_fuzzers()["labels"], 4, tmp_path / "new", seed=40)
    assert found.fault == "hostile labels"
    assert found.how.endswith("seeds 40 to 43")
    assert (found.times, found.failures) == (4, [])
    assert "refused" in found.seen
