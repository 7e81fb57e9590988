"""What the answers of a premodel cost, as the profile measured it: the ground of budgets and cost weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import BundleError, OptionError
from premodel.fields import shown

if TYPE_CHECKING:
    from premodel.runtime.policies.latency_curve import LatencyCurves

MAX_MS = 1e9
"""Of one latency in a bundle, eleven days: sums and products with weights stay far within a float."""


@dataclass(frozen=True)
class Costs:
    """Mean latencies of a policy's candidates and of what comes before them, in ms.

    Attributes
    ----------
    latency_ms:
        Preprocess + run of each candidate, in the policy's order.
    decode_ms:
        Decode of one input.
    features_ms:
        Extraction of the policy's features; 0 if it asks for none.
    select_ms:
        Estimate of the decision itself.
    by_length:
        What each candidate takes as a function of the input's length; None where it is the same for every input.
    """

    latency_ms: tuple[float, ...]
    decode_ms: float
    features_ms: float = 0.0
    select_ms: float = 0.0
    by_length: LatencyCurves | None = None

    @cached_property
    def _all(self) -> NDArray[np.bool_]:
        return np.ones(len(self.latency_ms), dtype=np.bool_)

    @property
    def before_ms(self) -> float:
        """All that an answer costs besides the candidates it runs."""
        return self.decode_ms + self.features_ms + self.select_ms

    def within(
        self,
        candidates: Sequence[str],
        max_latency_ms: float | None,
        load_ms: NDArray[np.float64] | None = None,
        failed: Collection[int] = (),
        predicted_ms: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Bool (m,), not to be written to: candidates whose answer, end to end, keeps the budget; all if there is none.

        Parameters
        ----------
        candidates:
            Their names, for messages.
        max_latency_ms:
            The budget; None for none.
        load_ms:
            What opening each one takes now; it counts.
        failed:
            Those that cannot answer this input.
        predicted_ms:
            What each takes for this input; None for `latency_ms`.

        Notes
        -----
        Where nothing keeps the budget only because it would have to be opened first, that which is open the soonest is
        let in: the answer is late once, and from then on it is open.

        Raises
        ------
        OptionError
            The budget is below the cheapest candidate, which the message names with its latency.
        """
        if max_latency_ms is None:
            return self._all
        end_to_end_ms = np.asarray(self.latency_ms if predicted_ms is None else predicted_ms) + self.before_ms
        kept: NDArray[np.bool_] = end_to_end_ms <= max_latency_ms
        if not kept.any():
            cheapest = int(np.argmin(end_to_end_ms))
            raise OptionError(
                "no candidate can answer within max_latency_ms",
                given=f"{max_latency_ms:g} ms",
                allowed=f"{rounded_up(end_to_end_ms[cheapest])} ms or more: the cheapest candidate is "
                f"{candidates[cheapest]}",
            )
        if load_ms is None or not load_ms.any():
            return kept
        loaded_ms = end_to_end_ms + load_ms
        kept_open: NDArray[np.bool_] = loaded_ms <= max_latency_ms
        left = [index for index in np.flatnonzero(kept) if index not in failed]
        if left and not kept_open[left].any():
            kept_open[min(left, key=loaded_ms.__getitem__)] = True
        return kept_open

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable; `from_json` makes equal costs of it."""
        data = asdict(self) | {"latency_ms": list(self.latency_ms)}
        del data["by_length"]
        return data if self.by_length is None else data | {"by_length": self.by_length.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], count: int) -> Costs:
        """Make the costs of `count` candidates again.

        Raises
        ------
        BundleError
            A value is missing, or no finite latency of 0 ms or more; there is not one per candidate, or the curves of
            latency over length are none.
        """
        try:
            latency_ms = tuple(float(value) for value in data["latency_ms"])
            decode_ms, features_ms, select_ms = (
                float(data[name]) for name in ("decode_ms", "features_ms", "select_ms")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("the policy's costs are incomplete", given=f"{type(error).__name__}: {error}") from error
        values = np.asarray([*latency_ms, decode_ms, features_ms, select_ms])
        if len(latency_ms) != count or not ((values >= 0) & (values <= MAX_MS)).all():
            raise BundleError(
                "the policy's costs are wrong",
                given=shown(dict(data)),
                allowed=f"{count} latencies, 0 to {MAX_MS:g} ms",
            )
        curves = data.get("by_length")
        if curves is None:
            return cls(latency_ms, decode_ms, features_ms, select_ms)
        # Only where there are any: images have no use for the code.
        from premodel.runtime.policies.latency_curve import LatencyCurves

        by_length = LatencyCurves.from_json(curves, count)
        return cls(latency_ms, decode_ms, features_ms, select_ms, by_length)


def rounded_up(latency_ms: float) -> str:
    """A least latency as text, three decimals, rounded up: what is printed must be enough."""
    return f"{math.ceil(1000 * latency_ms) / 1000:.3f}"
