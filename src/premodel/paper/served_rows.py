"""Cross-validated premodels as rows of tables and points of figures: the same for every experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from premodel.evaluation.rows import Row
from premodel.paper.results import Cell, DataTable, Point, PointFigure
from premodel.paper.study import Served, Study
from premodel.training.labels import oracle

HEADER = (
    "accuracy, %", "interval from, %", "to, %", "latency, ms", "accuracy difference, points", "from, points",
    "to, points", "difference to random mix, points", "from, points", "to, points", "answered, %",
)  # fmt: skip


def served_table(name: str, caption: str, first: str, rows: Sequence[tuple[str, Served]]) -> DataTable:
    """One line per premodel: accuracy, latency, and both comparisons with their intervals."""
    return DataTable(name, caption, (first, *HEADER), tuple((label, *_cells(one.row)) for label, one in rows))


def _cells(row: Row) -> tuple[Cell, ...]:
    mix, mix_ci = row.extra["gain_points_vs_mix"], row.extra["mix_ci"]
    return (
        100 * row.accuracy, 100 * row.accuracy_ci[0], 100 * row.accuracy_ci[1], row.latency_ms,
        row.gain_points_vs_best, *row.gain_ci, mix, *mix_ci, 100 * row.coverage,
    )  # fmt: skip


def point(name: str, row: Row) -> Point:
    """Latency and accuracy of a row."""
    return Point(name, row.latency_ms, 100 * row.accuracy, 100 * row.accuracy_ci[0], 100 * row.accuracy_ci[1])


def single_points(study: Study) -> tuple[Point, ...]:
    """The single candidates."""
    found = []
    for index, name in enumerate(study.singles.names):
        low, high = study.accuracy_ci(study.correct[:, index])
        found.append(
            Point(name, float(study.singles.latency_ms[index]), 100 * float(study.singles.accuracy[index]), low, high)
        )
    return tuple(found)


def oracle_point(study: Study) -> Point:
    """The oracle: cheapest right candidate, or of the best score; the cheapest of all where none is right."""
    ran = oracle(study.correct, study.singles.latency_ms)
    right = study.correct[np.arange(len(ran)), ran]
    low, high = study.accuracy_ci(right)
    return Point("oracle", float(study.singles.latency_of(ran).mean()), 100 * float(right.mean()), low, high)


def served_figure(
    name: str,
    label: str,
    study: Study,
    groups: Sequence[tuple[str, Sequence[Point]]],
    axis: str = "accuracy, %",
) -> PointFigure:
    """Premodels in groups, beside the single candidates."""
    every = (("single candidates", single_points(study)), *((title, tuple(points)) for title, points in groups))
    label += " The dashed line is the random mix of single candidates."
    return PointFigure(name, label, "latency, ms, end to end", axis, every, mix=True)
