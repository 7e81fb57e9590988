"""A candidate that answers differently each time is named by every command; progress bars end with their work."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import small_zoo
from premodel.backends.replay import ReplayBackend
from premodel.cli.main import main
from premodel.evaluation.degenerate import degenerate_cases
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.runs import unrepeatable
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo


class Bars:
    """A progress that remembers how far each bar came before it ended."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, int]] = []
        self.notes: list[str] = []
        self._open: tuple[str, int] | None = None
        self._done = 0

    def begin(self, what: str, total: int, unit: str) -> None:
        del unit
        assert self._open is None, "one bar at a time"
        self._open, self._done = (what, total), 0

    def advance(self, count: int = 1) -> None:
        self._done += count

    def end(self) -> None:
        if self._open is not None:
            self.bars.append((*self._open, self._done))
            self._open = None

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def moody(monkeypatch: Any) -> None:
    """Every answer of model m1 is shifted by one label more than the answer before."""
    plain, counter = ReplayBackend.predict, itertools.count()

    def predict(self: ReplayBackend, tensor: Any) -> Any:
        output = plain(self, tensor)
        return np.roll(output, next(counter), axis=-1) if getattr(self, "moody", False) else output

    opened = ReplayBackend.open.__func__

    def open_one(cls: Any, file: Path, **more: Any) -> ReplayBackend:
        backend: ReplayBackend = opened(cls, file, **more)
        backend.moody = file.stem == "m1"  # type: ignore[attr-defined]
        return backend

    monkeypatch.setattr(ReplayBackend, "predict", predict)
    monkeypatch.setattr(ReplayBackend, "open", classmethod(open_one))


def profiled(small: SmallZoo, store: Path, progress: Bars) -> None:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, labels=small.labels, label_names=zoo.labels)
    profile(zoo, dataset, store, ProfileOptions(max_timing_seconds=1.0, energy="off"), progress)


def test_what_does_not_repeat_itself_is_named_with_its_share(moody: None, tmp_path: Path, capsys: Any) -> None:
    small, progress = small_zoo(tmp_path / "zoo", n=60, m=2, n_labels=7), Bars()
    store = tmp_path / "p.db"
    profiled(small, store, progress)
    (note,) = [note for note in progress.notes if "does not repeat itself" in note]
    assert note.startswith("m1 does not repeat itself: ")
    assert " of 5 samples (" in note
    tables = load_tables(store)
    assert list(tables.conditions["unrepeatable"]) == ["m1"]
    assert note in degenerate_cases(tables, "top1")
    assert main(["doctor", str(store)]) == 0
    assert f"warning: {note}" in capsys.readouterr().out
    assert main(["zoo", "check", str(small.zoo), str(small.data), "--labels", str(small.labels)]) == 0
    assert "m1 does not repeat itself: " in capsys.readouterr().out


def test_what_repeats_itself_is_not_named_and_every_bar_ends_with_its_work(tmp_path: Path) -> None:
    small, progress = small_zoo(tmp_path / "zoo", n=60, m=2), Bars()
    profiled(small, tmp_path / "p.db", progress)
    assert not any("repeat" in note for note in progress.notes)
    with Store(tmp_path / "p.db") as store:
        assert unrepeatable(store) == {}
    assert [what for what, _, _ in progress.bars].count("timing until steady, at most 1 s") == 1
    assert [done for _, _, done in progress.bars] == [total for _, total, _ in progress.bars]
    engine_ms = load_tables(tmp_path / "p.db").conditions["engine_ms"]
    assert 0 < engine_ms < 50
