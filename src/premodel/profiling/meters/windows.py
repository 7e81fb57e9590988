"""Energy of one prediction: repeated windows of load, each against a window of idleness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from premodel.errors import RunError
from premodel.profiling.meters.base import Meter, Time
from premodel.records import EnergyRecord

WINDOW_S = 2.0
"""Length of a window: far more than the time in which any meter renews its readings."""
LEAD_S = 0.5
"""Load before a window begins, so that clocks, caches and a meter that lags have settled."""
SETTLE_S = 1.0
"""Idleness before a window of idleness begins."""
MIN_ROUNDS = 5
MAX_RELATIVE_HALF_WIDTH = 0.05


@dataclass(eq=False)
class Load:
    """Something that is measured: one call of `work` is one prediction.

    Attributes
    ----------
    values_mj:
        Of one prediction, idle subtracted, by window.
    runs:
        Predictions in all windows.
    failure:
        Why it failed; it is then measured no more.
    """

    name: str
    work: Callable[[], None]
    values_mj: list[float] = field(default_factory=list)
    runs: int = 0
    failure: str = ""


@dataclass
class Idle:
    """Power of the idle windows, watts."""

    watts: list[float] = field(default_factory=list)

    @property
    def mean_w(self) -> float:
        """Over all windows; NaN if there was none."""
        return float(np.mean(self.watts)) if self.watts else math.nan


def summarise_energy(load: Load, meter: str) -> EnergyRecord:
    """Mean, interval and verdict.

    Notes
    -----
    Every window has its own window of idleness, so the interval holds the noise of both. Measuring goes on until the
    interval is narrow enough, which makes it a little too narrow on average, as with timings.
    """
    values = np.asarray(load.values_mj, np.float64)
    count = int(values.size)
    if load.failure or count == 0:
        return EnergyRecord(None, None, None, count, load.runs, False, load.failure or "no windows", meter)
    mean = float(values.mean())
    half = _t_975(count - 1) * float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    reasons = []
    if count < MIN_ROUNDS:
        reasons.append(f"{count} windows, {MIN_ROUNDS} needed")
    if half >= mean:
        reasons.append("not distinguished from idleness")
    elif half > MAX_RELATIVE_HALF_WIDTH * mean:
        reasons.append(f"interval +-{100 * half / mean:.1f} %, {100 * MAX_RELATIVE_HALF_WIDTH:.0f} % allowed")
    low, high = (mean - half, mean + half) if math.isfinite(half) else (None, None)
    known = mean if half < mean else None
    return EnergyRecord(known, low, high, count, load.runs, not reasons, "; ".join(reasons), meter)


def measure_windows(
    meter: Meter,
    loads: Sequence[Load],
    idle: Idle,
    time: Time,
    max_seconds: float,
    seed: int,
    hand_over: Callable[[Iterable[Load], bool], None],
) -> None:
    """Measure until every record is valid, at least MIN_ROUNDS rounds, after those no longer than `max_seconds`.

    Parameters
    ----------
    meter:
        Opened, and proved.
    loads:
        What is measured; their windows are added to.
    idle:
        The power of idleness; added to.
    hand_over:
        Called after every round with the loads still being measured (False), and with those that are done (True).

    Raises
    ------
    MeterError
        The meter failed. The windows before that are in the loads.

    Notes
    -----
    A round is a window of idleness, then one of every load, in random order. Idle means that this process has opened
    all candidates, and sleeps.
    """
    rng = np.random.default_rng(seed)
    active = list(loads)
    start = time.now_s()
    while active:
        time.sleep(SETTLE_S)
        idle_w = _idle_w(meter, time)
        idle.watts.append(idle_w)
        for index in rng.permutation(len(active)):
            _window(meter, active[index], time, idle_w)
        out_of_time = len(idle.watts) >= MIN_ROUNDS and time.now_s() - start >= max_seconds
        done = [one for one in active if out_of_time or one.failure or summarise_energy(one, meter.name).valid]
        active = [one for one in active if one not in done]
        hand_over(done, True)
        hand_over(active, False)


def longest_s(loads: int, max_seconds: float) -> float:
    """How long `measure_windows` takes of so many loads where no record becomes valid, within a round and slow runs."""
    round_s = SETTLE_S + WINDOW_S + loads * (LEAD_S + WINDOW_S)
    return max(max_seconds, MIN_ROUNDS * round_s)


def _idle_w(meter: Meter, time: Time) -> float:
    before, start = meter.energy_j(), time.now_s()
    time.sleep(WINDOW_S)
    after, end = meter.energy_j(), time.now_s()
    return (after - before) / (end - start)


def _window(meter: Meter, load: Load, time: Time, idle_w: float) -> None:
    try:
        _repeat(load.work, time, LEAD_S)
        before, start = meter.energy_j(), time.now_s()
        runs = _repeat(load.work, time, WINDOW_S)
        after, end = meter.energy_j(), time.now_s()
    except RunError as error:
        load.failure = str(error)
        return
    load.values_mj.append(1e3 * (after - before - idle_w * (end - start)) / runs)
    load.runs += runs


def _repeat(work: Callable[[], None], time: Time, seconds: float) -> int:
    """Do it for so long, at least once; gives how often."""
    start = time.now_s()
    runs = 0
    while runs == 0 or time.now_s() - start < seconds:
        work()
        runs += 1
    return runs


def _t_975(freedom: int) -> float:
    """97.5 % quantile of Student's t."""
    from scipy.special import stdtrit  # loaded only where there is a meter

    return float(stdtrit(freedom, 0.975))
