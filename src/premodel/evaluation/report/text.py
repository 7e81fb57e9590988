"""Figures as text, for the tables of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from premodel.clock import MIN_P99_RUNS
from premodel.evaluation.cross_validation import Outcome
from premodel.evaluation.memory import MemoryStep
from premodel.evaluation.peer_curves import PeerCurve
from premodel.evaluation.report.classes import MIN_CLASS_SAMPLES, ClassGain
from premodel.evaluation.report.reliability import Calibration
from premodel.evaluation.report.timings import Spread
from premodel.evaluation.rows import Row
from premodel.verdict import interval, points, shown_sign

KINDS = {"single": "single candidate", "baseline": "baseline", "premodel": "premodel"}

LONGEST_LABEL = 28
_WORDNET = re.compile(r"^n\d{8}\s+")
HIDDEN = ("data", "file")
"""Conditions that hold paths of the machine the profile was made on."""


@dataclass(frozen=True)
class TextTable:
    """A table for the page.

    Attributes
    ----------
    header:
        Titles of the columns.
    rows:
        Cells; the first of each row names it.
    marks:
        A class for each row, which the page's style defines, or "".
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...] = ()


def ms(value: float | None) -> str:
    """Milliseconds, or millijoules, with three significant digits; a dash for a statistic that does not apply."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "not measured"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f}"


def short_label(name: str) -> str:
    """A label for below a small picture: without a WordNet id, and the first of several synonyms."""
    plain = _WORDNET.sub("", name)
    first = plain.split(",")[0].strip() or plain
    return first if len(first) <= LONGEST_LABEL else f"{first[: LONGEST_LABEL - 1]}…"


def rows_table(rows: Sequence[Row]) -> TextTable:
    """All rows of an evaluation or of real runs with their intervals: singles, baselines, premodels, by latency."""
    order = list(KINDS)
    ranked = sorted(rows, key=lambda row: (order.index(row.kind), row.latency_ms))
    header = (
        "", "accuracy, % [95 % interval]", "mean, ms", "median, ms", "p99, ms", "speed-up",
        "accuracy difference, points", "difference to random mix, points", "verdict",
    )  # fmt: skip
    return TextTable(header, tuple(map(_row_cells, ranked)), tuple(row.kind for row in ranked))


def _row_cells(row: Row) -> tuple[str, ...]:
    mix = row.extra.get("mix_ci") if row.chooses else None
    return (
        row.name,
        f"{share(row.accuracy)} [{share(row.accuracy_ci[0])}, {share(row.accuracy_ci[1])}]",
        ms(row.latency_ms),
        ms(row.latency_p50_ms),
        ms(row.latency_p99_ms),
        f"{row.speedup_vs_best:.2f}",
        f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}",
        "" if mix is None else f"{points(row.extra['gain_points_vs_mix'])} {interval((mix[0], mix[1]))}",
        row.shown_verdict + (f"; answers {share(row.coverage)} % only" if row.coverage < 1 else ""),
    )


def shares_table(rows: Sequence[Row], candidates: Sequence[str]) -> TextTable:
    """Who answered, and how often each candidate ran, in per cent of the samples."""
    shown = [row for row in rows if row.served and row.kind != "single"]
    others = [name for name in ("fused", "abstained") if any(name in row.served for row in shown)]
    cells = tuple(
        (
            row.name,
            *(f"{share(row.served.get(name, 0.0))} ({share(row.share.get(name, 0.0))})" for name in candidates),
            *(share(row.served.get(name, 0.0)) for name in others),
        )
        for row in shown
    )
    return TextTable(("answers (runs), %", *candidates, *others), cells, tuple(row.kind for row in shown))


def classes_table(gains: Sequence[ClassGain]) -> TextTable:
    """Classes in which anything was gained or lost, the worst first."""
    header = ("class", "samples", "best single, %", "premodel, %", "gained", "lost", "points", "95 % interval")
    changed = [one for one in gains if one.gained or one.lost]
    cells = tuple(
        (
            one.name,
            str(one.samples),
            share(one.best),
            share(one.premodel),
            str(one.gained),
            str(one.lost),
            points(one.points),
            interval(one.ci) if one.ci else f"below {MIN_CLASS_SAMPLES} samples",
        )
        for one in changed
    )
    return TextTable(header, cells)


def timings_table(spreads: Sequence[Spread]) -> TextTable:
    """Timing records with their verdicts."""
    header = (
        "candidate", "record", "mean, ms", "95 % interval", "median, ms", "p90, ms", "p99, ms", "runs", "energy, mJ",
        "memory, MB", "why",
    )  # fmt: skip
    cells = tuple(
        (
            one.name,
            "VALID" if one.valid else "INVALID",
            ms(one.mean_ms),
            f"{ms(one.ci_ms[0])} to {ms(one.ci_ms[1])}",
            ms(one.median_ms),
            ms(one.p90_ms),
            ms(one.p99_ms if one.runs >= MIN_P99_RUNS else None),
            str(one.runs),
            ms(one.energy_mj),
            "not measured" if math.isnan(one.memory_mb) else f"{one.memory_mb:.0f}",
            one.reason,
        )
        for one in spreads
    )
    return TextTable(header, cells, tuple("" if one.valid else "invalid" for one in spreads))


def calibration_table(found: Sequence[Calibration]) -> TextTable:
    """How far what was said is from what came out, premodels first."""
    header = (
        "", "samples", "confidence, % (mean)", "accuracy, %", "calibration error, points",
        "chance alone gives up to", "verdict",
    )  # fmt: skip
    cells = tuple(
        (
            one.name,
            str(one.samples),
            *(share(value) if one.samples else "" for value in (one.said, one.right, one.diagram.error, one.chance)),
            one.verdict,
        )
        for one in found
    )
    return TextTable(header, cells, tuple("premodel" if one.kind == "premodel" else "" for one in found))


def calibration_note(found: Sequence[Calibration], name: str) -> str:
    """A premodel's calibration in words."""
    one = next(one for one in found if one.name == name)
    if not one.samples:
        return f"{name} gives no confidence with its answers, so there is nothing to calibrate."
    return (
        f"{name} is {one.verdict}. Its confidence is {share(one.said)} % on average and its accuracy "
        f"{share(one.right)} %; the calibration error, {share(one.diagram.error)} points, is their mean distance over "
        f"bins of confidence, and one that is perfectly calibrated stays below {share(one.chance)} in 95 of 100 draws "
        "of as many samples."
    )


def bins_table(found: Sequence[Calibration]) -> TextTable:
    """Every bin that holds a sample: what was said, what came out and its interval."""
    header = ("", "bin, %", "samples", "confidence, % (mean)", "accuracy, %", "95 % interval")
    shown = [(one, part) for one in found for part in one.diagram.bins if part.count]
    cells = tuple(
        (
            one.name,
            f"{100 * part.low:.0f} to {100 * part.high:.0f}",
            str(part.count),
            share(part.mean_score),
            share(part.share_right),
            f"{share(part.ci[0])} to {share(part.ci[1])}",
        )
        for one, part in shown
    )
    return TextTable(header, cells, tuple("premodel" if one.kind == "premodel" else "" for one, _ in shown))


def peers_table(curves: Sequence[PeerCurve]) -> TextTable:
    """Every point of every peer."""
    header = (
        "peer", "asked for", "accuracy, % [95 % interval]", "mean, ms", "speed-up", "accuracy difference, points"
    )  # fmt: skip
    cells = tuple(
        (
            row.name,
            str(row.extra["asked"]),
            f"{share(row.accuracy)} [{share(row.accuracy_ci[0])}, {share(row.accuracy_ci[1])}]",
            ms(row.latency_ms),
            f"{row.speedup_vs_best:.2f}",
            f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}",
        )
        for curve in curves
        for row in curve.rows
    )
    return TextTable(header, cells)


def peers_note(name: str, best: tuple[PeerCurve, float, tuple[float, float]] | None, samples: int) -> str:
    """How a premodel stands against the best peer at its latency."""
    if best is None:
        return f"No peer is as fast as {name}."
    curve, gain, bounds = best
    sign = shown_sign(gain, bounds, samples)
    word = "above" if sign > 0 else "BELOW" if sign < 0 else "not distinguishable from"
    return (
        f"At its mean latency {name} is {word} the best peer there, {curve.name}: {points(gain)} points in accuracy "
        f"{interval(bounds)}."
    )


def ahead_table(curves: Sequence[PeerCurve], outcomes: Sequence[Outcome]) -> TextTable:
    """Points of accuracy that each premodel is above each peer at its own mean latency."""

    def cell(curve: PeerCurve, outcome: Outcome) -> str:
        ahead = curve.ahead(outcome)
        return "slower at every point" if ahead is None else f"{points(ahead[0])} {interval(ahead[1])}"

    return TextTable(
        ("points above the peer at equal time", *(curve.name for curve in curves)),
        tuple((one.method.name, *(cell(curve, one) for curve in curves)) for one in outcomes),
        ("premodel",) * len(outcomes),
    )


def memory_table(steps: Sequence[MemoryStep]) -> TextTable:
    """Accuracy over memory."""
    rows = tuple(
        (f"{one.memory_mb:.1f}", one.best, share(one.accuracy), ", ".join(one.names), share(one.union)) for one in steps
    )
    return TextTable(("memory, MB", "alone", "accuracy, %", "together", "a perfect choice, %"), rows)


def conditions_table(conditions: Mapping[str, Any]) -> TextTable:
    """Where and how it was measured, a line per entry, without the paths of the machine; nested entries are joined."""
    shown = {name: value for name, value in conditions.items() if name not in HIDDEN}
    return TextTable(("what", "value"), tuple((name, _plain(value)) for name, value in shown.items()))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_plain(one)}" for name, one in value.items() if name not in HIDDEN)
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "unknown" if value is None else str(value)
