"""What optimal stopping asks of a profile and of a pool fitted on it, whatever the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from premodel.runtime.policies.latency_curve import LatencyCurves


class PoolTable(Protocol):
    """n samples and p candidates: `LogScoreTable` of labels, `GradedTable` of other answers."""

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates."""

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """(p,), mean preprocess + run of each."""

    @property
    def before_ms(self) -> float:
        """What an answer costs besides."""

    @property
    def correct(self) -> NDArray[Any]:
        """(n, p), was each candidate right, or the grade of its answer."""

    @property
    def answered(self) -> NDArray[np.bool_]:
        """(n, p), did each candidate answer."""

    @property
    def curves(self) -> LatencyCurves | None:
        """What each candidate takes by the length of an input; None where that makes no difference."""

    def __len__(self) -> int:
        """n."""

    def latency(self) -> NDArray[np.float64]:
        """float64 (n, p), preprocess + run of each candidate on each sample."""

    def saved_ms(self) -> NDArray[np.float64] | None:
        """float64 (n, p), how much less than on average each is expected to take on each sample; None for nothing."""

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The same on some samples."""

    def take_candidates(self, columns: Sequence[int]) -> Self:
        """The same with some candidates, in this order."""


class Fit(Protocol):
    """A pool fitted on training rows, not yet for any cost: `SetFit` of labels, `GradedFit` of other answers."""

    def states(self, table: Any) -> Any:
        """`States` of every set on every sample."""

    def rewards(self, states: Any) -> NDArray[np.float32]:
        """float32 (2 ** p, n), what the answer of each state is worth."""

    def reordered(self, order: Sequence[int]) -> Any:
        """The same fit for the pool with candidate `order[j]` at place j."""
