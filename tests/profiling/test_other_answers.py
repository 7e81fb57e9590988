"""A machine that computes other answers than those in the store is named: the two would be taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundles import small_zoo
from premodel.backends.replay import ReplayBackend
from premodel.cli.main import main
from premodel.evaluation.degenerate import degenerate_cases
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes import timings
from premodel.profiling.passes.predictions import answers_differ
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.profiling.progress import Silent
from premodel.store.answers import Said
from premodel.store.runs import otherwise
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo


class Notes(Silent):
    """A progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def profiled(small: SmallZoo, store: Path, **options: Any) -> tuple[ProfileReport, list[str]]:
    zoo, progress = read_zoo(small.zoo), Notes()
    dataset = read_dataset(small.data, labels=small.labels, label_names=zoo.labels)
    given = ProfileOptions(max_timing_seconds=0.5, energy="off", **options)
    return profile(zoo, dataset, store, given, progress), progress.notes


@pytest.fixture
def other_processor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Until it is called, model m1 answers as it did; from then on every answer is shifted by one label."""
    plain, here = ReplayBackend.predict, {"other": False}

    def predict(self: ReplayBackend, tensor: Any) -> Any:
        output = plain(self, tensor)
        return np.roll(output, 1, axis=-1) if here["other"] and getattr(self, "saturates", False) else output

    opened = ReplayBackend.open.__func__

    def open_one(cls: Any, file: Path, **more: Any) -> ReplayBackend:
        backend: ReplayBackend = opened(cls, file, **more)
        backend.saturates = file.stem == "m1"  # type: ignore[attr-defined]
        return backend

    monkeypatch.setattr(ReplayBackend, "predict", predict)
    monkeypatch.setattr(ReplayBackend, "open", classmethod(open_one))
    return lambda: here.update(other=True)


def test_a_device_that_answers_otherwise_is_named_wherever_its_figures_are(
    other_processor: Any, tmp_path: Path, capsys: Any
) -> None:
    small, store = small_zoo(tmp_path / "zoo", n=60, m=2, n_labels=7), tmp_path / "p.db"
    profiled(small, store, device="server")
    other_processor()
    report, notes = profiled(small, store, device="board")
    assert report.predictions is not None
    assert report.predictions.predictions == 0
    expected = "m1 answers otherwise on board than in the store: 5 of 5 samples (100 %)"
    (note,) = [one for one in notes if "otherwise" in one]
    assert note.startswith(expected)
    assert degenerate_cases(load_tables(store, device="board"), "top1").count(note) == 1
    assert not any("otherwise" in one for one in degenerate_cases(load_tables(store, device="server"), "top1"))
    assert main(["doctor", str(store), "--device", "board"]) == 0
    assert f"warning: {note}" in capsys.readouterr().out


def test_a_device_that_answers_as_the_store_does_is_not_named(tmp_path: Path) -> None:
    small, store = small_zoo(tmp_path / "zoo", n=60, m=2, n_labels=7), tmp_path / "p.db"
    profiled(small, store, passes=("predictions", "features"))
    report, notes = profiled(small, store, passes=("timings",))
    assert sorted(report.compared.values()) == [(0, 5), (0, 5)]
    assert not any("otherwise" in one for one in notes)


def test_what_was_computed_in_the_same_run_is_not_compared_again(tmp_path: Path) -> None:
    small = small_zoo(tmp_path / "zoo", n=60, m=2, n_labels=7)
    report, _ = profiled(small, tmp_path / "p.db")
    assert report.timings is not None
    assert report.compared == {}


def test_it_is_known_too_if_the_timing_is_broken_off(
    other_processor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, store = small_zoo(tmp_path / "zoo", n=60, m=2, n_labels=7), tmp_path / "p.db"
    profiled(small, store, device="server")
    other_processor()

    def broken_off(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(timings, "time_interleaved", broken_off)
        with pytest.raises(KeyboardInterrupt):
            profiled(small, store, device="board")
    with Store(store) as opened:
        assert sorted(otherwise(opened, "board").values()) == [(5, 5)]
        assert otherwise(opened, "server") == {}


def said(*labels: int, sure: float = 0.9) -> Said:
    return Said(np.array(labels, "<i4").tobytes(), np.array([sure, 0.05], "<f4").tobytes())


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (said(3, 1), said(3, 2), False),
        (said(3, 1), said(1, 3), True),
        (said(3, 1, sure=0.9), said(3, 1, sure=0.895), False),
        (said(3, 1, sure=0.9), said(3, 1, sure=0.88), True),
        (said(3, 1), Said(), True),
        (Said(), Said(), False),
        (Said(None, said(0).probabilities, "ein Hund"), Said(None, said(0).probabilities, "ein Hund"), False),
        (Said(None, said(0).probabilities, "ein Hund"), Said(None, said(0).probabilities, "der Hund"), True),
    ],
)
def test_two_answers_differ_by_label_text_probability_or_failure(one: Said, other: Said, differ: bool) -> None:
    assert answers_differ(one, other) is differ
