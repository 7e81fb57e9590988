"""Load that lasts: latencies over time, in windows, with the state of the machine; with pauses, of single requests."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from premodel.clock import summarise
from premodel.errors import OptionError
from premodel.profiling.board_state import BoardState, State, throttled_between
from premodel.profiling.meters.base import Time
from premodel.profiling.progress import Progress
from premodel.records import Timing
from premodel.store.soaks import INTERRUPTED, MAX_SECONDS, Curve

MIN_SECONDS = 10.0
MIN_WINDOW_S, MAX_WINDOW_S = 1.0, 10.0
MIN_WINDOWS, MAX_WINDOWS = 30, 360
RUNS_PER_WINDOW = 5
"""Of every subject, where requests come one at a time."""
STEADY_SHARE = 1 / 3
"""The last part of the windows, whose runs are the sustained latency."""

Stages = Mapping[str, float]
Step = Callable[[], Iterable[tuple[int, Stages]]]
"""One round, or one request: which subject took how many ms, by stage."""


@dataclass(frozen=True)
class SoakOptions:
    """How long, and how often.

    Attributes
    ----------
    seconds:
        Planned length.
    every_s:
        From the beginning of one request to that of the next; 0 for no pause.
    """

    seconds: float
    every_s: float = 0.0

    def check(self) -> None:
        """Raise OptionError for a value out of range."""
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise OptionError(
                f"soak must be {MIN_SECONDS:g} seconds to {MAX_SECONDS // 86_400} days", given=f"{self.seconds:g} s"
            )
        if not 0 <= self.every_s <= self.seconds / 10:
            raise OptionError(
                "every must be a tenth of the soak at most", given=f"{self.every_s:g} s",
                allowed=f"up to {self.seconds / 10:g} s",
            )  # fmt: skip

    def window_s(self, subjects: int) -> float:
        """Length of a window.

        Examples
        --------
        >>> SoakOptions(1800).window_s(5), SoakOptions(60).window_s(5), SoakOptions(7200).window_s(5)
        (10.0, 2.0, 20.0)
        >>> SoakOptions(1800, every_s=1).window_s(5)
        25.0
        """
        usual = min(MAX_WINDOW_S, max(MIN_WINDOW_S, self.seconds / MIN_WINDOWS))
        return float(max(usual, self.seconds / MAX_WINDOWS, RUNS_PER_WINDOW * subjects * self.every_s))


class Recorder:
    """The runs of a soak, by window.

    Parameters
    ----------
    names, keys:
        Of the subjects.
    options:
        How long, and how often.
    parts:
        How many of the last subjects are never served alone: each is judged with the quickest of the others.
    """

    def __init__(self, names: Sequence[str], keys: Sequence[str], options: SoakOptions, parts: int = 0) -> None:
        self._first_part = len(names) - parts
        self._names, self._keys = tuple(names), tuple(keys)
        self._options = options
        self.window_s = options.window_s(len(names))
        self.ended = ""
        self._runs_ms = [array("d") for _ in names]
        self._parts: list[list[dict[str, float]]] = []
        self._ends: list[list[int]] = []
        self._current: list[dict[str, float]] = [{} for _ in names]
        self._rows: list[tuple[float, State, float | None]] = []

    def add(self, index: int, stages: Stages) -> None:
        """One run; one whose time is negative, as by a clock that was set back, is dropped."""
        total_ms = sum(stages.values())
        if not total_ms >= 0:
            return
        self._runs_ms[index].append(total_ms)
        current = self._current[index]
        for stage, spent_ms in stages.items():
            current[stage] = current.get(stage, 0.0) + spent_ms

    @property
    def is_empty(self) -> bool:
        """Has the window that is open no run."""
        ends = self._ends[-1] if self._ends else [0] * len(self._runs_ms)
        return all(len(runs) == end for runs, end in zip(self._runs_ms, ends, strict=True))

    def close_window(self, at_s: float, state: State, throttled: float | None) -> None:
        """The window ends here."""
        self._ends.append([len(runs) for runs in self._runs_ms])
        self._parts.append(self._current)
        self._current = [{} for _ in self._names]
        self._rows.append((at_s, state, throttled))

    def first_steady(self) -> int:
        """The first window of those whose runs are the latency that is reported."""
        count = len(self._ends)
        return 0 if self._options.every_s else count - max(1, round(STEADY_SHARE * count)) if count else 0

    def steady_runs(self, index: int) -> list[float]:
        """The runs of a subject in these windows."""
        first = self.first_steady()
        start = self._ends[first - 1][index] if first else 0
        return self._runs_ms[index][start : self._ends[-1][index] if self._ends else 0].tolist()

    def curve(self) -> Curve:
        """What was measured so far."""
        starts = [[0] * len(self._names), *self._ends]
        windows = [
            [np.asarray(runs[low:high]) for runs, low, high in zip(self._runs_ms, begin, end, strict=True)]
            for begin, end in zip(starts, self._ends, strict=False)
        ]
        first = self.first_steady()
        timing: dict[str, Timing] = {}
        parts_ms: dict[str, dict[str, float]] = {}
        quickest_ms = 0.0
        for index, key in enumerate(self._keys):
            runs = self.steady_runs(index)
            if index == self._first_part:
                quickest_ms = min((one.mean_ms for one in timing.values() if one.count), default=0.0)
            timing[key] = summarise(runs, quickest_ms)
            sums: dict[str, float] = {}
            for parts in self._parts[first:]:
                for stage, spent_ms in parts[index].items():
                    sums[stage] = sums.get(stage, 0.0) + spent_ms
            parts_ms[key] = {stage: spent_ms / len(runs) for stage, spent_ms in sums.items()} if runs else {}
        return Curve(
            names=self._names,
            keys=self._keys,
            planned_s=float(self._options.seconds),
            window_s=self.window_s,
            every_s=float(self._options.every_s),
            ended=self.ended,
            at_s=tuple(round(at_s, 3) for at_s, _, _ in self._rows),
            count=tuple(tuple(len(runs) for runs in window) for window in windows),
            mean_ms=tuple(tuple(_short(runs, np.mean) for runs in window) for window in windows),
            median_ms=tuple(tuple(_short(runs, np.median) for runs in window) for window in windows),
            mhz=tuple(None if state.mhz is None else round(state.mhz, 1) for _, state, _ in self._rows),
            celsius=tuple(None if state.celsius is None else round(state.celsius, 1) for _, state, _ in self._rows),
            throttled=tuple(throttled for _, _, throttled in self._rows),
            timing=timing,
            parts_ms=parts_ms,
        )


def soak(
    step: Step,
    recorder: Recorder,
    options: SoakOptions,
    time: Time,
    board: BoardState,
    progress: Progress,
    hand_over: Callable[[Curve], None] = lambda _: None,
) -> Curve:
    """Do a step again and again for the time that is planned.

    Parameters
    ----------
    step:
        One round of all subjects, or with pauses one request.
    recorder:
        Takes the runs.
    hand_over:
        Called at the end of each window with what was measured so far.

    Notes
    -----
    Ctrl-C ends it: what was measured is kept, and the curve states it. Time is added up step by step from a monotonic
    clock; a step that seems to have taken less than nothing counts nothing.
    """
    options.check()
    elapsed_s, closed_s, shown_s = 0.0, 0.0, 0
    last = time.now_s()
    due = last
    before = board.read()
    progress.begin("soak", round(options.seconds), "s")
    try:
        while elapsed_s < options.seconds:
            if options.every_s:
                due = max(due + options.every_s, last)
                time.sleep(max(0.0, min(due - time.now_s(), options.every_s)))
            for index, stages in step():
                recorder.add(index, stages)
            now = time.now_s()
            elapsed_s, last = elapsed_s + max(0.0, now - last), now
            progress.advance(max(0, min(int(elapsed_s), round(options.seconds)) - shown_s))
            shown_s = max(shown_s, int(elapsed_s))
            if elapsed_s - closed_s >= recorder.window_s:
                before, closed_s = _close(recorder, board, before, elapsed_s), elapsed_s
                hand_over(recorder.curve())
                last = time.now_s()
    except KeyboardInterrupt:
        recorder.ended = INTERRUPTED
    finally:
        progress.end()
    if not recorder.is_empty:
        _close(recorder, board, before, elapsed_s)
    curve = recorder.curve()
    hand_over(curve)
    return curve


def _close(recorder: Recorder, board: BoardState, before: State, at_s: float) -> State:
    state = board.read()
    recorder.close_window(at_s, state, throttled_between(before, state))
    return state


def _short(runs: np.ndarray, of: Callable[[np.ndarray], object]) -> float | None:
    return float(f"{float(of(runs)):.6g}") if runs.size else None  # type: ignore[arg-type]
