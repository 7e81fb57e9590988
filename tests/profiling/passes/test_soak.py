"""The soak pass: from candidates to a stored curve, and back as the latencies that training uses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from premodel.cli.main import main
from premodel.errors import OptionError, StoreError
from premodel.evaluation.diagnosis import soak_lines
from premodel.profiling.board_state import BoardState
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.passes import interleaved
from premodel.profiling.passes import soak as soak_pass
from premodel.profiling.passes.soak import SoakPlan, soak_all
from premodel.profiling.profile import ProfileOptions, profile
from premodel.profiling.progress import Silent
from premodel.profiling.samples import take_inventory
from premodel.profiling.soak import SoakOptions
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.conditions import device_name
from premodel.store.runs import read_conditions
from premodel.store.schema import RUNS
from premodel.store.soaks import IDLE, INTERRUPTED, SUSTAINED, read_soaks
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import Zoo, read_zoo
from zoos import SmallZoo, write_zoo


class FakeTime:
    """A clock that only the candidates move: each takes what a function of the elapsed seconds states."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, took_ms: Callable[[str, float], float]) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(interleaved, "now_ms", lambda: 1e3 * self.seconds)
        real = OpenedCandidate.run

        def run(opened: OpenedCandidate, tensor: Any) -> Any:
            self.seconds += took_ms(opened.name, self.seconds) / 1e3
            return real(opened, tensor)

        monkeypatch.setattr(OpenedCandidate, "run", run)

    def now_s(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def every(self, _: float, __: Callable[[], bool]) -> Callable[[], None]:
        raise AssertionError("nothing is sampled")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=np.random.default_rng(5).random((24, 2)) < 0.6)


@pytest.fixture(scope="module")
def template(small: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Zoo, Any, Path]:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels).with_detail(zoo.detail)
    store = tmp_path_factory.mktemp("store") / "s.db"
    profile(zoo, dataset, store, ProfileOptions(("predictions", "timings", "features"), max_timing_seconds=0.1))
    return zoo, dataset, store


@pytest.fixture
def profiled(template: tuple[Zoo, Any, Path], tmp_path: Path) -> tuple[Zoo, Any, Path]:
    """A store of the test's own."""
    zoo, dataset, store = template
    return zoo, dataset, Path(shutil.copy(store, tmp_path / "s.db"))


def run_soak(profiled: tuple[Zoo, Any, Path], time: FakeTime, options: SoakOptions, store: Store | None = None) -> None:
    zoo, dataset, where = profiled
    rows = dataset.draw(None, 0)
    entries = take_inventory(dataset, rows, Silent()).entries
    with store or Store(where) as opened:
        plan = SoakPlan(options, 1, 1, time=time, board=BoardState(Path("/nowhere"), Path("/nowhere")))
        soak_all(opened, zoo.candidates, dataset, entries, plan, Silent())


def slow_with_heat(name: str, seconds: float) -> float:
    """m0 is quick and gets slow; m1 stays."""
    return 1000.0 if name == "m1" else 600.0 if seconds < 100 else 1800.0


def test_training_uses_the_latencies_asked_for(
    profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = profiled[2]
    before = load_tables(where)
    assert "soak" not in before.conditions
    with pytest.raises(StoreError, match=r"the store holds no sustained latencies.*--soak 30m"):
        load_tables(where, timings="sustained")
    run_soak(profiled, FakeTime(monkeypatch, slow_with_heat), SoakOptions(300))
    sustained = load_tables(where, timings="sustained")
    assert sustained.latency_ms == pytest.approx([1800.0, 1000.0])
    assert [one.valid for one in sustained.timings] == [True, True]
    assert sustained.conditions["timings"] == "sustained"
    assert sustained.memory_mb.tolist() == before.memory_mb.tolist()
    burst = load_tables(where)
    assert burst.latency_ms.tolist() == before.latency_ms.tolist()
    stated = burst.conditions["soak"]
    assert isinstance(stated, dict)
    assert "NOT that of the last: m0 was faster than m1 and is now slower" in stated["sustained"]["lines"][1]
    with pytest.raises(StoreError, match=r"the store holds no idle latencies.*--every 1s"):
        load_tables(where, timings="idle")
    assert soak_lines(burst.conditions) == stated["sustained"]["lines"]
    out = where.with_suffix(".premodel")
    arguments = ["train", str(where), "--policy", "single", "--timings", "sustained", "--out", str(out)]
    assert main(arguments) == 0
    assert "latencies: sustained, of the profile's soak" in capsys.readouterr().out


def test_pauses_give_idle_latencies_beside_the_sustained_ones(
    profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    time = FakeTime(monkeypatch, lambda name, _: 20.0 if name == "m0" else 30.0)
    run_soak(profiled, time, SoakOptions(300, every_s=1))
    assert load_tables(profiled[2], timings="idle").latency_ms == pytest.approx([20.0, 30.0])
    with Store(profiled[2]) as store:
        assert set(read_soaks(store, device_name())) == {IDLE}


def test_ctrl_c_keeps_the_curve(profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def took_ms(_: str, seconds: float) -> float:
        if seconds > 200:
            raise KeyboardInterrupt
        return 1000.0

    run_soak(profiled, FakeTime(monkeypatch, took_ms), SoakOptions(300))
    with Store(profiled[2]) as store:
        curve = read_soaks(store, device_name())[SUSTAINED]
    assert curve.ended == INTERRUPTED
    assert curve.at_s[-1] == pytest.approx(190, abs=5)
    assert load_tables(profiled[2], timings="sustained").latency_ms == pytest.approx([1000.0, 1000.0])


def test_a_full_disk_for_a_while_ends_no_soak(profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = soak_pass.write_soak, []

    def failing(*arguments: Any) -> None:
        calls.append(arguments)
        if 3 <= len(calls) <= 8:
            raise StoreError("database or disk is full")
        real(*arguments)

    monkeypatch.setattr(soak_pass, "write_soak", failing)
    run_soak(profiled, FakeTime(monkeypatch, lambda *_: 1000.0), SoakOptions(300))
    with Store(profiled[2]) as store:
        curve = read_soaks(store, device_name())[SUSTAINED]
    assert not curve.ended
    assert curve.at_s[-1] == pytest.approx(300, abs=3)


def test_a_disk_that_stays_full_is_an_error_at_the_end(
    profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(soak_pass, "write_soak", full)
    time = FakeTime(monkeypatch, lambda *_: 1000.0)
    with pytest.raises(StoreError, match="disk is full"):
        run_soak(profiled, time, SoakOptions(300))
    assert time.seconds >= 300


def test_a_damaged_curve_is_refused_by_name(profiled: tuple[Zoo, Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run_soak(profiled, FakeTime(monkeypatch, lambda *_: 1000.0), SoakOptions(300))
    with Store(profiled[2]) as store, store.reading() as connection:
        text = connection.execute(RUNS.select()).one().conditions
    good = read_conditions(text, 1)
    wrong: list[tuple[str, Any]] = [
        ("at_s", good["soak"]["at_s"][::-1]),
        ("count", [[-1] * len(good["soak"]["keys"])] * len(good["soak"]["at_s"])),
        ("mean_ms", [[1.0]]),
        ("mhz", ["fast"] * len(good["soak"]["at_s"])),
        ("timing", {"someone": None}),
        ("names", "m0"),
        ("planned_s", -1),
    ]
    for name, value in wrong:
        bad = {**good, "soak": {**good["soak"], name: value}}
        with Store(profiled[2]) as store:
            store.write(lambda connection, bad=bad: connection.execute(update(RUNS).values(conditions=json.dumps(bad))))
            with pytest.raises(StoreError, match="the store holds a damaged row"):
                read_soaks(store, device_name())


def test_a_soak_of_models_that_run_elsewhere_is_refused(profiled: tuple[Zoo, Any, Path]) -> None:
    class Elsewhere:
        name = "far"
        home = None

    with pytest.raises(OptionError, match="a soak must run on the machine of the models"):
        soak_pass.refuse_remote([Elsewhere()])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--soak", "30"], "duration must be a number with its unit"),
        (["--soak", "5s"], "soak must be 10 seconds to 30 days"),
        (["--every", "1s"], "--every must go with --soak"),
    ],
)
def test_durations_are_checked_before_any_work(
    small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    store = tmp_path / "none.db"
    assert main(["profile", str(small.zoo), str(small.data), "--store", str(store), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not store.exists()
