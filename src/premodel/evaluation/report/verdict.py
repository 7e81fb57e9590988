"""What was won or lost, in one sentence, and which of several premodels is the one to speak of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from premodel.errors import OptionError
from premodel.evaluation.rows import Row
from premodel.training.objective import Objective

Outcome = Literal["won", "traded", "nothing won", "lost"]


@dataclass(frozen=True)
class Verdict:
    """The result of one premodel.

    Attributes
    ----------
    outcome:
        "won": more accurate, or faster at no accuracy lost, and above the random mix. "traded": faster and less
        accurate, and not below the random mix. "lost": less accurate and no faster, or below the random mix.
        "nothing won" otherwise.
    sentence:
        It in one sentence, with both intervals.
    """

    outcome: Outcome
    sentence: str


def best_single(rows: Sequence[Row]) -> Row:
    """The most accurate single candidate; ties by lower latency.

    Raises
    ------
    OptionError
        There is none.
    """
    singles = [row for row in rows if row.kind == "single"]
    if not singles:
        raise OptionError("nothing to compare with", given="no single candidate")
    return max(singles, key=lambda row: (row.accuracy, -row.latency_ms))


def best_premodel(rows: Sequence[Row], objective: Objective) -> Row:
    """The premodel that the objective prefers, by its cross-validated figures; if none meets it, the nearest.

    Raises
    ------
    OptionError
        There is none.

    Notes
    -----
    The choice among the premodels is made on the samples they are judged on, which favours the chosen one; with two or
    three to choose from by little.
    """
    premodels = [row for row in rows if row.kind == "premodel"]
    if not premodels:
        raise OptionError("nothing to report", given="no premodel")
    accuracy = np.array([row.accuracy for row in premodels])
    latency_ms = np.array([row.latency_ms for row in premodels])
    chosen = objective.choose(accuracy, latency_ms, best_single(rows).accuracy)
    return premodels[objective.nearest(accuracy, latency_ms) if chosen is None else chosen]


def judge(premodel: Row, rows: Sequence[Row]) -> Verdict:
    """Say what a premodel won or lost against the best single candidate and the random mix.

    A word of winning needs an interval wholly above 0, a word of losing one wholly below.
    """
    best = best_single(rows)
    faster = premodel.speedup_vs_best > 1
    mix_low, mix_high = _interval(premodel.extra.get("mix_ci"))
    outcome: Outcome = "nothing won"
    if mix_high < 0 or (premodel.gain_ci[1] < 0 and not faster):
        outcome = "lost"
    elif premodel.gain_ci[1] < 0:
        outcome = "traded"
    elif mix_low > 0 and (faster or premodel.gain_ci[0] > 0):
        outcome = "won"
    head = {
        "won": "Won",
        "traded": "Accuracy traded for time",
        "nothing won": "Nothing won",
        "lost": "Lost",
    }[outcome]
    pace = _pace(premodel.speedup_vs_best)
    text = (
        f"{head}: {premodel.name} answers {100 * premodel.accuracy:.1f} % rightly in {premodel.latency_ms:.2f} ms on "
        f"average, {pace} the best single candidate {best.name} ({100 * best.accuracy:.1f} % in "
        f"{best.latency_ms:.2f} ms), a difference of {points(premodel.gain_points_vs_best)} points in accuracy "
        f"{interval(premodel.gain_ci)}"
    )
    if "mix_ci" in premodel.extra:
        text += f"; {_against_mix(float(premodel.extra['gain_points_vs_mix']), (mix_low, mix_high))}"
    invalid = [row.name for row in rows if row.kind == "single" and "INVALID" in row.verdict]
    if invalid:
        text += f"; the latencies rest on INVALID timings ({', '.join(invalid)})"
    return Verdict(outcome, text + ".")


def _pace(speedup: float) -> str:
    """How fast against the best single candidate, up to the word "as"."""
    if f"{speedup:.2f}" == "1.00":
        return "as fast as"
    return f"{speedup:.2f} times as fast as" if speedup > 1 else f"{1 / speedup:.2f} times as slow as"


def points(value: float, decimals: int = 1) -> str:
    """Points of accuracy with a sign; what rounds to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if not float(text) else text.replace("-", "−")  # noqa: RUF001


def interval(bounds: tuple[float, float]) -> str:
    """A 95 % interval in points; finer where an end so near to zero would hide on which side of it it lies."""
    decimals = 2 if any(end and not float(f"{end:.1f}") for end in bounds) else 1
    return f"[{points(bounds[0], decimals)}, {points(bounds[1], decimals)}]"


def _interval(given: object) -> tuple[float, float]:
    if isinstance(given, list | tuple) and len(given) == 2:
        return float(given[0]), float(given[1])
    return 0.0, 0.0


def _against_mix(gain: float, bounds: tuple[float, float]) -> str:
    at = f"the random mix of single candidates that takes the same time ({points(gain)} points {interval(bounds)})"
    if bounds[0] > 0:
        return f"it is more accurate than {at}"
    if bounds[1] < 0:
        return f"it is LESS accurate than {at}"
    return f"it cannot be told apart from {at}"
