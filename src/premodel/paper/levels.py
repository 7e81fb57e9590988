"""One to five levels: the number of candidates that the premodel may choose among (paper section 5.3, Figure 11)."""

from __future__ import annotations

import numpy as np

from premodel.paper import paper
from premodel.paper.results import Cell, Comparison, DataTable, PointFigure, Result
from premodel.paper.served_rows import point, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study

MAX_LEVELS = 5


def run(study: Study) -> Result:
    """The chain cut after each level, in the order of Algorithm 1 without its threshold."""
    most = min(MAX_LEVELS, max(len(fit.order) for fit in study.fits()))
    counts = range(1, most + 1)
    answering = [(f"{count}, fallback", study.served(Recipe(levels=count))) for count in counts]
    skipping = [(f"{count}, skips", study.served(Recipe(levels=count, fallback=False))) for count in counts]
    ranges: list[tuple[Cell, ...]] = []
    for title, one in [*answering, *skipping]:
        latency = one.outcome.latency_ms
        union = 100 * float(one.outcome.union.mean())
        ranges.append((title, float(latency.min()), float(np.median(latency)), float(latency.max()), union))
    last = answering[min(2, len(answering) - 1)][1]
    first, final = skipping[0][1].row, skipping[-1][1].row
    return Result(
        "levels",
        "One to five levels",
        "5.3, Figure 11",
        f"Skipping, accuracy goes from {100 * first.accuracy:.1f} % with one level to {100 * final.accuracy:.1f} % "
        f"with {len(skipping)}; latency from {first.latency_ms:.2f} to {final.latency_ms:.2f} ms.",
        [
            Comparison(
                "accuracy with three levels",
                100 * last.row.accuracy,
                "%",
                f"out-of-fold {study.criterion}, with a fallback",
                paper.PLATEAU,
                "The paper's plateau lies above the union of its three networks; see the coverage check.",
                study.accuracy_ci(last.outcome.correct(study.criterion)),
            )
        ],
        [
            served_table("levels", "Number of levels (Figure 11)", "levels", [*answering, *skipping]),
            DataTable(
                "ranges",
                "Latency over images, and what the candidates could reach together",
                ("levels", "least, ms", "median, ms", "greatest, ms", "union, %"),
                tuple(ranges),
            ),
        ],
        [
            PointFigure(
                "levels",
                "Accuracy against latency as levels are added, from one up (Figure 11).",
                "latency, ms, end to end",
                "accuracy, %",
                (
                    ("with a fallback", tuple(point(title, one.row) for title, one in answering)),
                    ("skips", tuple(point(title, one.row) for title, one in skipping)),
                ),
                joined=True,
            )
        ],
        notes=("The features are those selected for the premodel within the threshold.",),
    )
