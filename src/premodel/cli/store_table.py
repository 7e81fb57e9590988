"""What a store holds, as plain text: the end of `premodel profile`, and `premodel store info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from premodel.errors import printable
from premodel.store.summary import CandidateSummary, StoreSummary

HEADER = ("candidate", "predictions", "failed", "top-1 %", "top-5 %", "ms", "verdict", "load ms", "MB", "mJ")
NOT_MEASURED = "not measured"


def format_summary(summary: StoreSummary) -> str:
    """One line per candidate, fastest first, below the counts and the conditions."""
    versions = ", ".join(f"version {version}: {count}" for version, count in summary.features.items())
    lines = [
        f"{summary.store}: {summary.samples} samples, {summary.unreadable} unreadable, {summary.labels} labels, "
        f"features of {versions or 'none'}"
    ]
    conditions = summary.conditions
    if summary.device is None:
        lines.append("not timed")
    else:
        quota = "" if conditions.get("quota") is None else f" (quota {conditions['quota']:g})"
        decode = "not timed" if summary.decode_ms is None else f"{summary.decode_ms:.3f} ms"
        lines.append(
            f"device {summary.device}: {conditions.get('cpu')}, {conditions.get('cores')} cores{quota}, governor "
            f"{conditions.get('governor')}; decode {decode} {_verdict(summary.decode_valid)}; "
            "ms below is preprocess + run, one warm candidate"
        )
        lines.append(_energy_line(conditions.get("energy")))
    ranked = sorted(summary.candidates, key=lambda one: (one.latency_ms is None, one.latency_ms or 0.0))
    table = [HEADER, *(_cells(one) for one in ranked)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADER))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.extend(
        f"{criterion} of {one.name}: mean {score:.4f}" for one in ranked for criterion, score in one.scores.items()
    )
    lines.extend(f"{one.name}: {one.reason}" for one in ranked if one.latency_ms is not None and not one.valid)
    lines.extend(
        f"energy of {one.name}: {one.energy_reason}"
        for one in ranked
        if one.energy_reason and not one.energy_valid and one.energy_reason != NOT_MEASURED
    )
    lines.extend(
        f"{one.name}: failed on {one.failed} of {one.predictions} samples, most often: {one.failure}"
        for one in ranked
        if one.failed
    )
    lines.extend(f"{one.name}: {one.left_out}" for one in ranked if one.left_out)
    if summary.other_candidates:
        lines.append("rows are kept of candidates that are not in the zoo: " + ", ".join(summary.other_candidates))
    if summary.unfinished_runs:
        were = "was" if summary.unfinished_runs == 1 else "were"
        since = (
            "; a later run reached its end"
            if summary.resumed
            else ", and no run has reached its end since: the same command goes on where it stopped"
        )
        lines.append(f"{summary.unfinished_runs} of {summary.runs} runs {were} broken off{since}")
    return "\n".join(printable(line) for line in lines)


def _cells(one: CandidateSummary) -> tuple[str, ...]:
    return (
        one.name,
        str(one.predictions),
        str(one.failed),
        _number(one.top1, 2, 100),
        _number(one.top5, 2, 100),
        _number(one.latency_ms, 3),
        "-" if one.latency_ms is None else _verdict(one.valid),
        _number(one.load_ms, 1),
        _number(one.memory_mb, 1),
        _energy(one),
    )


def _energy(one: CandidateSummary) -> str:
    if one.energy_mj is None:
        return NOT_MEASURED
    half = "" if one.energy_ci_mj is None else f" +-{(one.energy_ci_mj[1] - one.energy_ci_mj[0]) / 2:.2g}"
    return f"{one.energy_mj:.4g}{half}" + ("" if one.energy_valid else " INVALID")


def _energy_line(said: Mapping[str, Any] | None) -> str:
    """How energy was measured, or why it was not."""
    if said is None:
        return f"energy: {NOT_MEASURED}"
    if said["meter"] is None:
        return f"energy: {NOT_MEASURED} ({said['reason']})"
    idle = "unknown" if said["idle_w"] is None else f"{said['idle_w']:.4g} W"
    return (
        f"energy: {said['meter']} ({said['scope']}), {said['method']}, windows of {said['window_s']:g} s, "
        f"idle {idle} subtracted; mJ below is one prediction with its 95 % interval"
        + (f"; {said['reason']}" if said["reason"] else "")
    )


def _number(value: float | None, digits: int, factor: float = 1) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"


def _verdict(valid: bool) -> str:
    return "VALID" if valid else "INVALID"
