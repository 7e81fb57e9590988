"""Exact nearest neighbours in numpy alone, on one thread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.distances import DistanceTable

BLOCK = 256
"""Rows that lie together in a block."""
BOXES_FROM = 64
"""Number of blocks from which asking which of them are near takes less time than it saves."""
BOXES_UP_TO = 8
"""Number of features up to which it does: with more, nearly all blocks are near."""
Boxes = tuple[NDArray[np.float64], NDArray[np.float64]]
UNDERFLOW = 1e-40
"""More than float32 can lose to underflow in one distance."""


class NeighbourSearch:
    """The k nearest of n rows by Euclidean distance, exactly.

    Parameters
    ----------
    rows:
        float32 (n, F), scaled and finite.
    k:
        Number of neighbours, at most n.

    Notes
    -----
    Neighbours are ordered by distance, equal distances by row: the earlier training row first. The distance is the
    sum of squared differences in float64, taken feature by feature in order, so that equal rows are equally far on
    every machine.

    If there are many rows of few features, they are kept in blocks of rows that lie near each other, as the leaves of
    a k-d tree; a block whose bounding box is farther than k rows of the nearest block is not looked at. Distances to
    all other rows are computed roughly, in float32. The k-th least of the minima over the columns of that table bounds
    the k-th least distance from above; what lies below the bound, widened by the worst rounding error of the table, is
    measured again in float64. Only the last measurement decides.
    """

    def __init__(self, rows: Features, k: int) -> None:
        n, n_features = rows.shape
        self.k = k
        boxed = n_features <= BOXES_UP_TO and n >= BOXES_FROM * max(BLOCK, k)
        width = max(BLOCK, k)
        self._order = leaf_order(rows, width) if boxed else np.arange(n)
        ordered = rows[self._order]
        self._table = DistanceTable(ordered, np.float32, k, width) if boxed else DistanceTable(ordered, np.float32, k)
        self._columns = np.ascontiguousarray(ordered.T)
        self._full_blocks = n // self._table.width
        self._boxes = bounding_boxes(ordered, self._table.width) if boxed else None

    def nearest(self, query: Features) -> NDArray[np.intp]:
        """Rows of the k nearest to a query float32 (F,): intp (k,)."""
        exact = query.astype(np.float64)
        square = float(exact @ exact)
        slack = 2 * self._table.error * (2 * self._table.greatest + square) + UNDERFLOW
        extended = self._table.extended(query)
        near = None if self._boxes is None else self._near(self._boxes, exact, extended, square + slack)
        rough = self._table.of(extended) if near is None else self._table.of(extended, near)
        minima = rough.min(axis=0)
        bound = np.float32(self._kth(minima) + slack)
        columns = np.flatnonzero(minima <= bound)
        block, column = np.nonzero(rough[:, columns] <= bound)
        places = (block if near is None else near[block]) * self._table.width + columns[column]
        rows: NDArray[np.intp] = self._order[places]
        if len(rows) == 1:
            return rows
        difference = self._columns[:, places].astype(np.float64)
        difference -= exact[:, None]
        distances = np.square(difference, out=difference).sum(axis=0)
        return rows[np.lexsort((rows, distances))[: self.k]]

    def _near(
        self, boxes: Boxes, exact: NDArray[np.float64], extended: Features, offset: float
    ) -> NDArray[np.intp] | None:
        """Blocks that may hold one of the k nearest; None if that is most of them.

        `offset` turns a rough distance into an upper bound of the squared one.
        """
        low, high = boxes
        outside = np.maximum(low - exact[:, None], exact[:, None] - high)
        np.maximum(outside, 0, out=outside)
        least = np.add.reduce(np.square(outside, out=outside), axis=0)
        nearest = int(least[: self._full_blocks].argmin())
        near = np.flatnonzero(least <= self._kth(self._table.of(extended, nearest)) + offset)
        return near if 2 * len(near) <= self._table.blocks else None

    def _kth(self, values: Features) -> float:
        """The k-th least of at least k values."""
        return float(np.partition(values, self.k - 1)[self.k - 1])


def leaf_order(rows: Features, width: int) -> NDArray[np.intp]:
    """An order of n rows in which each `width` in turn lie together: intp (n,), the row at each place.

    Rows are halved, at a multiple of `width`, along the feature in which they spread widest, again and again.
    """
    order = np.arange(len(rows))
    open_parts = [(0, len(rows))]
    while open_parts:
        start, stop = open_parts.pop()
        blocks = -(-(stop - start) // width)
        if blocks < 2:
            continue
        part = order[start:stop]
        values = rows[part]
        widest = int((values.max(axis=0) - values.min(axis=0)).argmax())
        middle = blocks // 2 * width
        order[start:stop] = part[np.argpartition(values[:, widest], middle)]
        open_parts += [(start, start + middle), (start + middle, stop)]
    return order


def bounding_boxes(rows: Features, width: int) -> Boxes:
    """Least and greatest value of each feature in each `width` rows in turn: two of float64 (F, blocks)."""
    starts = np.arange(0, len(rows), width)
    low, high = np.minimum.reduceat(rows, starts, axis=0), np.maximum.reduceat(rows, starts, axis=0)
    return low.T.astype(np.float64, order="C"), high.T.astype(np.float64, order="C")
