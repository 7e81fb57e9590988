"""Timing and energy records between the store and the passes that make and read them.

The energy of a candidate is in its timing record. What goes with it (interval, verdict, meter, method, idle power,
window) is in the conditions of the run that measured it, under "energy".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, select, update

from premodel.errors import StoreError
from premodel.records import UNFINISHED, EnergyRecord, Footprint, Timing
from premodel.store.rows import merge
from premodel.store.schema import CANDIDATES, FEATURE_COSTS, RUNS, TIMINGS
from premodel.store.store import Store

MAX_STORED = 1e12
"""No time, energy or memory is larger."""

STATISTICS = ("mean_ms", "median_ms", "p90_ms", "p99_ms", "ci_low_ms", "ci_high_ms")


def decode_subject(opencv_threads: int) -> str:
    """Key of the record of decoding."""
    return f"decode:{opencv_threads}"


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
        return {str(row["subject"]): _record(row) for row in connection.execute(query).mappings()}


def _record(row: Any) -> StoredTiming:
    def number(name: str) -> float:
        value = row[name]
        if value is None:
            return math.nan
        mean_of_valid = name == "mean_ms" and row["valid"]
        if not isinstance(value, int | float) or abs(value) > MAX_STORED or (mean_of_valid and value <= 0):
            raise StoreError("damaged timing record", where=f"row {row['subject']}", given=f"{name} is {value!r}")
        return float(value)

    statistics = {name: number(name) for name in STATISTICS}
    return StoredTiming(
        Timing(count=int(row["count"]), **statistics, valid=bool(row["valid"]), reason=str(row["reason"])),
        Footprint(number("load_ms"), number("memory_mb")),
        number("preprocess_mean_ms"),
        number("energy_mj"),
        bytes(row["samples_ms"] or b""),
        int(row["run"]),
    )


def write_timings(store: Store, rows: Sequence[Mapping[str, Any]], costs: Sequence[Mapping[str, Any]]) -> None:
    """Store rows of records, and of the costs of features, each replacing the one of the same key."""

    def work(connection: Connection) -> None:
        merge(connection, TIMINGS, rows)
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
        return {str(name): unpack_runs(bytes(blob)) for name, blob in connection.execute(query) if blob}


def read_part_costs(connection: Connection, device: str, version: str, opencv_threads: int) -> Mapping[str, float]:
    """Mean ms of each part of the features."""
    c = FEATURE_COSTS.c
    query = select(c.part, c.mean_ms).where(c.device == device, c.version == version, c.threads == opencv_threads)
    return {str(part): float(mean_ms) for part, mean_ms in connection.execute(query)}


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
    """What a store says about the energy of a device.

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
    """Replace what a run says about energy, and put the energy of finished records into the timing records.

    An unfinished record does not replace an energy measured before.
    """

    def work(connection: Connection) -> None:
        text = connection.scalar(select(RUNS.c.conditions).where(RUNS.c.run == run))
        said = json.loads(text) if text else {}
        said[KEY] = asdict(conditions) | {"records": {key: _to_json(record) for key, record in records.items()}}
        connection.execute(update(RUNS).where(RUNS.c.run == run).values(conditions=json.dumps(said)))
        for key, record in records.items():
            if not record.unfinished:
                mine = (TIMINGS.c.device == device) & (TIMINGS.c.subject == key)
                connection.execute(update(TIMINGS).where(mine).values(energy_mj=record.energy_mj))

    store.write(work)


def read_energy(store: Store, device: str) -> StoredEnergy:
    """What the runs on a device say, newest first."""
    query = select(RUNS.c.conditions).order_by(RUNS.c.run.desc())
    with store.reading() as connection:
        said = [json.loads(text) for text in connection.scalars(query)]
    mine = [dict(one[KEY]) for one in said if one.get("device") == device and KEY in one]
    records: dict[str, EnergyRecord] = {}
    for one in mine:
        for key, value in one.pop("records").items():
            record = EnergyRecord(**value)
            if key not in records or (records[key].unfinished and not record.unfinished):
                records[key] = record
    measured = [EnergyConditions(**one) for one in mine]
    newest = next((one for one in measured if one.meter is not None), measured[0] if measured else None)
    return StoredEnergy(newest, records)


def _to_json(record: EnergyRecord) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if not isinstance(value, float):
            return value
        return float(f"{value:.6g}") if math.isfinite(value) else None

    return {name: short(value) for name, value in asdict(record).items()}
