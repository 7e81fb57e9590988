"""Matrix products without false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Give `a @ b`, without a warning of an invalid value.

    Notes
    -----
    OpenBLAS computes on what lies beside the data too, and drops it; now and then that leaves the processor's flag of
    an invalid operation behind, and numpy warns of results that are right (numpy issues 13173 and 24067).

    Examples
    --------
    >>> product(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones(2))
    array([3., 7.])
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(a @ b)
