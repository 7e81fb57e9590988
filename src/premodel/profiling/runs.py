"""Runs of `premodel profile`: what was asked, under which conditions, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from premodel.store.schema import RUNS
from premodel.store.store import Store


def begin_run(store: Store, values: Mapping[str, str]) -> int:
    """Store a run that begins; gives its number."""

    def work(connection: Connection) -> int:
        run = int(connection.scalar(select(func.max(RUNS.c.run))) or 0) + 1
        connection.execute(insert(RUNS).values(run=run, **values))
        return run

    return store.write(work)


def end_run(store: Store, run: int, values: Mapping[str, str]) -> None:
    """Store how it ended; a run that was killed has no end."""
    store.write(lambda connection: connection.execute(update(RUNS).where(RUNS.c.run == run).values(**values)))


def run_conditions(store: Store, run: int | None) -> dict[str, Any]:
    """Conditions of a run, of the newest if None; empty if there is none.

    If the run timed anything and reached its end, `other_cores` is the number of cores that other programs kept busy.
    """
    query = select(RUNS.c.conditions, RUNS.c.outcome).order_by(RUNS.c.run.desc())
    if run is not None:
        query = query.where(RUNS.c.run == run)
    with store.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return {}
    conditions: dict[str, Any] = json.loads(row.conditions)
    timings = (json.loads(row.outcome) if row.outcome else {}).get("timings")
    return {**conditions, "other_cores": timings["other_cores"]} if timings else conditions
