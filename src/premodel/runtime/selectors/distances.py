"""Distances from one input to many rows, quickly and on one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this many multiply-adds per product, BLAS libraries stay on the calling thread; a second thread costs
# more than it brings here and stalls for milliseconds on a busy machine.
PRODUCT = 9_216


class DistanceTable:
    """|x|^2 - 2 x.q for all rows x: what varies in the squared distance between a query q and the rows.

    Parameters
    ----------
    rows:
        Finite (n, F).
    dtype:
        float32 or float64: what the table is kept and multiplied in.
    least, most:
        Rows per block. Within them it is as many as are multiplied on one thread, but not more than there are.

    Attributes
    ----------
    width:
        Rows per block.
    blocks:
        Number of blocks; row r is number r % width of block r // width. The last one is filled up with rows that are
        infinitely far.
    error:
        The result is off by at most error * (2 * greatest + |q|^2), whatever the order in which BLAS adds.
    greatest:
        Greatest |x|^2.
    """

    def __init__(self, rows: NDArray[Any], dtype: type[np.floating[Any]], least: int = 1, most: int = PRODUCT) -> None:
        n, n_features = rows.shape
        self.width = max(least, min(most, PRODUCT // (n_features + 1), n))
        self.blocks = -(-n // self.width)
        squares = np.square(rows.astype(np.float64)).sum(axis=1)
        table = np.zeros((self.blocks * self.width, n_features + 1), dtype=dtype)
        table[:n, :-1] = rows
        table[:n, -1] = squares
        table[n:, -1] = np.inf
        self._table = np.ascontiguousarray(table.reshape(self.blocks, self.width, n_features + 1).transpose(0, 2, 1))
        self.greatest = float(squares.max(initial=0.0))
        # F + 1 products and F sums, the stored square, and the rounding of a bound made of the result
        self.error = 1.01 * (n_features + 5) * float(np.finfo(dtype).eps) / 2

    def extended(self, query: NDArray[Any]) -> NDArray[Any]:
        """A query (F,) in the form that `of` requires: (F + 1,)."""
        extended = np.empty(len(query) + 1, dtype=self._table.dtype)
        extended[:-1] = query
        extended *= -2
        extended[-1] = 1
        return extended

    def of(self, extended: NDArray[Any], blocks: Any = slice(None)) -> NDArray[Any]:
        """From an extended query to the rows of some blocks, of all by default: (number of blocks, width)."""
        found: NDArray[Any] = extended @ self._table[blocks]
        return found
