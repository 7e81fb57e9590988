"""What was tried, how often, and what was seen."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from premodel.errors import StoreError
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store
from zoos import SmallZoo


@dataclass
class Finding:
    """One row of the table.

    Attributes
    ----------
    fault, how:
        What went wrong, and how it was brought about.
    times:
        How often it was tried; 0 where it could not be, and `seen` states why.
    seen:
        What happened.
    failures:
        What must not have happened, one line each.
    """

    fault: str
    how: str
    times: int = 0
    seen: str = ""
    failures: list[str] = field(default_factory=list)

    def expect(self, right: bool, what: str) -> None:
        """Note a failure unless it is right."""
        if not right:
            self.failures.append(what)


def premodel(*words: object) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "premodel.cli.main", *map(str, words)]


def profile_words(small: SmallZoo, store: Path | str, *options: object) -> list[object]:
    """`premodel profile` of a small zoo."""
    return ["profile", small.zoo, small.data, "--labels", small.labels, "--store", store, *options]


def run(*words: object, limits: Callable[[], None] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        premodel(*words), capture_output=True, text=True, check=False, preexec_fn=limits, timeout=600, **more
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error as the user sees it; "" unless it is one clear line with an exit code of ours."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("premodel ")]
    clear = done.returncode in (1, 2) and len(lines) == 1 and "Traceback" not in done.stderr
    return lines[0] if clear else ""


def answers(store: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Every committed answer by its key; a key that is there twice is an error; empty where there is no store yet."""
    try:
        with Store(store) as opened, opened.reading() as connection:
            rows = [tuple(row) for row in connection.execute(select(PREDICTIONS))]
    except StoreError:
        return {}
    found = {(row[0], row[1]): row for row in rows}
    if len(found) != len(rows):
        raise AssertionError("a row is there twice")
    return found


def cap(kind: int, size: int) -> Callable[[], None]:
    """A limit for a child process."""
    return lambda: resource.setrlimit(kind, (size, size))


def without_powers(words: Sequence[str]) -> list[str] | None:
    """The command as one that permissions bind, which they do not bind root; None if that cannot be had here."""
    if os.geteuid() != 0:
        return list(words)
    tool = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    with contextlib.suppress(OSError):
        if subprocess.run([*tool, "true"], check=False, capture_output=True).returncode == 0:
            return [*tool, *words]
    return None
