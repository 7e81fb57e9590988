"""Stored values that no premodel can have written: one error for all, which names the table and the row."""

from __future__ import annotations

import json
import math
from typing import Any

from premodel.errors import StoreError
from premodel.fields import shown

RESTORE = "restore the store from a copy, or profile into a new one"


def damaged(table: str, row: object, given: str, allowed: str) -> StoreError:
    """The error of one row; `row` is its key."""
    return StoreError(
        "the store holds a damaged row", where=f"table {table}, row {row}", given=given, allowed=allowed, do=RESTORE
    )


def read_json(text: Any, table: str, row: object, kind: type = dict) -> Any:
    """What a column of JSON holds; StoreError if it is no JSON, or another kind than a table (or a list)."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise damaged(table, row, shown(text), "a JSON list" if kind is list else "a JSON table")
    return value


def whole(value: Any, table: str, row: object, name: str, low: int, high: int) -> int:
    """A whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise damaged(table, row, f"{name} is {shown(value)}", f"a whole number from {low} to {high}")
    return value


def number(value: Any, table: str, row: object, name: str, low: float, high: float) -> float:
    """A finite number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise damaged(table, row, f"{name} is {shown(value)}", "a number")
    if not low <= value <= high:
        raise damaged(table, row, f"{name} is {shown(value)}", f"from {low:g} to {high:g}")
    return float(value)


def text(value: Any, table: str, row: object, name: str) -> str:
    """Text."""
    if not isinstance(value, str):
        raise damaged(table, row, f"{name} is {shown(value)}", "text")
    return value
