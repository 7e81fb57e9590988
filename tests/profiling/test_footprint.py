"""Load times of files that are not in the page cache: measured only where storage was really read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from premodel.profiling import footprint
from premodel.profiling.footprint import measure_cold_load_ms
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
