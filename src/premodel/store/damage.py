"""Stored values that no premodel can have written: one error for all, which names the table and the row."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def whole_column(
    values: Sequence[Any], table: str, rows: Sequence[Any], name: str, low: int, high: int
) -> NDArray[np.int64]:
    """A column of whole numbers from low to high; the first row that has another value is named, from `rows`."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):  # bytes beside numbers, and beyond 64 bits
        array = np.array(None)
    if array.dtype.kind != "i" or (array.size and not low <= array.min() <= array.max() <= high):
        for row, value in zip(rows, values, strict=True):
            whole(value, table, row, name, low, high)
        return np.array([int(value) for value in values], np.int64)
    return array.astype(np.int64)


def number_column(
    values: Sequence[Any], table: str, rows: Sequence[Any], name: str, low: float, high: float
) -> NDArray[np.float64]:
    """A column of finite numbers from low to high."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        array = np.array(None)
    if array.dtype.kind not in "fi" or (array.size and not low <= array.min() <= array.max() <= high):
        for row, value in zip(rows, values, strict=True):
            number(value, table, row, name, low, high)
    return array.astype(np.float64)


def number(value: Any, table: str, row: object, name: str, low: float, high: float) -> float:
    """A finite number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise damaged(table, row, f"{name} is {shown(value)}", "a number")
    if not low <= value <= high:
        raise damaged(table, row, f"{name} is {shown(value)}", f"from {low:g} to {high:g}")
    return float(value)


def flag(value: Any, table: str, row: object, name: str) -> bool:
    """True or false, as every engine states it."""
    if value not in (0, 1) or isinstance(value, float):
        raise damaged(table, row, f"{name} is {shown(value)}", "true or false")
    return bool(value)


def text(value: Any, table: str, row: object, name: str) -> str:
    """Text."""
    if not isinstance(value, str):
        raise damaged(table, row, f"{name} is {shown(value)}", "text")
    return value
