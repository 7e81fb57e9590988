"""Windows of load against windows of idleness, on a board whose every watt is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from boards import FakeTime, opened, write_rail
from premodel.errors import RunError
from premodel.profiling.meters.base import MeterError
from premodel.profiling.meters.rails import find_rails, rails_meter
from premodel.profiling.meters.sampled import SampledMeter
from premodel.profiling.meters.windows import MIN_ROUNDS, Idle, Load, measure_windows, summarise_energy

IDLE_W = 3.0


class Board:
    """Idles at 3 W; a load adds its watts while it runs. Slow drift and noise can be added."""

    def __init__(self, sysfs: Path) -> None:
        self.extra_w = 0.0
        self.drift_w_per_s = 0.0
        self.noise: Callable[[], float] = lambda: 0.0
        self.write = write_rail(sysfs, "VDD_IN", update_ms=10)
        self.time = FakeTime(lambda _: None)
        self.time.show = self._show
        self.meter: SampledMeter = rails_meter("hwmon:ina3221", find_rails(sysfs)["ina3221"], self.time)

    def load(self, name: str, watts: float, seconds: float) -> Load:
        def work() -> None:
            self.extra_w = watts
            self.time.advance(seconds)

        return Load(name, work)

    def _show(self, t: float) -> None:
        extra = 0.0 if self.time.sleeping else self.extra_w
        self.write(IDLE_W + self.drift_w_per_s * t + extra + self.noise())


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def ignore(_: Iterable[Load], __: bool) -> None:
    pass


def test_energy_of_one_prediction_without_idle(board: Board) -> None:
    small, large = board.load("small", 4.0, 0.05), board.load("large", 9.0, 0.2)
    idle = Idle()
    with opened(board.meter):
        measure_windows(board.meter, [small, large], idle, board.time, 60.0, 0, ignore)
    # 4 W for 50 ms, 9 W for 200 ms.
    for load, millijoules, runs in ((small, 200.0, 40), (large, 1800.0, 10)):
        record = summarise_energy(load, "m")
        assert record.valid
        assert record.energy_mj == pytest.approx(millijoules, rel=0.01)
        assert record.ci_low_mj is not None
        assert record.ci_high_mj is not None
        assert record.ci_low_mj <= record.energy_mj <= record.ci_high_mj
        assert record.windows == MIN_ROUNDS
        assert record.runs == pytest.approx(MIN_ROUNDS * runs, abs=MIN_ROUNDS)
    assert idle.mean_w == pytest.approx(IDLE_W, rel=0.01)


def test_drift_of_the_idle_power_does_not_go_into_the_energy(board: Board) -> None:
    board.drift_w_per_s = 0.05
    load = board.load("m", 4.0, 0.1)
    with opened(board.meter):
        measure_windows(board.meter, [load], Idle(), board.time, 60.0, 0, ignore)
    # Between the middles of the two windows lie 2.5 s, in which the board warms by 0.125 W; in all it warms far more.
    assert summarise_energy(load, "m").energy_mj == pytest.approx(412.5, rel=0.01)
    assert board.time.seconds * board.drift_w_per_s > 1.0


def test_what_cannot_be_told_from_idleness_is_not_measured(board: Board) -> None:
    rng = np.random.default_rng(0)
    drawn = [0.0]

    def noise() -> float:
        if rng.random() < 0.01:
            drawn[0] = float(rng.normal(0.0, 1.0))
        return drawn[0]

    board.noise = noise
    load = board.load("m", 0.0, 0.1)
    done: list[str] = []
    with opened(board.meter):
        measure_windows(
            board.meter, [load], Idle(), board.time, 40.0, 0, lambda loads, over: done.extend(one.name for one in loads)
        )
    record = summarise_energy(load, "m")
    assert record.energy_mj is None
    assert not record.valid
    assert "not distinguished from idleness" in record.reason
    assert record.windows > MIN_ROUNDS


def test_the_interval_is_students() -> None:
    load = Load("m", lambda: None, [10.0, 10.1, 9.9, 10.2, 9.8], 50)
    record = summarise_energy(load, "m")
    # Deviation sqrt(0.025), t of 4 degrees of freedom 2.7764 (from the tables).
    assert record.ci_high_mj == pytest.approx(10.0 + 2.7764 * 0.025**0.5 / 5**0.5, abs=1e-4)
    assert record.valid
    wide = summarise_energy(Load("m", lambda: None, [10.0, 12.0, 8.0, 11.0, 9.0], 50), "m")
    assert wide.energy_mj == pytest.approx(10.0)
    assert not wide.valid
    assert wide.reason == "interval +-19.6 %, 5 % allowed"


def test_few_windows_are_not_enough() -> None:
    one = summarise_energy(Load("m", lambda: None, [10.0], 5), "m")
    assert (one.energy_mj, one.valid, one.ci_low_mj) == (None, False, None)
    two = summarise_energy(Load("m", lambda: None, [10.0, 10.0], 5), "m")
    assert (two.energy_mj, two.reason) == (10.0, "2 windows, 5 needed")
    assert summarise_energy(Load("m", lambda: None), "m").reason == "no windows"


def test_a_candidate_that_fails_does_not_end_the_others(board: Board) -> None:
    def work() -> None:
        board.time.advance(0.1)
        raise RunError("the network is broken")

    bad, good = Load("bad", work), board.load("good", 4.0, 0.1)
    with opened(board.meter):
        measure_windows(board.meter, [bad, good], Idle(), board.time, 60.0, 0, ignore)
    assert summarise_energy(bad, "m").reason == "the network is broken"
    assert summarise_energy(bad, "m").energy_mj is None
    assert summarise_energy(good, "m").valid


def test_a_rail_that_disappears_ends_the_measuring(board: Board, tmp_path: Path) -> None:
    load = board.load("m", 4.0, 0.1)
    rounds: list[int] = []

    def vanish(loads: Iterable[Load], done: bool) -> None:
        rounds.append(1)
        if len(rounds) == 4:  # two rounds
            (tmp_path / "class/hwmon/hwmon0/in1_input").unlink()

    with opened(board.meter), pytest.raises(MeterError, match="in1_input is not there"):
        measure_windows(board.meter, [load], Idle(), board.time, 60.0, 0, vanish)
    assert len(load.values_mj) == 2
    assert board.time.tasks == 0
