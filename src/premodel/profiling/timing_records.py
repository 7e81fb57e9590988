"""Timing records between the store and the passes that make and read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select

from premodel.profiling.footprint import Footprint
from premodel.records import Timing
from premodel.store.schema import TIMINGS
from premodel.store.store import Store

UNFINISHED = "unfinished: the run was broken off"
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
        return math.nan if value is None else float(value)

    statistics = {name: number(name) for name in STATISTICS}
    return StoredTiming(
        Timing(count=int(row["count"]), **statistics, valid=bool(row["valid"]), reason=str(row["reason"])),
        Footprint(number("load_ms"), number("memory_mb")),
        number("preprocess_mean_ms"),
        number("energy_mj"),
        bytes(row["samples_ms"] or b""),
        int(row["run"]),
    )


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
