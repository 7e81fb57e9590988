"""Policy `cascade`: run candidates in one learned order, stop when sure enough, skip those that would not pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from premodel.runtime.policies.stopping import NOT_ALLOWED, StoppingParts, StoppingPolicy


class Cascade(StoppingPolicy):
    """After each run, stop or run a later candidate of one fixed order; `candidates` is that order.

    Source: Viola and Jones, "Rapid object detection using a boosted cascade of simple classifiers", 2001, section 4,
    for the form.

    Notes
    -----
    The order is learned, not that of latency; the next stage may be skipped for a later one; and what a stage serves
    is fused from all that ran. After a failure the order still holds: what was passed over is not gone back to.
    """

    kind = "cascade"

    def __init__(self, candidates: Sequence[str], parts: StoppingParts, **more: Any) -> None:
        super().__init__(candidates, parts, **more)
        for ran in range(1, 2 ** len(self.candidates)):
            if (parts.gains[:, ran, : ran.bit_length(), 0] > NOT_ALLOWED / 2).any():
                raise ValueError("a cascade does not go back in its order")
