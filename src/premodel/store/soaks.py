"""Latencies over time, as `profile --soak` measures them: kept in the conditions of the run that measured them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, select, update

from premodel.fields import shown
from premodel.records import Timing
from premodel.store.damage import damaged, flag, number, text, whole
from premodel.store.rows import fetch_plain
from premodel.store.runs import MAX_RUN, SOAK, read_conditions
from premodel.store.schema import RUNS
from premodel.store.store import Store

SUSTAINED, IDLE, BURST = "sustained", "idle", "burst"
TIMINGS = (BURST, SUSTAINED, IDLE)
"""Which latencies there may be: of the timing pass; of load without a pause, once it has lasted; of single requests."""
INTERRUPTED = "interrupted"
MAX_SECONDS = 30 * 86_400
MAX_NUMBER = 1e12


@dataclass(frozen=True)
class Curve:
    """Latencies of several subjects over time, window by window, with the state of the machine.

    Attributes
    ----------
    names, keys:
        Of the subjects: as people call them, and as timing records do.
    planned_s, window_s:
        How long it was to last, and the length of a window.
    every_s:
        From one request to the next; 0 where there was no pause.
    ended:
        Why it ended before it was planned to; empty if it did not.
    at_s:
        End of each window since the beginning.
    count, mean_ms, median_ms:
        Of each window, of each subject; None where it did not run.
    mhz, celsius:
        Of each window: mean clock of the cores and the highest temperature; None where the machine does not tell.
    throttled:
        Of each window: how often the machine held its clock back, counted or seen; None where it does not tell.
    timing:
        By key: the record of the last third of the windows; of all where there were pauses.
    parts_ms:
        By key: means of the stages in the same runs.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    planned_s: float
    window_s: float
    every_s: float = 0.0
    ended: str = ""
    at_s: tuple[float, ...] = ()
    count: tuple[tuple[int, ...], ...] = ()
    mean_ms: tuple[tuple[float | None, ...], ...] = ()
    median_ms: tuple[tuple[float | None, ...], ...] = ()
    mhz: tuple[float | None, ...] = ()
    celsius: tuple[float | None, ...] = ()
    throttled: tuple[float | None, ...] = ()
    timing: Mapping[str, Timing] = field(default_factory=dict)
    parts_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """SUSTAINED, or IDLE where there was a pause between requests."""
        return IDLE if self.every_s else SUSTAINED

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types; not finite is null."""
        data = asdict(self)
        data["timing"] = {key: _finite(asdict(one)) for key, one in self.timing.items()}
        return data


def write_soak(store: Store, run: int, curve: Curve) -> None:
    """Put a curve into the conditions of its run, in place of the one there is.

    Raises
    ------
    StoreError
        The store cannot be written to.
    """

    def work(connection: Connection) -> None:
        found = connection.scalar(select(RUNS.c.conditions).where(RUNS.c.run == run))
        conditions = read_conditions(found, run) if found else {}
        conditions[SOAK] = curve.to_json()
        connection.execute(update(RUNS).where(RUNS.c.run == run).values(conditions=json.dumps(conditions)))

    store.write(work)


def read_soaks(store: Store, device: str) -> dict[str, Curve]:
    """By kind, the curve of a device that counts: the newest that reached its end, else the longest.

    Raises
    ------
    StoreError
        The store cannot be read, or a curve is damaged.
    """
    query = select(RUNS.c.conditions, RUNS.c.run).where(RUNS.c.conditions.contains(f'"{SOAK}"'))
    with store.reading() as connection:
        rows = [
            (run, read_conditions(conditions, run))
            for conditions, run in fetch_plain(connection, query.order_by(RUNS.c.run.desc()))
        ]
    found: dict[str, Curve] = {}
    for run, conditions in rows:
        if conditions.get("device") != device or SOAK not in conditions:
            continue
        curve = curve_from_json(conditions[SOAK], run)
        before = found.get(curve.kind)
        if before is None or (before.ended and (not curve.ended or len(curve.at_s) > len(before.at_s))):
            found[curve.kind] = curve
    return found


def curve_from_json(data: Any, run: object) -> Curve:
    """The curve of a run, every value checked.

    Raises
    ------
    StoreError
        It is damaged.
    """
    names = {one.name for one in fields(Curve)}
    if not isinstance(data, dict) or set(data) != names:
        raise damaged("runs", run, f"{SOAK} is {shown(data)}", "as profile writes it")

    def series(name: str, high: float, low: float = 0.0) -> tuple[float | None, ...]:
        return tuple(
            None if one is None else number(one, "runs", run, f"{SOAK}.{name}", low, high)
            for one in _list(data[name], run, name, windows)
        )

    def grid(name: str) -> tuple[tuple[float | None, ...], ...]:
        return tuple(
            tuple(
                None if one is None else number(one, "runs", run, f"{SOAK}.{name}", 0, MAX_NUMBER)
                for one in _list(row, run, name, len(keys))
            )
            for row in _list(data[name], run, name, windows)
        )

    keys = tuple(text(one, "runs", run, f"{SOAK}.keys") for one in _list(data["keys"], run, "keys"))
    windows = len(_list(data["at_s"], run, "at_s"))
    at_s = [number(one, "runs", run, f"{SOAK}.at_s", 0, 2 * MAX_SECONDS) for one in data["at_s"]]
    if at_s != sorted(at_s):
        raise damaged("runs", run, f"{SOAK}.at_s falls", "rising times")
    records = data["timing"] if isinstance(data["timing"], dict) else {None: None}
    parts = data["parts_ms"] if isinstance(data["parts_ms"], dict) else {None: None}
    for name, table in (("timing", records), ("parts_ms", parts)):
        if not set(table) <= set(keys):
            raise damaged("runs", run, f"{SOAK}.{name} of other subjects", "those of its keys")
    return Curve(
        names=tuple(text(one, "runs", run, f"{SOAK}.names") for one in _list(data["names"], run, "names", len(keys))),
        keys=keys,
        planned_s=number(data["planned_s"], "runs", run, f"{SOAK}.planned_s", 0, MAX_SECONDS),
        window_s=number(data["window_s"], "runs", run, f"{SOAK}.window_s", 0, MAX_SECONDS),
        every_s=number(data["every_s"], "runs", run, f"{SOAK}.every_s", 0, MAX_SECONDS),
        ended=text(data["ended"], "runs", run, f"{SOAK}.ended"),
        at_s=tuple(at_s),
        count=tuple(
            tuple(whole(one, "runs", run, f"{SOAK}.count", 0, MAX_RUN) for one in _list(row, run, "count", len(keys)))
            for row in _list(data["count"], run, "count", windows)
        ),
        mean_ms=grid("mean_ms"),
        median_ms=grid("median_ms"),
        mhz=series("mhz", MAX_NUMBER),
        celsius=series("celsius", 1e4, -1e4),
        throttled=series("throttled", MAX_NUMBER),
        timing={str(key): _timing(one, run) for key, one in records.items()},
        parts_ms={str(key): _parts(one, run) for key, one in parts.items()},
    )


def _list(value: Any, run: object, name: str, length: int | None = None) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
        raise damaged("runs", run, f"{SOAK}.{name} is {shown(value)}", "a list with one entry each")
    return value


def _timing(data: Any, run: object) -> Timing:
    names = [one.name for one in fields(Timing)]
    if not isinstance(data, dict) or sorted(data) != sorted(names):
        raise damaged("runs", run, f"{SOAK}.timing is {shown(data)}", "a timing record")
    values = {
        name: math.nan if data[name] is None else number(data[name], "runs", run, name, -MAX_NUMBER, MAX_NUMBER)
        for name in names
        if name.endswith("_ms")
    }
    count = whole(data["count"], "runs", run, "count", 0, MAX_RUN)
    valid, reason = flag(data["valid"], "runs", run, "valid"), text(data["reason"], "runs", run, "reason")
    order = [values["median_ms"], values["p90_ms"], values["p99_ms"]]
    if valid == bool(reason) or (count and not (values["mean_ms"] >= 0 and sorted(order) == order)):
        raise damaged("runs", run, f"{SOAK}.timing is {shown(data)}", "a verdict and percentiles that agree")
    return Timing(count=count, valid=valid, reason=reason, **values)


def _parts(data: Any, run: object) -> dict[str, float]:
    if not isinstance(data, dict):
        raise damaged("runs", run, f"{SOAK}.parts_ms is {shown(data)}", "a table")
    return {str(name): number(one, "runs", run, f"{SOAK}.parts_ms", 0, MAX_NUMBER) for name, one in data.items()}


def _finite(data: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(one, float) and not math.isfinite(one) else one for name, one in data.items()}
