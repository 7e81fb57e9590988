"""Energy records between the store and the pass that makes them.

The energy of a candidate is in its timing record. What goes with it (interval, verdict, meter, method, idle power,
window) is in the conditions of the run that measured it, under "energy".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, select, update

from premodel.profiling.meters.windows import EnergyRecord
from premodel.store.schema import RUNS, TIMINGS
from premodel.store.store import Store

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
