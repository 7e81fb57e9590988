"""Energy pass: millijoules of one prediction of every candidate, on this device, where a meter proves itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from premodel.errors import OptionError, RunError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.meters.base import Meter, MeterError, RealTime, Time
from premodel.profiling.meters.meters import ALLOWED, AUTO, NONE_FOUND, OFF, SYSFS, Place, choose_meter
from premodel.profiling.meters.windows import (
    WINDOW_S,
    Idle,
    Load,
    longest_s,
    measure_windows,
    summarise_energy,
)
from premodel.profiling.progress import Progress, UntilSteady
from premodel.profiling.samples import draw_inputs
from premodel.records import UNFINISHED, EnergyRecord
from premodel.runtime.candidate import OpenedCandidate, open_candidates
from premodel.runtime.conditions import OtherLoad
from premodel.store.measurements import EnergyConditions, read_energy, read_timings, write_energy
from premodel.store.samples import Entry
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate

INPUTS = 16
"""Decoded inputs that the windows go round."""
GPU_PROVIDERS = ("cuda", "tensorrt", "rocm", "migraphx")


@dataclass(frozen=True)
class EnergyOptions:
    """How to measure energy.

    Attributes
    ----------
    device, opencv_threads, run, max_seconds, retime, seed:
        As in TimingOptions; at least MIN_ROUNDS rounds are measured, whatever they take.
    meter:
        "auto", "off", or a name.
    sysfs, time:
        Where meters are looked for, and the time they live in.
    """

    device: str
    opencv_threads: int
    run: int
    max_seconds: float = 120.0
    retime: str = ""
    seed: int = 0
    meter: str = AUTO
    sysfs: Path = field(default_factory=lambda: SYSFS)
    time: Time = field(default_factory=lambda: RealTime())


@dataclass
class EnergyResult:
    """What the pass did: the meter, candidates measured, records kept from before, and why some were not measured."""

    meter: str | None = None
    measured: list[str] = field(default_factory=list)
    kept: int = 0
    invalid: list[str] = field(default_factory=list)
    reason: str = ""


def measure_energy(
    store: Store,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    entries: Sequence[Entry],
    options: EnergyOptions,
    progress: Progress,
) -> EnergyResult:
    """Store the energy records that are missing on this device.

    One prediction is preprocess + run on a decoded input, as in the timing records.

    Raises
    ------
    OptionError
        The meter that was asked for does not prove itself.
    DatasetError
        No input can be decoded.
    StoreError
        The store cannot be written to.
    """
    if options.meter == OFF:
        return EnergyResult(reason="switched off")
    wanted, result = _wanted(store, candidates, options)
    if not wanted:
        return result
    bench = _Bench(wanted, dataset, entries, options)
    try:
        loads = {one.timing_key: Load(one.name, bench.prediction(index)) for index, one in enumerate(wanted)}
        _Session(store, options, progress, loads, any(_uses_gpu(one) for one in wanted)).go(result)
    finally:
        bench.close()
    return result


def _wanted(
    store: Store, candidates: Sequence[Candidate], options: EnergyOptions
) -> tuple[list[Candidate], EnergyResult]:
    """The candidates to be measured; those with no timing record have no place for their energy."""
    timings, stored = read_timings(store, options.device), read_energy(store, options.device).records
    distinct = list({one.timing_key: one for one in candidates if not one.model.is_remote}.values())
    timed = [one for one in distinct if one.timing_key in timings]
    wanted = [one for one in timed if _is_wanted(stored.get(one.timing_key), options)]
    result = EnergyResult(kept=len(timed) - len(wanted))
    if len(timed) < len(distinct):
        result.reason = "candidates without timings on this device: run the timing pass first"
    if result.kept:
        kept = [one for one in timed if one not in wanted]
        result.meter = stored[kept[0].timing_key].meter
        result.invalid = [one.name for one in kept if not stored[one.timing_key].valid]
    return wanted, result


def _is_wanted(record: EnergyRecord | None, options: EnergyOptions) -> bool:
    if record is None or record.unfinished or options.retime == "all":
        return True
    if options.meter != AUTO and record.meter != options.meter:
        return True
    return options.retime == "invalid" and not record.valid


def _uses_gpu(candidate: Candidate) -> bool:
    return any(sign in provider.lower() for provider in candidate.model.providers for sign in GPU_PROVIDERS)


class _Bench:
    """Candidates and inputs, opened when first used: where there is no meter, nothing is."""

    def __init__(
        self, candidates: Sequence[Candidate], dataset: Dataset, entries: Sequence[Entry], options: EnergyOptions
    ) -> None:
        self._candidates = candidates
        self._dataset = dataset
        self._entries = entries
        self._options = options
        self._opened: list[OpenedCandidate] = []
        self._samples: list[Any] = []

    def prediction(self, index: int) -> Callable[[], None]:
        """What does one prediction of a candidate, going round the inputs."""
        turn = 0

        def work() -> None:
            nonlocal turn
            if not self._opened:
                self._open()
            _predict(self._opened[index], self._samples[turn % len(self._samples)])
            turn += 1

        return work

    def close(self) -> None:
        """Close what was opened."""
        for one in self._opened:
            one.close()

    def _open(self) -> None:
        domain = self._dataset.domain
        inputs = draw_inputs(self._dataset, self._entries, self._options.seed)
        self._samples = [domain.decode(data) for data in inputs[:INPUTS]]
        domain.set_threads(self._options.opencv_threads)
        self._opened = list(open_candidates(self._candidates))


def _predict(opened: OpenedCandidate, sample: Any) -> None:
    opened.run(opened.prepare(sample))


class _Session:
    """One energy pass: chooses the meter, measures, stores records as they come."""

    def __init__(
        self, store: Store, options: EnergyOptions, progress: Progress, loads: dict[str, Load], uses_gpu: bool
    ) -> None:
        self._store = store
        self._options = options
        self._progress = progress
        self._loads = loads
        self._uses_gpu = uses_gpu
        self._idle = Idle()
        self._done: set[Load] = set()
        self._conditions = EnergyConditions()
        self._bar: UntilSteady | None = None

    def go(self, result: EnergyResult) -> None:
        """Measure all loads, or say why not."""
        options = self._options
        choice = choose_meter(options.meter, Place(options.sysfs, options.time, self._uses_gpu), self._some_load())
        if choice.meter is None:
            result.reason = "; ".join(choice.reasons) or NONE_FOUND
            self._conditions = EnergyConditions(reason=result.reason)
            self._write()
            if options.meter != AUTO:
                raise OptionError("the energy meter does not work", given=result.reason, allowed=ALLOWED)
            return
        try:
            self._measure(choice.meter, result)
        finally:
            choice.meter.close()

    def _measure(self, meter: Meter, result: EnergyResult) -> None:
        options = self._options
        result.meter = meter.name
        self._conditions = EnergyConditions(meter.name, meter.method, meter.scope, window_s=WINDOW_S)
        load = OtherLoad()
        loads = list(self._loads.values())
        seconds = longest_s(len(loads), options.max_seconds)
        try:
            with UntilSteady(self._progress, f"energy by {meter.name}", seconds, options.time.now_s) as self._bar:
                self._bar.move()
                measure_windows(
                    meter, loads, self._idle, options.time, options.max_seconds, options.seed, self._hand_over
                )
        except MeterError as error:
            result.reason = f"the meter failed: {error}"
        self._conditions = replace(self._conditions, reason=result.reason, other_cores=load.cores())
        self._write()
        records = self._records()
        result.measured = [one.name for key, one in self._loads.items() if not records[key].unfinished]
        result.invalid += [one.name for key, one in self._loads.items() if not records[key].valid]

    def _some_load(self) -> Callable[[], None]:
        """All candidates in turn; one that fails is left for the windows to report."""
        turn = cycle(list(self._loads.values()))

        def work() -> None:
            try:
                next(turn).work()
            except RunError:
                return

        return work

    def _hand_over(self, loads: Iterable[Load], done: bool) -> None:
        if done:
            self._done.update(loads)
            return
        self._write()
        if self._bar is not None:
            self._bar.move()

    def _write(self) -> None:
        idle_w = self._idle.mean_w if self._idle.watts else None
        self._conditions = replace(self._conditions, idle_w=idle_w)
        records = self._records() if self._conditions.meter else {}
        write_energy(self._store, self._options.device, self._options.run, self._conditions, records)

    def _records(self) -> dict[str, EnergyRecord]:
        return {key: self._record(load) for key, load in self._loads.items()}

    def _record(self, load: Load) -> EnergyRecord:
        record = summarise_energy(load, self._conditions.meter or "")
        return record if load in self._done else replace(record, valid=False, reason=UNFINISHED)
