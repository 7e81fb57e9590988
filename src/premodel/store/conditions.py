"""Conditions of a run that become known while it runs."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select, update

from premodel.store.damage import read_json
from premodel.store.schema import RUNS
from premodel.store.store import Store


def add_condition(store: Store, run: int, name: str, value: Any) -> None:
    """Keep a value of plain JSON types with a run that has begun, at once: the run may be broken off."""

    def work(connection: Connection) -> None:
        own = RUNS.c.run == run
        conditions = read_json(connection.scalar(select(RUNS.c.conditions).where(own)), "runs", run)
        conditions[name] = value
        connection.execute(update(RUNS).where(own).values(conditions=json.dumps(conditions)))

    store.write(work)
