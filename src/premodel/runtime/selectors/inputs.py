"""The check that every selector makes of the raw features it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import InputError
from premodel.runtime.selectors.base import Features


def checked(features: NDArray[Any], names: Sequence[str]) -> Features:
    """Give the features of one input as float32 (F,).

    Raises
    ------
    InputError
        Not F numbers, or one of them is NaN or infinite.
    """
    vector = np.asarray(features, dtype=np.float32)
    if vector.shape != (len(names),):
        raise InputError("wrong number of features", given=vector.shape, allowed=f"({len(names)},): {', '.join(names)}")
    if not all(map(math.isfinite, vector.tolist())):  # on a few numbers, quicker than numpy
        refuse(vector[None], names)
    return vector


def checked_batch(features: NDArray[Any], names: Sequence[str]) -> Features:
    """Give the features of n inputs as float32 (n, F).

    Raises
    ------
    InputError
        Not F columns, or a value is NaN or infinite.
    """
    rows = np.asarray(features, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != len(names):
        raise InputError("wrong number of features", given=rows.shape, allowed=f"(n, {len(names)}): {', '.join(names)}")
    if not np.isfinite(rows).all():
        refuse(rows, names)
    return rows


def refuse(rows: Features, names: Sequence[str]) -> None:
    """Name the first value that is not finite.

    Raises
    ------
    InputError
        Always.
    """
    row, column = np.argwhere(~np.isfinite(rows))[0]
    raise InputError(
        "a feature is not a finite number",
        where=f"feature {names[column]}" + (f" of row {row}" if len(rows) > 1 else ""),
        given=rows[row, column],
        allowed="finite numbers",
    )
