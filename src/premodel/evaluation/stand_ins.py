"""The best single candidate as it is served: where it fails, others stand in for it and their time counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.stats import paired_bootstrap
from premodel.training.objective import Objective
from premodel.training.policies.single import order_of, with_stand_ins
from premodel.training.tables import Tables
from premodel.verdict import Interval, Verdict, shown_sign

SAME_MS = 1e-6
"""Latencies no further apart are the same but for rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoodIn:
    """Figures of a candidate with its stand-ins.

    Attributes
    ----------
    name:
        Of the candidate.
    accuracy, latency_ms:
        Of what is served; latency end to end.
    gain, gain_ci:
        Accuracy minus that of the candidate alone, in points, with its 95 % interval.
    samples:
        Behind the figures.
    verdict:
        What was tested against it; None where nothing was.
    """

    name: str
    accuracy: float
    latency_ms: float
    gain: float
    gain_ci: Interval
    samples: int
    verdict: Verdict | None = None

    @property
    def figures(self) -> str:
        """Both in words."""
        return f"{100 * self.accuracy:.1f} % at {self.latency_ms:.2f} ms"

    @property
    def is_worth_it(self) -> bool:
        """Is it shown to be more accurate than the candidate alone."""
        return shown_sign(self.gain, self.gain_ci, self.samples) > 0

    @property
    def sentence(self) -> str:
        """What was tested against it, in words; empty where nothing was."""
        return "" if self.verdict is None else self.verdict.sentence(f"{self.name} with its stand-ins ({self.figures})")

    @property
    def is_exceeded(self) -> bool:
        """Is what was tested shown to be more accurate."""
        return self.verdict is not None and self.verdict.accuracy == "higher"


@dataclass(frozen=True, eq=False)
class ServedAlone:
    """What a candidate with its stand-ins serves, sample by sample.

    Attributes
    ----------
    name:
        Of the candidate.
    score, latency_ms:
        float64 (n,) each; latency end to end.
    alone:
        Scores of the candidate alone, float64 (n,).
    """

    name: str
    score: Floats
    latency_ms: Floats
    alone: Floats

    @property
    def figures(self) -> StoodIn:
        """The means."""
        difference = self.score - self.alone
        low, high = paired_bootstrap(difference)
        return StoodIn(
            self.name, float(self.score.mean()), float(self.latency_ms.mean()), 100 * float(difference.mean()),
            (100 * low, 100 * high), len(difference),
        )  # fmt: skip

    def beside(self, score: Floats, mean_ms: float, seed: int) -> StoodIn:
        """The means, and what answered the same samples with these scores in this mean time, against them."""
        found, difference = self.figures, np.asarray(score, dtype=np.float64) - self.score
        low, high = paired_bootstrap(difference, seed=seed)
        verdict = Verdict(
            len(difference), found.latency_ms / mean_ms, 100 * float(difference.mean()), (100 * low, 100 * high)
        )
        return replace(found, verdict=verdict)


def served_alone(
    tables: Tables, criterion: Criterion, column: int, objective: Objective | None = None
) -> ServedAlone | None:
    """What policy `single` serves with this candidate, as its training counts it.

    Parameters
    ----------
    objective:
        Whose ceilings the stand-ins must keep together with it; without one all others stand in.

    Returns
    -------
    None where it never fails, or nothing stands in for it: then it serves what it answers alone.
    """
    if tables.answered[:, column].all():
        return None
    scores = tables.score(criterion)
    accuracy = scores.mean(axis=0)
    order = order_of(tables, accuracy, column, Objective() if objective is None else objective)
    if len(order) == 1:
        return None
    score, spent_ms = with_stand_ins(tables, criterion, order)
    return ServedAlone(
        tables.candidates[column], score, tables.decode_ms + spent_ms, np.asarray(scores[:, column], np.float64)
    )


def serves_one(
    tables: Tables, criterion: Criterion, score: Floats, latency_ms: Floats, parts: Sequence[NDArray[np.intp]] = ()
) -> bool:
    """Is this what one candidate serves with its stand-ins, on every sample: then nothing is chosen per input.

    Parameters
    ----------
    score, latency_ms:
        (n,) each, of the answers; latency end to end.
    parts:
        Samples that were served by one policy each, whose decisions took the same; without any all were.
    """
    correct, each_ms = tables.score(criterion), tables.decode_ms + tables.latency()
    for column in range(len(tables.candidates)):
        alone = served_alone(tables, criterion, column)
        own = (correct[:, column], each_ms[:, column]) if alone is None else (alone.score, alone.latency_ms)
        over_ms = latency_ms - own[1]
        apart = [float(np.ptp(over_ms[rows])) for rows in parts or [np.arange(len(score))]]
        if np.array_equal(score, own[0]) and max(apart) < SAME_MS:
            return True
    return False
