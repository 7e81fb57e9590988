"""Timing and energy records between the store and the passes that make and read them.

The energy of a candidate is in its timing record. What goes with it (interval, verdict, meter, method, idle power,
window) is in the conditions of the run that measured it, under "energy".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, update

from premodel.errors import StoreError
from premodel.fields import shown
from premodel.records import UNFINISHED, EnergyRecord, Footprint, Timing
from premodel.store.damage import damaged, flag, number, text, whole
from premodel.store.rows import fetch_plain, merge
from premodel.store.runs import MAX_RUN, read_conditions
from premodel.store.schema import CANDIDATES, FEATURE_COSTS, RUNS, TIMINGS
from premodel.store.store import Store

MAX_STORED = 1e12
"""No time, energy or memory is larger."""

TOLERANCE = 1e-6
"""By which numbers may differ that were computed from one another."""

R = TypeVar("R")
STATISTICS = ("mean_ms", "median_ms", "p90_ms", "p99_ms", "ci_low_ms", "ci_high_ms")


def decode_subject(opencv_threads: int, detail: int = 0) -> str:
    """Key of the record of decoding so much of an input; 0 for all of it."""
    return f"decode:{opencv_threads}" + (f"@{detail}" if detail else "")


def features_subject(version: str, opencv_threads: int) -> str:
    """Key of the record of extracting all features."""
    return f"features:{version}:{opencv_threads}"


@dataclass(frozen=True)
class StoredTiming:
    """A timing record as the store holds it; NaN for what was not measured.

    Attributes
    ----------
    timing:
        The record.
    footprint:
        Load time and memory of the candidate's network.
    preprocess_mean_ms:
        The part of the mean that is not the run.
    energy_mj:
        Energy of one prediction, idle subtracted.
    runs_ms:
        float64 (count,), every run.
    run:
        The run of `premodel profile` that measured it.
    """

    timing: Timing
    footprint: Footprint
    preprocess_mean_ms: float
    energy_mj: float
    runs_ms: bytes
    run: int

    @property
    def unfinished(self) -> bool:
        """True if the run was broken off while this was measured."""
        return self.timing.reason.startswith(UNFINISHED)


def read_timings(store: Store, device: str) -> dict[str, StoredTiming]:
    """All records of a device, by subject."""
    query = select(TIMINGS).where(TIMINGS.c.device == device)
    with store.reading() as connection:
        names = [column.name for column in TIMINGS.columns]
        rows = [dict(zip(names, row, strict=True)) for row in fetch_plain(connection, query)]
    return {str(row["subject"]): _record(row) for row in rows}


def _record(row: Any) -> StoredTiming:
    key = f"{row['device']}, {row['subject']}"

    def measured(name: str, low: float = 0.0) -> float:
        value = row[name]
        return math.nan if value is None else number(value, "timings", key, name, low, MAX_STORED)

    def refuse(given: str, allowed: str) -> StoreError:
        return damaged("timings", key, given, allowed)

    low_ends = {"ci_low_ms": -MAX_STORED}
    timing = Timing(
        count=whole(row["count"], "timings", key, "count", 0, MAX_RUN),
        **{name: measured(name, low_ends.get(name, 0.0)) for name in STATISTICS},
        valid=flag(row["valid"], "timings", key, "valid"),
        reason=text(row["reason"], "timings", key, "reason"),
    )
    runs_ms = _runs(row["samples_ms"], key)
    if timing.valid == bool(timing.reason) or (timing.valid and not timing.mean_ms > 0):
        raise refuse(f"valid, reason {shown(timing.reason)}, mean_ms {timing.mean_ms}", "a verdict that agrees")
    order = [timing.median_ms, timing.p90_ms, timing.p99_ms]
    if sorted(order) != order and not any(map(math.isnan, order)):
        raise refuse(f"median, p90 and p99 are {order}", "percentiles that do not fall")
    if timing.ci_low_ms > timing.mean_ms or timing.ci_high_ms < timing.mean_ms:
        raise refuse(f"mean_ms is {timing.mean_ms}", f"from {timing.ci_low_ms} to {timing.ci_high_ms}, its interval")
    preprocess_mean_ms = measured("preprocess_mean_ms")
    if preprocess_mean_ms > timing.mean_ms * (1 + TOLERANCE):
        raise refuse(f"preprocess_mean_ms is {preprocess_mean_ms}", f"up to mean_ms, {timing.mean_ms}")
    if len(runs_ms):
        if len(runs_ms) != timing.count:
            raise refuse(f"count is {timing.count}", f"{len(runs_ms)}, as many as runs")
        quantiles = np.quantile(runs_ms, (0.5, 0.9, 0.99)).tolist()
        found = (float(runs_ms.mean()), *quantiles)
        given = (timing.mean_ms, timing.median_ms, timing.p90_ms, timing.p99_ms)
        for name, stated, value in zip(STATISTICS, given, found, strict=False):
            if not math.isclose(stated, value, rel_tol=TOLERANCE):
                raise refuse(f"{name} is {stated}", f"{value:.6g}, as of its runs")
    return StoredTiming(
        timing,
        Footprint(measured("load_ms"), measured("memory_mb", -MAX_STORED)),
        preprocess_mean_ms,
        measured("energy_mj", -MAX_STORED),
        runs_ms.tobytes(),
        whole(row["run"], "timings", key, "run", 0, MAX_RUN),
    )


def _runs(blob: Any, key: str) -> NDArray[np.float64]:
    """Every single run in ms, checked."""
    if blob is None:
        return np.zeros(0)
    if isinstance(blob, bytes | memoryview) and len(blob) % 8 == 0:
        runs_ms = np.frombuffer(blob, "<f8")
        if not len(runs_ms) or 0 <= runs_ms.min() <= runs_ms.max() <= MAX_STORED:
            return runs_ms
    raise damaged("timings", key, "samples_ms of other values", f"runs from 0 to {MAX_STORED:g} ms")


def write_timings(store: Store, rows: Sequence[Mapping[str, Any]], costs: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of records, each replacing the one of the same key, and the costs of all parts of extractions."""
    c = FEATURE_COSTS.c
    wholes = {(row["device"], row["version"], row["threads"]) for row in costs}

    def work(connection: Connection) -> None:
        merge(connection, TIMINGS, rows)
        for device, version, threads in wholes:  # also of parts that there were before
            same = (c.device == device, c.version == version, c.threads == threads)
            connection.execute(FEATURE_COSTS.delete().where(*same))
        merge(connection, FEATURE_COSTS, costs)

    store.write(work)


def read_single_runs(store: Store, device: str) -> dict[str, list[float]]:
    """Every single run in ms on a device, by the name of the candidate in the zoo profiled last."""
    query = (
        select(CANDIDATES.c.name, TIMINGS.c.samples_ms)
        .join(TIMINGS, TIMINGS.c.subject == CANDIDATES.c.timing_key)
        .where(CANDIDATES.c.position.is_not(None), TIMINGS.c.device == device)
    )
    with store.reading() as connection:
        return {
            str(name): _runs(blob, f"{device}, {name}").tolist()
            for name, blob in fetch_plain(connection, query)
            if blob
        }


def read_item_costs(connection: Connection, device: str, version: str, opencv_threads: int) -> Mapping[str, float]:
    """Mean ms of each part of the features; StoreError if they are damaged, or are not those of the whole's record."""
    c, t = FEATURE_COSTS.c, TIMINGS.c
    query = select(c.part, c.mean_ms, c.count).where(
        c.device == device, c.version == version, c.threads == opencv_threads
    )
    rows = fetch_plain(connection, query)
    key = f"{device}, {version}, {opencv_threads}"
    found = {
        str(part): number(mean_ms, "feature_costs", f"{key}, {part}", "mean_ms", 0, MAX_STORED)
        for part, mean_ms, _ in rows
    }
    counts = {whole(count, "feature_costs", f"{key}, {part}", "count", 0, MAX_RUN) for part, _, count in rows}
    if len(counts) > 1:
        raise damaged("feature_costs", key, f"counts {sorted(counts)}", "one count for all parts")
    subject = features_subject(version, opencv_threads)
    whole_ms = select(t.mean_ms, t.count).where(t.device == device, t.subject == subject)
    for mean_ms, count in fetch_plain(connection, whole_ms):
        total = sum(found.values())
        if {count} == counts and isinstance(mean_ms, float) and not math.isclose(total, mean_ms, rel_tol=TOLERANCE):
            raise damaged("feature_costs", key, f"parts of {total:.6g} ms in all", f"{mean_ms:.6g} ms, the whole")
    return found


def timed_devices(connection: Connection) -> list[str]:
    """Devices with timings, by name."""
    return sorted(str(name) for name in connection.scalars(select(TIMINGS.c.device).distinct()))


def timing_row(device: str, subject: str, record: StoredTiming) -> dict[str, Any]:
    """The row of a record; null for what is not finite, which not every engine can hold."""
    timing = record.timing
    numbers = {name: getattr(timing, name) for name in STATISTICS} | {
        "preprocess_mean_ms": record.preprocess_mean_ms,
        "load_ms": record.footprint.load_ms,
        "memory_mb": record.footprint.memory_mb,
        "energy_mj": record.energy_mj,
    }
    return {
        "device": device,
        "subject": subject,
        "count": timing.count,
        "valid": timing.valid,
        "reason": timing.reason,
        "run": record.run,
        "samples_ms": record.runs_ms,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
    }


def pack_runs(runs_ms: Sequence[float]) -> bytes:
    """Runs as little-endian float64."""
    return np.asarray(runs_ms, "<f8").tobytes()


def unpack_runs(data: bytes) -> list[float]:
    """Runs from little-endian float64."""
    return [float(value) for value in np.frombuffer(data, "<f8")]


KEY = "energy"


@dataclass(frozen=True)
class EnergyConditions:
    """How energy was measured in a run.

    Attributes
    ----------
    meter, method, scope:
        Of the meter; None where none proved itself.
    reason:
        Why nothing, or not everything, was measured; empty if all was.
    idle_w:
        Mean power of the idle windows, watts; None if there was none.
    window_s:
        Length of a window.
    other_cores:
        Cores that other programs kept busy meanwhile; None where the system does not tell.
    """

    meter: str | None = None
    method: str | None = None
    scope: str | None = None
    reason: str = ""
    idle_w: float | None = None
    window_s: float | None = None
    other_cores: float | None = None


@dataclass(frozen=True)
class StoredEnergy:
    """What a store states about the energy of a device.

    Attributes
    ----------
    conditions:
        Of the newest run that measured any, else of the newest that tried; None if none did.
    records:
        The newest finished record by timing key; an unfinished one where there is no other.
    """

    conditions: EnergyConditions | None = None
    records: dict[str, EnergyRecord] = field(default_factory=dict)


def write_energy(
    store: Store, device: str, run: int, conditions: EnergyConditions, records: Mapping[str, EnergyRecord]
) -> None:
    """Replace what a run states about energy, and put the energy of finished records into the timing records.

    An unfinished record does not replace an energy measured before.
    """

    def work(connection: Connection) -> None:
        text = connection.scalar(select(RUNS.c.conditions).where(RUNS.c.run == run))
        said = read_conditions(text, run) if text else {}
        said[KEY] = asdict(conditions) | {"records": {key: _to_json(record) for key, record in records.items()}}
        connection.execute(update(RUNS).where(RUNS.c.run == run).values(conditions=json.dumps(said)))
        for key, record in records.items():
            if not record.unfinished:
                mine = (TIMINGS.c.device == device) & (TIMINGS.c.subject == key)
                connection.execute(update(TIMINGS).where(mine).values(energy_mj=record.energy_mj))

    store.write(work)


def read_energy(store: Store, device: str) -> StoredEnergy:
    """What the runs on a device say, newest first; StoreError if it is damaged."""
    query = select(RUNS.c.conditions, RUNS.c.run).order_by(RUNS.c.run.desc())
    with store.reading() as connection:
        said = [(run, read_conditions(text, run)) for text, run in fetch_plain(connection, query)]
    records: dict[str, EnergyRecord] = {}
    measured: list[EnergyConditions] = []
    for run, one in said:
        if one.get("device") != device or KEY not in one:
            continue
        mine = dict(one[KEY])
        of_candidates = mine.pop("records", {})
        measured.append(_of_type(EnergyConditions, mine, run))
        if not isinstance(of_candidates, dict):
            raise damaged("runs", run, f"records of energy is {shown(of_candidates)}", "a table")
        for key, value in of_candidates.items():
            record = _of_type(EnergyRecord, value, run)
            if key not in records or (records[key].unfinished and not record.unfinished):
                records[key] = record
    newest = next((one for one in measured if one.meter is not None), measured[0] if measured else None)
    return StoredEnergy(newest, records)


_KINDS: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}


def _of_type(kind: type[R], values: Any, run: object) -> R:
    """A record of plain values, each of the type that its field states."""
    wanted = {one.name: str(one.type).split(" | ") for one in fields(kind)}  # type: ignore[arg-type]
    given = values if isinstance(values, dict) else {}
    for name, value in given.items():
        types = wanted.get(name, [])
        right = (value is None and "None" in types) or any(
            isinstance(value, _KINDS[one]) and (one == "bool") == isinstance(value, bool)
            for one in types
            if one != "None"
        )
        if not right or (isinstance(value, float) and not abs(value) <= MAX_STORED):
            raise damaged("runs", run, f"{name} of energy is {shown(value)}", "as profile writes it")
    try:
        return kind(**given)
    except TypeError as error:
        raise damaged("runs", run, f"energy is {shown(values)}", "as profile writes it") from error


def _to_json(record: EnergyRecord) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if not isinstance(value, float):
            return value
        return float(f"{value:.6g}") if math.isfinite(value) else None

    return {name: short(value) for name, value in asdict(record).items()}
