"""Candidates that the race of a profile left out: after how many samples, by which others, kept with every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from premodel.fields import shown
from premodel.store.conditions import add_condition
from premodel.store.damage import damaged, read_json
from premodel.store.rows import fetch_plain
from premodel.store.schema import CANDIDATES, RUNS
from premodel.store.store import Store

LEFT_OUT_OF_RACE = "left_out"
"""What the conditions of a run call them."""
MAX_SAMPLES = 2**31 - 1


@dataclass(frozen=True)
class LeftOut:
    """Why a candidate was not profiled any further.

    Attributes
    ----------
    name:
        Of the candidate.
    samples:
        Samples that it and all others had answered by then.
    device:
        Whose times decided.
    margin:
        Points of accuracy that it may be better by than one of `rivals`, alone or beside any other candidate.
    rivals:
        Name by prediction key of those that are no slower and stand in for it.
    """

    name: str
    samples: int
    device: str
    margin: float
    rivals: Mapping[str, str]

    @property
    def note(self) -> str:
        """The words on it."""
        return (
            f"left out after {self.samples} samples: {' or '.join(self.rivals.values())}, no slower, is at most "
            f"{self.margin:g} points less accurate, alone and beside every other candidate; --full profiles it too"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "samples": self.samples,
            "device": self.device,
            "margin": self.margin,
            "rivals": dict(self.rivals),
        }


def left_out_line(conditions: Mapping[str, Any]) -> str:
    """One line on those of a profile, from the conditions of its tables; empty if there are none."""
    stated = conditions.get(LEFT_OUT_OF_RACE)
    if not isinstance(stated, Mapping) or not stated:
        return ""
    named = ", ".join(f"{name} after {samples}" for name, samples in stated.items())
    counted = "1 candidate is" if len(stated) == 1 else f"{len(stated)} candidates are"
    return (
        f"{counted} left out, as others stood in for them by then: {named} samples; why is in premodel store info, and "
        "premodel profile --full measures them too"
    )


def read_left_out(connection: Connection) -> dict[str, LeftOut]:
    """By prediction key, as of the newest run; StoreError if it is damaged."""
    newest = select(RUNS.c.run, RUNS.c.conditions).order_by(RUNS.c.run.desc()).limit(1)
    found: dict[str, LeftOut] = {}
    for run, text in fetch_plain(connection, newest):
        stated = read_json(text, "runs", run).get(LEFT_OUT_OF_RACE, {})
        if not isinstance(stated, dict):
            raise _damaged(run, stated)
        found = {str(key): _read(run, one) for key, one in stated.items()}
    return found


def write_left_out(store: Store, run: int, left: Mapping[str, LeftOut]) -> None:
    """Keep them with a run that has begun."""
    add_condition(store, run, LEFT_OUT_OF_RACE, {key: one.to_json() for key, one in left.items()})


def left_out_names(connection: Connection) -> dict[str, LeftOut]:
    """By name, those of the zoo profiled last."""
    left = read_left_out(connection)
    if not left:
        return {}
    c = CANDIDATES.c
    rows = fetch_plain(connection, select(c.name, c.prediction_key).where(c.position.is_not(None)).order_by(c.position))
    return {str(name): left[key] for name, key in rows if key in left}


def _read(run: object, one: Any) -> LeftOut:
    kinds: Sequence[tuple[str, tuple[type, ...]]] = (
        ("name", (str,)),
        ("samples", (int,)),
        ("device", (str,)),
        ("margin", (int, float)),
        ("rivals", (dict,)),
    )
    if not isinstance(one, dict) or any(type(one.get(name)) not in kind for name, kind in kinds):
        raise _damaged(run, one)
    rivals = {str(key): name for key, name in one["rivals"].items()}
    whole = 0 < one["samples"] <= MAX_SAMPLES and 0 < one["margin"] <= 100
    if not whole or not rivals or not all(isinstance(name, str) for name in rivals.values()):
        raise _damaged(run, one)
    return LeftOut(one["name"], one["samples"], one["device"], float(one["margin"]), rivals)


def _damaged(run: object, value: Any) -> Exception:
    return damaged("runs", run, f"{LEFT_OUT_OF_RACE} of the conditions is {shown(value)}", "as profile writes it")
