"""Motivation: three images, and which candidates are right on them (paper Figure 1, Table 1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from premodel.paper import paper
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.study import Study

EVERY, CHEAPEST_FAILS, DEAREST_ONLY = "every candidate right", "the cheapest fails", "only the dearest right"


def kinds(correct: NDArray[np.bool_], latency_ms: NDArray[np.float64]) -> Mapping[str, NDArray[np.intp]]:
    """Samples of the paper's three kinds, by kind: rows in order.

    Parameters
    ----------
    correct:
        bool (n, m), m of 2 or more.
    latency_ms:
        float64 (m,); the cheapest and the dearest are meant by it, the first of equals.
    """
    cheapest, dearest = int(latency_ms.argmin()), int(latency_ms.argmax())
    others = np.delete(correct, cheapest, axis=1)
    return {
        EVERY: np.flatnonzero(correct.all(axis=1)),
        CHEAPEST_FAILS: np.flatnonzero(~correct[:, cheapest] & others.all(axis=1)),
        DEAREST_ONLY: np.flatnonzero(correct[:, dearest] & (correct.sum(axis=1) == 1)),
    }


def run(study: Study) -> Result:
    """The first image of each kind in the order of the profile, and how many there are of each."""
    tables = study.tables
    top1 = tables.correct("top1")
    top5 = tables.correct("top5") if len(tables.label_names) > 5 else None
    end_to_end_ms = tables.end_to_end_ms()
    found = kinds(top1, tables.latency_ms)
    picks = [(kind, int(rows[0])) for kind, rows in found.items() if len(rows)]
    order = np.argsort(end_to_end_ms, kind="stable")
    rows: list[tuple[Cell, ...]] = []
    for kind, row in picks:
        for column in order:
            yes5 = "not defined" if top5 is None else _word(top5[row, column])
            name, truth = tables.candidates[column], tables.label_names[tables.truth[row]]
            answer = _word(top1[row, column])
            rows.append((kind, tables.samples[row][:12], truth, name, answer, yes5, float(end_to_end_ms[column])))
    counts: list[tuple[Cell, ...]] = [
        (kind, len(rows_), 100 * len(rows_) / len(tables)) for kind, rows_ in found.items()
    ]
    header = ("image", "sample", "label", "candidate", "top-1", "top-5", "latency, ms")
    ratio = float(end_to_end_ms.max() / end_to_end_ms.min())
    missing = [kind for kind, rows_ in found.items() if not len(rows_)]
    share = counts[0][2]
    return Result(
        "motivation",
        "Motivation: the best candidate depends on the image",
        "2.1, Figure 1, Table 1",
        f"On {share:.1f} % of the images every candidate is right, so the cheapest would do; only the dearest is right "
        f"on {counts[2][2]:.1f} %." + (f" No image for: {', '.join(missing)}." if missing else ""),
        [
            Comparison(
                "dearest over cheapest candidate",
                ratio,
                "times",
                "ratio of mean latencies, end to end, of warm candidates",
                paper.MOTIVATION_RATIO,
                "Other networks on another device; the paper's is from one image, ours is a mean.",
            ),
            Comparison(
                "images shown",
                len(picks),
                "",
                "the first image of each kind in the profile's order; nothing else decides which",
                paper.MOTIVATION_SETS,
            ),
        ],
        [
            DataTable("images", "Which candidates are right on the images (Table 1)", header, tuple(rows)),
            DataTable("kinds", "How many images there are of each kind", ("kind", "images", "share, %"), tuple(counts)),
        ],
        [
            BarFigure(
                "time",
                "Mean latency of each candidate, decode included (Figure 1d). The profile holds one latency for each "
                "candidate, not one for each image.",
                "ms",
                tuple(tables.candidates[column] for column in order),
                (Series("latency", tuple(float(end_to_end_ms[column]) for column in order)),),
            )
        ],
        samples=[(tables.samples[row], f"{kind}: {tables.label_names[tables.truth[row]]}") for kind, row in picks],
    )


def _word(right: np.bool_) -> str:
    return "right" if right else "wrong"
