"""The race of a profile: who is not needed leaves, is named in the store, and stays out; `full` brings it back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from premodel.backends.replay import ReplayBackend
from premodel.cli.main import main
from premodel.errors import OptionError, StoreError
from premodel.evaluation.degenerate import degenerate_cases
from premodel.profiling import race
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes import predictions
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.profiling.soak import SoakOptions
from premodel.store.runs import all_conditions
from premodel.store.schema import RUNS
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.training.load import load_candidates, load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

SAMPLES = 120
NAMES = ("quick", "good", "slow", "other")
TAKES_MS = (0.5, 1.5, 5.0, 3.0)


def answers() -> np.ndarray[Any, Any]:
    """`slow` is right where `good` is, less often; `other` is right where nobody else is."""
    rng = np.random.default_rng(2)
    good = rng.random(SAMPLES) < 0.7
    return np.stack([rng.random(SAMPLES) < 0.5, good, good & (rng.random(SAMPLES) < 0.6), ~good], axis=1)


@pytest.fixture(autouse=True)
def small_race(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"RACE_CANDIDATES": 4, "RACE_SAMPLES": 60, "FIRST_LOOK": 40, "MARGIN": 0.1, "TIMED_SAMPLES": 40}
    for name, value in settings.items():
        monkeypatch.setattr(race, name, value)
    for name in ("MIN_REPEATS", "MAX_REPEATS"):
        monkeypatch.setattr(predictions, name, 0)


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    return write_zoo(tmp_path / "zoo", correct=answers(), latency_ms=TAKES_MS, models=NAMES)


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.done = self.total = 0

    def begin(self, what: str, total: int, unit: str) -> None:
        self.done, self.total = (0, total) if what == "predicting" else (self.done, self.total)
        self._what = what

    def advance(self, count: int = 1) -> None:
        self.done += count if self._what == "predicting" else 0

    def end(self) -> None:
        pass

    def note(self, message: str) -> None:
        self.notes.append(message)


def run(small: SmallZoo, store: Path, notes: Notes | None = None, **options: Any) -> ProfileReport:
    zoo = read_zoo(small.zoo, require_files=True)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    options.setdefault("passes", ("predictions",))
    return profile(zoo, dataset, store, ProfileOptions(max_timing_seconds=0.2, **options), notes)


def counts(store: Path) -> dict[str, int]:
    with Store(store) as opened:
        return {one.name: one.predictions for one in summarise_store(opened).candidates}


def test_one_that_another_stands_in_for_leaves_and_is_named(small: SmallZoo, tmp_path: Path) -> None:
    store, notes = tmp_path / "s.db", Notes()
    run(small, store, notes)
    found = counts(store)
    assert 40 <= found.pop("slow") < SAMPLES
    assert set(found.values()) == {SAMPLES}
    assert notes.done == notes.total
    assert any(note.startswith("slow: left out after ") and "good" in note for note in notes.notes)
    with Store(store) as opened:
        summary = {one.name: one.left_out for one in summarise_store(opened).candidates}
    assert "left out after" in summary["slow"]
    assert [name for name, why in summary.items() if why] == ["slow"]


def test_the_rest_is_a_complete_profile_that_states_who_is_missing(
    small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s.db"
    run(small, store)
    tables = load_tables(store, passes=())
    assert tables.candidates == ("quick", "good", "other")
    assert len(tables.samples) == SAMPLES
    assert any("1 candidate is left out" in text and "slow after" in text for text in degenerate_cases(tables, "top1"))
    assert [one.name for one in load_candidates(store)] == ["quick", "good", "other"]
    with pytest.raises(OptionError, match="candidate slow was left out after"):
        load_tables(store, candidates=("slow",))
    assert main(["store", "info", str(store)]) == 0
    assert "slow: left out after" in capsys.readouterr().out


def test_who_was_left_out_stays_out_and_full_brings_it_back(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    run(small, store)
    before = counts(store)
    again = run(small, store)
    assert again.predictions is not None
    assert again.predictions.predictions == 0
    assert counts(store) == before
    run(small, store, full=True)
    assert set(counts(store).values()) == {SAMPLES}
    assert load_tables(store, passes=()).candidates == NAMES


def test_a_soak_is_of_those_that_were_not_left_out(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soaked: list[str] = []
    keep = "premodel.profiling.profile.soak_all"
    monkeypatch.setattr(keep, lambda _, candidates, *__: soaked.extend(one.name for one in candidates))
    run(small, tmp_path / "s.db", soak=SoakOptions(10))
    assert soaked == ["quick", "good", "other"]


def test_one_whose_stand_in_is_gone_is_profiled_after_all(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    run(small, store)
    manifest = small.zoo.read_text(encoding="utf-8")
    parts = manifest.split("[[models]]")
    small.zoo.write_text("[[models]]".join(part for part in parts if 'name = "good"' not in part), encoding="utf-8")
    run(small, store)
    assert counts(store)["slow"] == SAMPLES


def test_another_device_decides_anew(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    run(small, store)
    run(small, store, device="board", passes=("features",))
    assert counts(store)["slow"] < SAMPLES
    run(small, store, device="board")
    assert counts(store)["slow"] == SAMPLES


def test_a_run_that_was_broken_off_goes_on(small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, calls, real = tmp_path / "s.db", itertools.count(), ReplayBackend.predict

    def breaks(self: ReplayBackend, tensor: Any) -> Any:
        if next(calls) == 300:
            raise KeyboardInterrupt
        return real(self, tensor)

    monkeypatch.setattr(ReplayBackend, "predict", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(small, store)
    kept = counts(store)
    assert 0 < sum(kept.values()) < 4 * SAMPLES
    run(small, store)
    found = counts(store)
    assert all(found[name] >= kept[name] for name in NAMES)
    assert {found[name] for name in ("quick", "good", "other")} == {SAMPLES}
    assert load_tables(store, passes=()).candidates[:2] == ("quick", "good")


def test_one_that_complements_or_is_quicker_stays(small: SmallZoo, tmp_path: Path) -> None:
    """`quick` is less accurate, but nobody is as quick; `other` is, too, but right where the others are not."""
    store = tmp_path / "s.db"
    run(small, store)
    assert {"quick", "other"} <= set(load_tables(store, passes=()).candidates)


@pytest.mark.parametrize(("name", "value"), [("RACE_CANDIDATES", 5), ("RACE_SAMPLES", SAMPLES + 1)])
def test_few_candidates_or_samples_do_not_race(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(race, name, value)
    run(small, tmp_path / "s.db")
    assert set(counts(tmp_path / "s.db").values()) == {SAMPLES}


@pytest.mark.parametrize(
    "wrong",
    [[], {"k": 1}, {"k": {"name": "a"}}, {"k": {"name": "a", "samples": 0, "device": "d", "margin": 3, "rivals": {}}}],
)
def test_a_damaged_record_is_refused(small: SmallZoo, tmp_path: Path, wrong: object) -> None:
    store = tmp_path / "s.db"
    run(small, store, limit=4)
    with Store(store) as opened:
        conditions = all_conditions(opened)[0] | {"left_out": wrong}
        opened.write(lambda connection: connection.execute(update(RUNS).values(conditions=json.dumps(conditions))))
    with pytest.raises(StoreError, match="left_out"):
        load_tables(store, passes=())
