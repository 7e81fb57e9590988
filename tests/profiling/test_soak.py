"""Load that lasts, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from premodel.errors import OptionError
from premodel.profiling.board_state import BoardState
from premodel.profiling.progress import Silent
from premodel.profiling.soak import Recorder, SoakOptions, Stages, soak
from premodel.store.soaks import IDLE, INTERRUPTED, SUSTAINED, Curve


class FakeTime:
    """Passes only when it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def every(self, _: float, __: Callable[[], bool]) -> Callable[[], None]:
        raise AssertionError("nothing is sampled")


def nothing(folder: Path) -> BoardState:
    return BoardState(folder, folder)


def run(
    folder: Path, options: SoakOptions, works: list[Callable[[float], float]], time: FakeTime | None = None
) -> tuple[Curve, list[Curve], FakeTime]:
    """A soak of subjects that take what a function of the elapsed seconds states, in ms."""
    clock = time or FakeTime()
    start = clock.seconds
    handed: list[Curve] = []
    place = 0

    def step() -> Iterable[tuple[int, Stages]]:
        nonlocal place
        turns = [place % len(works)] if options.every_s else range(len(works))
        place += 1
        for index in turns:
            ms = works[index](clock.seconds - start)
            clock.seconds += ms / 1e3
            yield index, {"run": ms}

    names = [f"c{index}" for index in range(len(works))]
    recorder = Recorder(names, [f"key{index}" for index in range(len(works))], options)
    curve = soak(step, recorder, options, clock, nothing(folder), Silent(), handed.append)
    return curve, handed, clock


def test_windows_follow_the_latency_over_time(tmp_path: Path) -> None:
    curve, handed, clock = run(tmp_path, SoakOptions(100), [lambda s: 10.0 if s < 50 else 30.0, lambda _: 10.0])
    assert clock.seconds == pytest.approx(1100, abs=0.1)
    assert curve.kind == SUSTAINED
    assert curve.window_s == pytest.approx(100 / 30)
    assert len(curve.at_s) == pytest.approx(30, abs=1)
    assert [one[0] for one in curve.mean_ms][:14] == [10.0] * 14
    assert [one[0] for one in curve.mean_ms][-14:] == [30.0] * 14
    assert {one[1] for one in curve.median_ms} == {10.0}
    # What is reported is the last third: all of it at 30 ms.
    assert curve.timing["key0"].mean_ms == pytest.approx(30.0)
    assert curve.timing["key0"].count == sum(one[0] for one in curve.count[-10:])
    assert curve.parts_ms["key1"] == {"run": pytest.approx(10.0)}
    # After every window what was measured so far was handed over.
    assert [len(one.at_s) for one in handed][:5] == [1, 2, 3, 4, 5]
    assert handed[-1] == curve


def test_pauses_make_single_requests(tmp_path: Path) -> None:
    curve, _, clock = run(tmp_path, SoakOptions(100, every_s=1), [lambda _: 10.0, lambda _: 20.0])
    assert curve.kind == IDLE
    assert curve.window_s == 10.0
    assert sum(map(sum, curve.count)) == pytest.approx(100, abs=1)
    assert max(clock.slept) <= 1.0
    assert sum(clock.slept) == pytest.approx(100 - 50 * 0.03, abs=1.5)
    # There is nothing to warm up to: all runs count.
    assert curve.timing["key0"].count == sum(one[0] for one in curve.count)


def test_requests_that_take_longer_than_the_pause_follow_at_once_and_are_not_caught_up(tmp_path: Path) -> None:
    curve, _, clock = run(tmp_path, SoakOptions(100, every_s=1), [lambda s: 5000.0 if s < 10 else 10.0])
    assert sum(map(sum, curve.count)) == pytest.approx(2 + 90, abs=2)
    assert clock.slept[1] == 0.0
    assert min(clock.slept[4:]) > 0.9


def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    def work(seconds: float) -> float:
        if seconds > 41:
            raise KeyboardInterrupt
        return 10.0

    curve, handed, _ = run(tmp_path, SoakOptions(100), [work])
    assert curve.ended == INTERRUPTED
    assert curve.at_s[-1] == pytest.approx(41, abs=0.1)
    assert sum(map(sum, curve.count)) == pytest.approx(4100, abs=2)
    assert handed[-1] == curve


@pytest.mark.parametrize("jump_s", [-7200.0, 3600.0])
def test_a_clock_that_jumps_ends_no_soak_early_by_going_back_and_keeps_times_in_order(
    tmp_path: Path, jump_s: float
) -> None:
    clock = FakeTime()
    done = False

    def work(seconds: float) -> float:
        nonlocal done
        if seconds > 20 and not done:
            done = True
            clock.seconds += jump_s
        return 10.0

    curve, _, _ = run(tmp_path, SoakOptions(100), [work], clock)
    assert list(curve.at_s) == sorted(curve.at_s)
    assert curve.timing["key0"].mean_ms == pytest.approx(10.0)
    assert sum(map(sum, curve.count)) == pytest.approx(10_000 if jump_s < 0 else 2_001, abs=2)


def test_a_run_of_negative_time_is_dropped(tmp_path: Path) -> None:
    recorder = Recorder(["c"], ["key"], SoakOptions(10))
    recorder.add(0, {"run": -5.0})
    assert recorder.is_empty
    recorder.add(0, {"run": 5.0})
    recorder.close_window(1.0, nothing(tmp_path).read(), None)
    assert recorder.curve().timing["key"].mean_ms == 5.0


def test_what_is_never_served_alone_is_judged_with_the_quickest_candidate(tmp_path: Path) -> None:
    recorder = Recorder(["a", "b", "decode"], ["a", "b", "decode"], SoakOptions(10), parts=1)
    for index in range(600):
        for subject, spent_ms in enumerate((1.0, 5.0, 0.1 if index % 10 else 0.001)):
            recorder.add(subject, {"run": spent_ms})
    recorder.close_window(1.0, nothing(tmp_path).read(), None)
    assert recorder.curve().timing["decode"].valid
    alone = Recorder(["decode"], ["decode"], SoakOptions(10))
    for index in range(600):
        alone.add(0, {"run": 0.1 if index % 10 else 0.001})
    alone.close_window(1.0, nothing(tmp_path).read(), None)
    assert not alone.curve().timing["decode"].valid


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SoakOptions(1), "soak must be 10 seconds to 30 days"),
        (SoakOptions(1e9), "soak must be 10 seconds to 30 days"),
        (SoakOptions(60, every_s=30), "every must be a tenth of the soak at most"),
        (SoakOptions(60, every_s=-1), "every must be a tenth of the soak at most"),
    ],
)
def test_durations_that_make_no_sense_are_refused(options: SoakOptions, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        options.check()
