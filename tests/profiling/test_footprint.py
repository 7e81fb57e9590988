"""What opening weighs: of a callable the first opening; of files not in the page cache only what storage gave."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from premodel.profiling import footprint
from premodel.profiling.footprint import measure_cold_load_ms, measure_footprint
from premodel.zoo.candidate import Candidate
from premodel.zoo.manifest import read_zoo
from zoos import write_zoo


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    return read_zoo(write_zoo(tmp_path_factory.mktemp("zoo"), correct=np.ones((4, 1), bool)).zoo).candidates[0]


def storage(monkeypatch: pytest.MonkeyPatch, read: float) -> None:
    """A system that states that each opening read so many bytes from storage."""
    counted = iter([1000.0, 1000.0 + read])

    class Counter:
        def read_text(self) -> str:
            return f"rchar: 5\nread_bytes: {next(counted):.0f}\n"

    monkeypatch.setattr(footprint, "_IO", Counter())


def test_an_opening_that_read_the_files_from_storage_counts(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage(monkeypatch, candidate.model.file.stat().st_size)
    assert measure_cold_load_ms(candidate) > 0


def test_an_opening_from_the_page_cache_is_not_called_cold(
    candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage(monkeypatch, 0.0)
    assert math.isnan(measure_cold_load_ms(candidate))


def test_where_the_system_shows_nothing_nothing_is_measured(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_IO", tmp_path / "none")
    assert math.isnan(measure_cold_load_ms(candidate))
    monkeypatch.undo()
    monkeypatch.delattr(footprint.os, "posix_fadvise", raising=False)
    assert math.isnan(measure_cold_load_ms(candidate))


KEEPS = """
import time
TABLES = []

class Model:
    def __init__(self):
        if not TABLES:
            time.sleep(0.25)
            TABLES.append(bytearray(b"1" * 60_000_000))

    def __call__(self, text):
        return "a", 0.9
"""
ZOO = """
name = "keeps"
task = "text-classification"
labels = ["a", "b"]

[[models]]
name = "keeps"
runtime = "python"
callable = "keeps_tables.py:Model"
"""


def test_what_a_callable_keeps_for_the_whole_process_counts_as_its_memory_and_load_time(tmp_path: Path) -> None:
    """A second opening finds the tables there, and would take and weigh nothing."""
    (tmp_path / "keeps_tables.py").write_text(KEEPS)
    (tmp_path / "zoo.toml").write_text(ZOO)
    (one,) = read_zoo(tmp_path / "zoo.toml", trust_python=True).candidates
    found = measure_footprint(one, b"a text")
    assert found.load_ms >= 250
    assert found.memory_mb >= 55
