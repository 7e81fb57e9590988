"""What a premodel is trained for: a floor of accuracy, a ceiling of latency, a cost weight, a deadline."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError

FLOOR_FORMS = "best, best-1pt, best+0.5pt or a share such as 0.78"
_RELATIVE = re.compile(r"best(?:([+-])(\d+(?:\.\d+)?)pt)?")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Floor:
    """The least accuracy that is wanted.

    Attributes
    ----------
    value:
        A share in [0, 1]; or, if `relative`, a difference to the best single candidate's accuracy.
    relative:
        Is it measured from the best single candidate's.
    text:
        As the user wrote it.
    """

    value: float
    relative: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> Floor:
        """Read `best`, `best-1pt`, `best+0.5pt` or a share such as `0.78`.

        Raises
        ------
        OptionError
            It is none of these.

        Examples
        --------
        >>> floor = Floor.parse("best-1pt")
        >>> floor.value, floor.relative
        (-0.01, True)
        """
        match = _RELATIVE.fullmatch(text)
        if match is not None:
            value = float(match[2] or 0) / 100 * (-1 if match[1] == "-" else 1)
        else:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
        if not (-1 if match else 0) <= value <= 1:
            raise OptionError("wrong min-accuracy", given=text, allowed=FLOOR_FORMS)
        return cls(value, match is not None, text)

    def against(self, best_accuracy: float) -> float:
        """The floor as a share, given the best single candidate's accuracy."""
        return best_accuracy + self.value if self.relative else self.value


@dataclass(frozen=True)
class Objective:
    """Which of several operating points is the one wanted; latencies are means, end to end, in ms.

    Attributes
    ----------
    min_accuracy:
        Least latency at an accuracy of this floor or more.
    max_latency_ms:
        Most accuracy at a mean latency of this ceiling or less.
    cost_weight:
        Highest accuracy - cost_weight * latency.
    max_memory_mb, max_energy_mj:
        Ceilings that choose which candidates there are to choose from, alone and together (`training.ceilings`).
    deadline_ms:
        Most on-time accuracy: an answer that takes longer, end to end, counts as wrong. It stands alone.
    slowness:
        What single runs take, as shares of their means: equally probable values, rising (`Tables.slowness`); empty
        where only means are known.

    Notes
    -----
    The chance that an answer is on time is taken from the distribution of single runs, all runs of one answer being
    as much slower than on average as one another: so it is where a slow moment is the machine's.

    Given together, floor and ceiling both hold, and what is best among the points that keep both is decided by the
    cost weight if there is one, else by least latency if there is a floor. With none of them given the floor is
    `best`: least latency at no loss.
    """

    min_accuracy: Floor | None = None
    max_latency_ms: float | None = None
    cost_weight: float | None = None
    max_memory_mb: float | None = None
    max_energy_mj: float | None = None
    deadline_ms: float | None = None
    slowness: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        ceiling, weight = self.max_latency_ms, self.cost_weight
        if ceiling is not None and not (math.isfinite(ceiling) and ceiling > 0):
            raise OptionError("wrong max-latency-ms", given=ceiling, allowed="milliseconds above 0")
        if weight is not None and not (math.isfinite(weight) and weight >= 0):
            raise OptionError("wrong cost-weight", given=weight, allowed="accuracy per ms, 0 or more")
        for name, unit in (("max-memory-mb", "megabytes"), ("max-energy-mj", "millijoules")):
            limit = getattr(self, name.replace("-", "_"))
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise OptionError(f"wrong {name}", given=limit, allowed=f"{unit} above 0")
        alone = self.min_accuracy is None and self.max_latency_ms is None and self.cost_weight is None
        if self.deadline_ms is not None:
            if not (math.isfinite(self.deadline_ms) and self.deadline_ms > 0):
                raise OptionError("wrong deadline-ms", given=self.deadline_ms, allowed="milliseconds above 0")
            if not alone:
                raise OptionError(
                    "deadline-ms excludes min-accuracy, max-latency-ms and cost-weight", given=self.describe(),
                    do="leave the others out: it asks for the most answers that are right and on time",
                )  # fmt: skip
        elif alone:
            object.__setattr__(self, "min_accuracy", Floor.parse("best"))

    def on_time(self, latency_ms: Floats) -> Floats:
        """Chance that answers of these mean latencies keep the deadline; 1 without one.

        Examples
        --------
        >>> Objective(deadline_ms=10, slowness=(0.5, 1.0, 1.0, 2.0)).on_time(np.array([4.0, 6.0, 12.0]))
        array([1.  , 0.75, 0.25])
        """
        taken = np.asarray(latency_ms, dtype=np.float64)
        if self.deadline_ms is None:
            return np.ones_like(taken)
        slowness = np.asarray(self.slowness or (1.0,))
        allowed = self.deadline_ms / np.maximum(taken, 1e-12)
        return np.searchsorted(slowness, allowed, side="right") / len(slowness)

    def timely(self, score: NDArray[Any], latency_ms: Floats) -> Floats:
        """Scores of answers that take so long: what is late is worth nothing. Without a deadline the scores."""
        return np.asarray(score if self.deadline_ms is None else score * self.on_time(latency_ms), dtype=np.float64)

    @property
    def weight_alone(self) -> float | None:
        """The cost weight where neither floor nor ceiling is asked for: it states which point is wanted by itself."""
        return self.cost_weight if self.min_accuracy is None and self.max_latency_ms is None else None

    def feasible(self, accuracy: Floats, latency_ms: Floats, best_accuracy: float) -> NDArray[np.bool_]:
        """Bool (p,): points that keep the floor and the ceiling."""
        kept = np.ones(len(accuracy), dtype=np.bool_)
        if self.min_accuracy is not None:
            # A floor is met when it is met up to rounding: 0.829 of 1,000 samples is not missed by 1e-16.
            kept &= accuracy >= self.min_accuracy.against(best_accuracy) - 1e-12
        if self.max_latency_ms is not None:
            kept &= latency_ms <= self.max_latency_ms
        return kept

    def choose(
        self, accuracy: Floats, latency_ms: Floats, best_accuracy: float, *, bound_ms: Floats | None = None
    ) -> int | None:
        """The point wanted among p operating points; None if none keeps floor and ceiling.

        Ties go to the lower latency, then the higher accuracy, then the first.

        Parameters
        ----------
        bound_ms:
            What is compared with the ceiling in place of the latencies: upper bounds of them, for points in the order
            of rising cost weight. Of equally accurate points within the ceiling the first is then taken, not the
            cheapest: they lie so close that only the bound distinguishes them.

        Examples
        --------
        >>> accuracy, latency_ms = np.array([0.70, 0.81, 0.82]), np.array([1.0, 3.0, 9.0])
        >>> Objective(min_accuracy=Floor.parse("0.8")).choose(accuracy, latency_ms, best_accuracy=0.82)
        1
        """
        kept = np.flatnonzero(self.feasible(accuracy, latency_ms if bound_ms is None else bound_ms, best_accuracy))
        if kept.size == 0:
            return None
        return int(kept[self._order(accuracy[kept], latency_ms[kept], cheapest=bound_ms is None)[0]])

    def choose_or_nearest(
        self, accuracy: Floats, latency_ms: Floats, best_accuracy: float, *, bound_ms: Floats | None = None
    ) -> tuple[int, bool]:
        """The point of `choose`, else that of `nearest`; and does it meet the objective."""
        chosen = self.choose(accuracy, latency_ms, best_accuracy, bound_ms=bound_ms)
        if chosen is not None:
            return chosen, True
        return self.nearest(accuracy, latency_ms if bound_ms is None else bound_ms), False

    def _order(self, accuracy: Floats, latency_ms: Floats, *, cheapest: bool) -> NDArray[np.intp]:
        if self.deadline_ms is not None:
            return np.lexsort((latency_ms, -accuracy))
        if self.cost_weight is not None:
            return np.lexsort((-accuracy, latency_ms, -(accuracy - self.cost_weight * latency_ms)))
        if self.min_accuracy is not None:
            return np.lexsort((-accuracy, latency_ms))
        return np.lexsort((latency_ms, -accuracy)) if cheapest else np.argsort(-accuracy, kind="stable")

    def nearest(self, accuracy: Floats, latency_ms: Floats) -> int:
        """The point to fall back to when none keeps both: the most accurate within the ceiling, else the cheapest."""
        within = np.flatnonzero(latency_ms <= (math.inf if self.max_latency_ms is None else self.max_latency_ms))
        if within.size == 0:
            return int(np.lexsort((-accuracy, latency_ms))[0])
        return int(within[np.lexsort((latency_ms[within], -accuracy[within]))[0]])

    def single(self, names: Sequence[str], accuracy: Floats, latency_ms: Floats) -> int:
        """The single candidate that meets the objective.

        Raises
        ------
        OptionError
            None does; the message names the one that comes nearest.
        """
        chosen = self.choose(accuracy, latency_ms, float(accuracy.max()))
        if chosen is not None:
            return chosen
        nearest = self.nearest(accuracy, latency_ms)
        raise OptionError(
            "no single candidate meets the objective",
            given=self.describe(),
            allowed=f"nearest is {names[nearest]}: accuracy {accuracy[nearest]:.4f} at {latency_ms[nearest]:.3f} ms",
        )

    def describe(self) -> str:
        """The objective in words."""
        parts = []
        if self.min_accuracy is not None:
            parts.append(f"accuracy at least {self.min_accuracy.text}")
        if self.max_latency_ms is not None:
            parts.append(f"mean latency at most {self.max_latency_ms:g} ms")
        if self.cost_weight is not None:
            parts.append(f"cost weight {self.cost_weight:g} per ms")
        if self.deadline_ms is not None:
            parts.append(f"most answers that are right within {self.deadline_ms:g} ms")
        if self.max_memory_mb is not None:
            parts.append(f"memory at most {self.max_memory_mb:g} MB")
        if self.max_energy_mj is not None:
            parts.append(f"energy of an answer at most {self.max_energy_mj:g} mJ")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """JSON-serialisable, for the bundle; deadline and ceilings of memory and energy only where there are any."""
        names = ("deadline_ms", "max_memory_mb", "max_energy_mj")
        further = {name: getattr(self, name) for name in names}
        return {
            "min_accuracy": None if self.min_accuracy is None else self.min_accuracy.text,
            "max_latency_ms": self.max_latency_ms,
            "cost_weight": self.cost_weight,
            **{name: value for name, value in further.items() if value is not None},
        }
