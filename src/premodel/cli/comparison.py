"""The table of `evaluate` and `bench`: one line per row, best single candidate marked, verdict last."""

from __future__ import annotations

from collections.abc import Sequence

from premodel.evaluation.rows import Row

HEADER = ("", "accuracy %", "latency ms", "p99 ms", "speed-up", "gain, points", "verdict")


def format_rows(rows: Sequence[Row]) -> str:
    """Rows as a plain text table: singles by latency, then baselines, then premodels."""
    order = {"single": 0, "baseline": 1, "premodel": 2}
    ranked = sorted(rows, key=lambda row: (order[row.kind], row.latency_ms))
    lines = [HEADER, *(_cells(row) for row in ranked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    previous = None
    for position, line in enumerate(lines):
        kind = ranked[position - 1].kind if position else None
        if position and kind != previous:
            text.append("-" * (sum(widths[:-1]) + 2 * len(widths) + 8))
        previous = kind
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
        ]
        text.append("  ".join([*cells, line[-1]]).rstrip())
    return "\n".join(text)


def _cells(row: Row) -> tuple[str, ...]:
    low, high = (100 * bound for bound in row.accuracy_ci)
    return (
        row.name,
        f"{100 * row.accuracy:.1f} [{low:.1f}, {high:.1f}]",
        f"{row.latency_ms:.2f}",
        f"{row.latency_p99_ms:.2f}",
        f"{row.speedup_vs_best:.2f}x",
        f"{row.gain_points_vs_best:+.1f} [{row.gain_ci[0]:+.1f}, {row.gain_ci[1]:+.1f}]",
        row.verdict + (f" (coverage {100 * row.coverage:.1f} %)" if row.coverage < 1 else ""),
    )
