"""Is the speed of the first minute that of the last: trends of latencies, and the order of the candidates by speed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from premodel.stats import mann_kendall
from premodel.store.soaks import Curve

MINUTE_S = 60.0
MIN_PART_WINDOWS = 5
"""Windows that the first and the last part must have."""
BLOCKS = 30
"""Of neighbouring windows, whose means the test of a trend is made on."""
MIN_BLOCKS = 10
OTHERS = ("decode:", "features:")
"""How the keys of subjects begin that are no candidates."""
TREND_LEVEL = 0.01
MIN_CHANGE = 0.05
"""A trend that changes a latency by less than this share, from the first part to the last, is not named."""
ORDER_LEVEL = 0.99
"""Of the interval that shows which of two candidates is faster."""

Floats = NDArray[np.float64]
Word = Literal["rising", "falling", "no trend shown", "too few windows for a trend"]


@dataclass(frozen=True)
class Trend:
    """How the latency of one subject went.

    Attributes
    ----------
    first_ms, last_ms:
        Means of the first and the last part.
    change:
        From the first to the last part, as a share of the first.
    p:
        Of the Mann-Kendall test; 1 where there are too few windows.
    """

    name: str
    first_ms: float
    last_ms: float
    change: float
    p: float
    word: Word


@dataclass(frozen=True)
class Sustained:
    """What a curve comes to.

    Attributes
    ----------
    kind:
        "sustained", or "idle" where there were pauses between requests.
    seconds, part_s:
        How long it was, and how long the first and the last part are that are compared.
    trends:
        Of every subject.
    first, last:
        The candidates by rising latency, in the first and the last part.
    swapped:
        Pairs of which the first is shown to be faster in the first part, and slower in the last.
    mhz, celsius:
        In the first and in the last window, and the highest temperature between; None where the machine does not tell.
    throttled:
        Share of windows in which the clock was held back; None where the machine does not tell.
    ended:
        Why it ended early; empty if it did not.
    """

    kind: str
    seconds: float
    part_s: float
    trends: tuple[Trend, ...]
    first: tuple[str, ...]
    last: tuple[str, ...]
    swapped: tuple[tuple[str, str], ...]
    mhz: tuple[float, float] | None
    celsius: tuple[float, float] | None
    throttled: float | None
    ended: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The verdict in words: trends, order, machine."""
        if not self.trends or not self.part_s:
            return (f"{self.kind}: {_time(self.seconds)} measured, too short to compare its beginning with its end",)
        how = f"{self.kind}, {_time(self.seconds)}" + (f" ({self.ended})" if self.ended else "")
        moved = [one for one in self.trends if one.word in ("rising", "falling")]
        stated = ", ".join(
            f"{one.name} {one.word} by {100 * one.change:+.0f} % ({one.first_ms:.3g} to {one.last_ms:.3g} ms)"
            for one in moved
        )
        none = "no trend shown" if any(one.word == "no trend shown" for one in self.trends) else "too few for a trend"
        return (f"{how}: {stated or none}", f"{self._order()}; {self._machine()}")

    def _order(self) -> str:
        of = f"first {_time(self.part_s)}"
        if len(self.first) < 2:
            return f"one candidate, so no order to compare with that of the {of}"
        if self.swapped:
            pairs = ", ".join(f"{a} was faster than {b} and is now slower" for a, b in self.swapped)
            return f"the order by speed of the {of} is NOT that of the last: {pairs}"
        if self.first != self.last:
            return f"the order by speed of the {of} is not shown to differ from that of the last"
        return f"the order by speed of the {of} is that of the last"

    def _machine(self) -> str:
        stated = []
        if self.mhz is not None:
            stated.append(f"clock {self.mhz[0]:.0f} to {self.mhz[1]:.0f} MHz")
        if self.celsius is not None:
            stated.append(f"{self.celsius[0]:.0f} to {self.celsius[1]:.0f} degrees Celsius")
        if self.throttled is not None:
            stated.append(
                f"throttled in {100 * self.throttled:.0f} % of the time" if self.throttled else "not throttled"
            )
        hidden = [
            name
            for name, value in (
                ("clock", self.mhz), ("temperature", self.celsius), ("throttling", self.throttled)
            )
            if value is None
        ]  # fmt: skip
        if hidden:
            stated.append(f"the machine does not show its {', '.join(hidden)}")
        return ", ".join(stated)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, with the words."""
        return {**asdict(self), "lines": list(self.lines)}


def judge_soak(curve: Curve) -> Sustained:
    """Trends, and whether the order of the first minute is that of the last.

    Notes
    -----
    A trend is named where the Mann-Kendall test on the means of 30 blocks of windows (medians of runs within a window)
    is below 1 %, and the last part differs from the first by 5 %. Of two candidates one is shown
    to be faster where the 99 % interval (Student's t) of the differences of their means, window by window, excludes
    zero. The first and the last part are a minute each, or a third of a shorter soak, and have five windows at least.
    On a machine that others use, a trend may be theirs.
    """
    windows = len(curve.at_s)
    mean_ms = np.array(curve.mean_ms, dtype=np.float64).reshape(windows, len(curve.names))
    median_ms = np.array(curve.median_ms, dtype=np.float64).reshape(windows, len(curve.names))
    seconds = curve.at_s[-1] if windows else 0.0
    part = max(MIN_PART_WINDOWS, round(min(MINUTE_S, seconds / 3) / curve.window_s)) if windows else 0
    part = part if windows >= 2 * part else 0
    trends = tuple(
        _trend(name, mean_ms[:, column], median_ms[:, column], part) for column, name in enumerate(curve.names)
    )
    candidates = [column for column, key in enumerate(curve.keys) if part and not key.startswith(OTHERS)]
    first, last = (_by_speed(curve.names, candidates, rows) for rows in (mean_ms[:part], mean_ms[windows - part :]))
    swapped = []
    for a, b in combinations(candidates, 2):
        difference = mean_ms[:, a] - mean_ms[:, b]
        before, after = _sign(difference[:part]), _sign(difference[windows - part :])
        if before * after < 0:
            pair = (curve.names[a], curve.names[b])
            swapped.append(pair if before < 0 else pair[::-1])
    known = [one for one in curve.throttled if one is not None]
    return Sustained(
        kind=curve.kind,
        seconds=seconds,
        part_s=part * curve.window_s,
        trends=trends if part else (),
        first=first,
        last=last,
        swapped=tuple(swapped),
        mhz=_ends(curve.mhz),
        celsius=_ends(curve.celsius),
        throttled=sum(one > 0 for one in known) / len(known) if known else None,
        ended=curve.ended,
    )


def _trend(name: str, mean_ms: Floats, median_ms: Floats, part: int) -> Trend:
    known = median_ms[~np.isnan(median_ms)]
    first_ms, last_ms = (_mean(rows) for rows in (mean_ms[:part], mean_ms[len(mean_ms) - part :]))
    blocks = np.array([block.mean() for block in np.array_split(known, min(BLOCKS, max(1, len(known)))) if block.size])
    if len(blocks) < MIN_BLOCKS:
        return Trend(name, first_ms, last_ms, 0.0, 1.0, "too few windows for a trend")
    p = mann_kendall(blocks)
    change = last_ms / first_ms - 1 if first_ms > 0 else 0.0
    shown = p < TREND_LEVEL and abs(change) >= MIN_CHANGE
    return Trend(
        name, first_ms, last_ms, change, p, ("rising" if change > 0 else "falling") if shown else "no trend shown"
    )


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _by_speed(names: tuple[str, ...], columns: list[int], rows: Floats) -> tuple[str, ...]:
    return tuple(names[column] for column in sorted(columns, key=lambda one: _mean(rows[:, one])))


def _sign(difference: Floats) -> int:
    """-1 or 1 where the mean of the differences is shown to be below or above zero, else 0."""
    known = difference[~np.isnan(difference)]
    if len(known) < MIN_PART_WINDOWS:
        return 0
    from scipy.special import stdtrit  # a workstation has it; loaded only where there is a soak

    half = float(stdtrit(len(known) - 1, (1 + ORDER_LEVEL) / 2)) * float(known.std(ddof=1)) / math.sqrt(len(known))
    mean = float(known.mean())
    return 0 if abs(mean) <= half else 1 if mean > 0 else -1


def _ends(values: Iterable[float | None]) -> tuple[float, float] | None:
    known = [one for one in values if one is not None]
    return (known[0], known[-1]) if known else None


def _time(seconds: float) -> str:
    """A duration for people."""
    if seconds >= 2 * MINUTE_S:
        return f"{seconds / MINUTE_S:.3g} min"
    return f"{seconds:.3g} s" if seconds != MINUTE_S else "minute"
