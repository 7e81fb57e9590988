"""What each candidate takes by the length of an input, known before any runs: of texts, words or characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.fields import shown

MAX_MS = 1e9
"""Of one latency, as of the costs of a bundle."""
MAX_LENGTH = 1e9
MIN_STEP = 1e-6
"""Between two lengths: a line over less has no slope that could be computed."""
MAX_KNOTS = 1000
MAX_KNOWN = 4096
"""Lengths whose latencies are kept."""


@dataclass(frozen=True)
class LatencyCurves:
    """Latency of each of m candidates over the length of an input: lines between k points, never falling.

    Below the first point a latency is that of the first; beyond the last it rises as it does from the first to the
    last. A candidate whose time does not depend on the length has one latency at all points.

    Attributes
    ----------
    measure:
        What the length is, one of `Domain.lengths`.
    lengths:
        Of the points, k, rising.
    latency_ms:
        m by k, each row never falling.

    Examples
    --------
    >>> curves = LatencyCurves("n_words", (2.0, 4.0), ((1.0, 2.0), (5.0, 5.0)))
    >>> [curves.at(length).tolist() for length in (1, 3, 8)]
    [[1.0, 5.0], [1.5, 5.0], [4.0, 5.0]]
    """

    measure: str
    lengths: tuple[float, ...]
    latency_ms: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        points, values = np.asarray(self.lengths), np.asarray(self.latency_ms)
        if not 2 <= points.size <= MAX_KNOTS or values.shape != (len(self.latency_ms), points.size):
            raise ValueError(f"latency curves must have 2 to {MAX_KNOTS} points, and one latency at each")
        if not ((points >= 0) & (points <= MAX_LENGTH)).all() or (np.diff(points) < MIN_STEP).any():
            raise ValueError(f"lengths of latency curves must rise by {MIN_STEP:g} or more, from 0 to {MAX_LENGTH:g}")
        if not ((values >= 0) & (values <= MAX_MS)).all() or (np.diff(values, axis=1) < 0).any():
            raise ValueError(f"latency curves must not fall, from 0 to {MAX_MS:g} ms")

    @cached_property
    def _lines(self) -> list[list[tuple[float, float]]]:
        """Below the first point, between points, and beyond the last: by candidate, latency where it begins, slope."""
        columns, points = np.asarray(self.latency_ms, np.float64).T, np.asarray(self.lengths)
        inside = np.diff(columns, axis=0) / np.diff(points)[:, None]
        beyond = (columns[-1:] - columns[:1]) / (points[-1] - points[0])
        slopes = np.concatenate([np.zeros_like(beyond), inside, beyond])
        starts = np.concatenate([columns[:1], columns])
        return [list(zip(*pair, strict=True)) for pair in zip(starts.tolist(), slopes.tolist(), strict=True)]

    @cached_property
    def _known(self) -> dict[float, NDArray[np.float64]]:
        """What `at` gave, by length: most inputs are as long as one before."""
        return {}

    def at(self, length: float) -> NDArray[np.float64]:
        """float64 (m,), not to be written to: what each candidate takes for an input of that length, at most MAX_MS."""
        found = self._known.get(length)
        if found is None:
            found = self._at(length)
            found.flags.writeable = False
            if len(self._known) < MAX_KNOWN:
                self._known[length] = found
        return found

    def _at(self, length: float) -> NDArray[np.float64]:
        place = bisect_right(self.lengths, length)
        more = length - self.lengths[max(place - 1, 0)]
        return np.array([min(start + slope * more, MAX_MS) for start, slope in self._lines[place]])

    def of(self, lengths: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 (n, m): the same for many inputs, to the bit."""
        values, points = np.asarray(lengths, np.float64), np.asarray(self.lengths)
        lines = np.array(self._lines)  # (k + 1, m, 2)
        place = np.searchsorted(points, values, side="right")
        more = values - points[np.maximum(place - 1, 0)]
        return np.asarray(np.minimum(lines[place, :, 0] + lines[place, :, 1] * more[:, None], MAX_MS))

    def take(self, candidates: Sequence[int]) -> LatencyCurves:
        """The curves of some candidates, in this order."""
        return LatencyCurves(self.measure, self.lengths, tuple(self.latency_ms[one] for one in candidates))

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable; `from_json` makes equal curves of it."""
        return {
            "measure": self.measure,
            "lengths": list(self.lengths),
            "latency_ms": [list(row) for row in self.latency_ms],
        }

    @classmethod
    def from_json(cls, data: Any, count: int) -> LatencyCurves:
        """Make the curves of `count` candidates again.

        Raises
        ------
        BundleError
            Something is missing or unknown, or they are no curves of so many candidates.
        """
        if not isinstance(data, Mapping) or set(data) != {"measure", "lengths", "latency_ms"}:
            raise BundleError("latency curves must have measure, lengths and latency_ms", given=shown(data))
        try:
            measure = data["measure"]
            lengths = tuple(float(value) for value in data["lengths"])
            latency_ms = tuple(tuple(float(value) for value in row) for row in data["latency_ms"])
            if not isinstance(measure, str) or len(latency_ms) != count:
                raise ValueError(f"there must be a measure and {count} curves")
            return cls(measure, lengths, latency_ms)
        except (TypeError, ValueError, OverflowError) as error:
            raise BundleError("the policy's latency curves are wrong", given=error) from error
