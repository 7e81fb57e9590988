"""The energy pass on recorded answers and a fake board, from the store to what the user sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from boards import FakeTime, write_rail
from premodel.cli.main import main
from premodel.errors import OptionError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes import energy as energy_pass
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.records import UNFINISHED
from premodel.runtime.conditions import device_name
from premodel.store.measurements import EnergyConditions, StoredEnergy, read_energy
from premodel.store.schema import RUNS, TIMINGS
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

IDLE_W = 2.0
LOADS = {"m0": (3.0, 0.05), "m1": (6.0, 0.1)}
"""Watts on top of idleness, and seconds of one prediction."""
TRUE_MJ = {name: 1e3 * watts * seconds for name, (watts, seconds) in LOADS.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.zeros((10, 2), bool)
    correct[:7, 0] = correct[2:, 1] = True
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=correct, latency_ms=1.0)


class Board:
    """A Jetson whose every candidate takes known watts; it stands in for this machine."""

    def __init__(self, sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = sysfs / "class/hwmon/hwmon0"
        self.extra_w = 0.0
        self.predictions = 0
        self.vanish_after: int | None = None
        self.interrupt_after: int | None = None
        self._write = write_rail(sysfs, "VDD_IN", update_ms=20)
        self.time = FakeTime()
        self.time.show = self._show
        monkeypatch.setattr(energy_pass, "SYSFS", sysfs)
        monkeypatch.setattr(energy_pass, "RealTime", lambda: self.time)
        monkeypatch.setattr(energy_pass, "_predict", self._predict)

    def _predict(self, opened: Any, image: Any) -> None:
        self.predictions += 1
        if self.predictions == self.interrupt_after:
            raise KeyboardInterrupt
        if self.predictions == self.vanish_after:
            (self.folder / "curr1_input").unlink()
        self.extra_w, seconds = LOADS[opened.name]
        self.time.advance(seconds)

    def _show(self, _: float) -> None:
        if (self.folder / "curr1_input").exists():
            self._write(IDLE_W + (0.0 if self.time.sleeping else self.extra_w))


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(tmp_path / "sys", monkeypatch)


def run(small: SmallZoo, store: Path, *passes: str, **options: Any) -> ProfileReport:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    wanted = passes or ("predictions", "timings", "features", "energy")
    return profile(zoo, dataset, store, ProfileOptions(wanted, max_timing_seconds=0.3, **options))


def stored(path: Path) -> StoredEnergy:
    with Store(path) as store:
        return read_energy(store, device_name())


def energies(path: Path) -> dict[str, float | None]:
    with Store(path) as store:
        return {one.name: one.energy_mj for one in summarise_store(store).candidates}


def test_every_candidate_gets_its_millijoules(small: SmallZoo, tmp_path: Path, board: Board) -> None:
    report = run(small, tmp_path / "s.db")
    assert report.energy is not None
    assert (report.energy.meter, sorted(report.energy.measured)) == ("hwmon:ina3221", ["m0", "m1"])
    assert (report.energy.invalid, report.energy.reason) == ([], "")
    tables = load_tables(tmp_path / "s.db")
    for name, energy_mj in zip(tables.candidates, tables.energy_mj, strict=True):
        assert energy_mj == pytest.approx(TRUE_MJ[name], rel=0.01)
    said = tables.conditions["energy"]
    assert (said["meter"], said["scope"], said["window_s"]) == ("hwmon:ina3221", "VDD_IN", 2.0)
    assert said["method"] == "power sampled every 20 ms"
    assert said["idle_w"] == pytest.approx(IDLE_W, rel=0.01)
    with Store(tmp_path / "s.db") as store:
        summary = summarise_store(store)
    for one in summary.candidates:
        assert one.energy_ci_mj is not None
        assert one.energy_ci_mj[0] <= TRUE_MJ[one.name] * 1.01
        assert one.energy_ci_mj[1] >= TRUE_MJ[one.name] * 0.99
        assert (one.energy_valid, one.energy_reason) == (True, "")
    json.dumps(summary.to_json())
    assert board.time.tasks == 0


def test_what_is_measured_is_kept(small: SmallZoo, tmp_path: Path, board: Board) -> None:
    store = tmp_path / "s.db"
    run(small, store, "timings", "energy")
    before, predictions = energies(store), board.predictions
    again = run(small, store, "energy")
    assert again.energy is not None
    assert (again.energy.kept, again.energy.measured, again.energy.meter) == (2, [], "hwmon:ina3221")
    assert board.predictions == predictions
    run(small, store, "timings", retime="all")  # another timing leaves the energy alone
    assert energies(store) == before
    assert run(small, store, "energy", retime="invalid").energy.kept == 2  # type: ignore[union-attr]
    assert sorted(run(small, store, "energy", retime="all").energy.measured) == ["m0", "m1"]  # type: ignore[union-attr]
    other = run(small, store, "energy", energy="hwmon:ina3221/VDD_IN")  # another meter than the one before
    assert other.energy is not None
    assert other.energy.meter == "hwmon:ina3221/VDD_IN"
    assert sorted(other.energy.measured) == ["m0", "m1"]


def test_without_timings_there_is_no_place_for_it(small: SmallZoo, tmp_path: Path, board: Board) -> None:
    report = run(small, tmp_path / "s.db", "energy")
    assert report.energy is not None
    assert report.energy.reason == "candidates without timings on this device: run the timing pass first"
    assert board.predictions == 0


def test_no_meter_means_not_measured(small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy_pass, "SYSFS", tmp_path / "nothing")
    store = tmp_path / "s.db"
    report = run(small, store, "predictions", "timings", "features", "energy")
    assert report.energy is not None
    assert report.energy.meter is None
    assert "no RAPL in /sys/class/powercap" in report.energy.reason
    assert np.isnan(load_tables(store).energy_mj).all()
    assert stored(store).conditions == EnergyConditions(reason=report.energy.reason)
    with Store(store) as opened, opened.reading() as connection:
        assert connection.scalars(select(TIMINGS.c.energy_mj)).all() == [None] * 4
    assert energies(store) == {"m0": None, "m1": None}
    with pytest.raises(OptionError, match=r"the energy meter does not work; given: rapl: no RAPL"):
        run(small, store, "energy", energy="rapl")
    with Store(store) as opened:
        assert summarise_store(opened).unfinished_runs == 0
    assert run(small, store, "energy", energy="off").energy.reason == "switched off"  # type: ignore[union-attr]


def test_a_rail_that_disappears_leaves_nothing_half_done(small: SmallZoo, tmp_path: Path, board: Board) -> None:
    board.vanish_after = 300
    store = tmp_path / "s.db"
    report = run(small, store, "timings", "energy")
    assert report.energy is not None
    assert report.energy.measured == []
    assert sorted(report.energy.invalid) == ["m0", "m1"]
    assert "the meter failed:" in report.energy.reason
    assert "curr1_input is not there" in report.energy.reason
    assert energies(store) == {"m0": None, "m1": None}
    records = stored(store).records.values()
    assert {record.reason for record in records} == {UNFINISHED}
    assert all(record.windows > 0 for record in records)


def test_a_run_that_is_killed_keeps_what_was_measured_and_is_resumed(
    small: SmallZoo, tmp_path: Path, board: Board
) -> None:
    store = tmp_path / "s.db"
    run(small, store, "timings", "energy")
    before = energies(store)
    board.interrupt_after = board.predictions + 300
    with pytest.raises(KeyboardInterrupt):
        run(small, store, "energy", retime="all")
    assert energies(store) == before
    assert all(record.valid for record in stored(store).records.values())  # of the first run
    with Store(store) as opened:
        text = opened.write(lambda connection: connection.scalar(select(RUNS.c.conditions).where(RUNS.c.run == 2)))
        records = json.loads(text)["energy"]["records"].values()
        assert {record["reason"] for record in records} == {UNFINISHED}
        opened.write(lambda connection: connection.execute(update(RUNS).where(RUNS.c.run == 1).values(conditions="{}")))
    resumed = run(small, store, "energy")
    assert resumed.energy is not None
    assert sorted(resumed.energy.measured) == ["m0", "m1"]


def test_the_commands_say_it(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "s.db")
    command = ["profile", str(small.zoo), str(small.data), "--labels", str(small.labels), "--store", store]
    command += ["--max-timing-seconds", "0.3"]
    monkeypatch.setattr(energy_pass, "SYSFS", tmp_path / "nothing")
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "energy" not in shown.err, "once is enough"
    assert shown.out.count("energy: not measured (rapl: no RAPL") == 1
    lines = {line.split()[0]: line for line in shown.out.splitlines()}
    assert lines["candidate"].endswith("mJ")
    assert lines["m0"].endswith("not measured")
    assert main([*command, "--energy", "rapl"]) == 2
    assert "the energy meter does not work; given: rapl: no RAPL" in capsys.readouterr().err
    assert main([*command, "--energy", "watt"]) == 2
    assert "unknown energy meter; given: watt; allowed: auto, off, hwmon:CHIP" in capsys.readouterr().err
    Board(tmp_path / "sys", monkeypatch)
    assert main([*command, "--only", "energy"]) == 0
    shown = capsys.readouterr()
    assert "energy: hwmon:ina3221 (VDD_IN), power sampled every 20 ms, windows of 2 s, idle 2 W subtracted" in shown.out
    assert main(["store", "info", store]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    for name, energy_mj in TRUE_MJ.items():
        assert float(lines[name][-2]) == pytest.approx(energy_mj, rel=0.01)
        assert lines[name][-1].startswith("+-")
