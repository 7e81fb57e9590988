"""Algorithm 1, step by step (paper section 3.2, Figures 5 and 6)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from premodel.paper import paper
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.study import Study
from premodel.stats import wilson
from premodel.training.model_selection import ModelSelection, select_models

OTHER_NETWORKS = "Other networks, other images, and here a cheaper one than MobileNet_v1_100 can be the optimum."


def run(study: Study) -> Result:
    """The steps on all samples, as the paper describes them, and what the folds choose."""
    tables, correct = study.tables, study.correct
    found = select_models(correct, tables.latency_ms, tables.candidates)
    steps: list[tuple[Cell, ...]] = [
        (
            number,
            step.candidate,
            step.failures_before,
            100 * step.accuracy_on_failures,
            step.gain_points,
            100 * step.coverage_after,
            "added" if step.added else "not added",
        )
        for number, step in enumerate(found.steps, 1)
    ]
    header = ("step", "candidate", "images looked at", "right on them, %", "gain, points", "coverage after, %", "")
    chains = Counter(" > ".join(_names(study, fold.models.chosen)) for fold in study.fits())
    by_fold: list[tuple[Cell, ...]] = [(chain, count) for chain, count in chains.most_common()]
    remaining = _remaining(study, found)
    return Result(
        "model-selection",
        "Model selection, step by step (Algorithm 1)",
        "3.2, Figures 5 and 6",
        f"{len(found.chosen)} candidates are kept: {' > '.join(_names(study, found.chosen))}; {found.stopped}. "
        f"Together they are right on {100 * _coverage(found):.1f} % of the images.",
        _comparisons(study, found),
        [
            DataTable("steps", "Rounds of Algorithm 1 on all images", header, tuple(steps)),
            _optimum_table(study, found),
            remaining,
            DataTable("folds", "Chains that the training folds choose", ("chain", "folds"), tuple(by_fold)),
        ],
        [
            BarFigure(
                "optimum",
                "Share of images on which each candidate is the optimum, the cheapest that is right (Figure 5).",
                "images, %",
                tables.candidates,
                (Series("optimum", tuple(100 * share for share in found.optimum_share)),),
            ),
            BarFigure(
                "on-failures",
                "Accuracy of each candidate on the images where all candidates chosen so far fail (Figure 6).",
                "accuracy, %",
                tables.candidates,
                tuple(
                    Series(str(title), tuple(_number(row[column]) for row in remaining.rows))
                    for column, title in enumerate(remaining.header[1:4], 1)
                ),
            ),
        ],
        notes=(
            "These steps are on all images, as in the paper. Every accuracy elsewhere on this page comes from model "
            "selection inside the training folds.",
        ),
    )


def _coverage(found: ModelSelection) -> float:
    return max(step.coverage_after for step in found.steps if step.added)


def _names(study: Study, columns: tuple[int, ...]) -> list[str]:
    return [study.tables.candidates[column] for column in columns]


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0


def _optimum_table(study: Study, found: ModelSelection) -> DataTable:
    n = found.samples
    rows: list[tuple[Cell, ...]] = []
    for name, share in zip(study.tables.candidates, found.optimum_share, strict=True):
        low, high = wilson(round(share * n), n)
        rows.append((name, 100 * share, 100 * low, 100 * high))
    none = 1 - sum(found.optimum_share)
    low, high = wilson(round(none * n), n)
    rows.append(("no candidate is right", 100 * none, 100 * low, 100 * high))
    header = ("candidate", "optimum, %", "interval from, %", "to, %")
    return DataTable("optimum", "Who is the optimum (Figure 5)", header, tuple(rows))


def _remaining(study: Study, found: ModelSelection) -> DataTable:
    """Accuracy of every candidate on the failures before each round: Figure 6a, b, c and so on."""
    correct = study.correct
    failing = np.ones(len(correct), dtype=np.bool_)
    columns: list[list[Cell]] = []
    titles = []
    for number, candidate in enumerate((None, *found.chosen)):
        if candidate is not None:
            failing &= ~correct[:, candidate]
        left = int(failing.sum())
        titles.append(f"{'all' if number == 0 else f'after {number}'}: {left} images, %")
        columns.append([100 * float(one) if left else None for one in correct[failing].mean(axis=0)] if left else [])
    names = study.tables.candidates
    rows = tuple((name, *(column[index] if column else None for column in columns)) for index, name in enumerate(names))
    return DataTable("on-failures", "Accuracy where the chosen ones fail (Figure 6)", ("candidate", *titles), rows)


def _comparisons(study: Study, found: ModelSelection) -> list[Comparison]:
    n, steps = found.samples, found.steps
    first = found.chosen[0]
    low, high = wilson(round(found.optimum_share[first] * n), n)
    first_accuracy = study.correct[:, first]
    items = [
        Comparison(
            "optimum share of the first candidate",
            100 * found.optimum_share[first],
            "%",
            f"share of images on which {steps[0].candidate} is the cheapest right candidate",
            paper.FIRST_SHARE,
            "The paper's share is also that network's plain accuracy: it reads 'not the optimum' as 'fails'. "
            + OTHER_NETWORKS,
            (100 * low, 100 * high),
        ),
        Comparison(
            "accuracy of the first candidate",
            100 * float(first_accuracy.mean()),
            "%",
            "share of images it gets right",
            paper.FIRST_SHARE,
            OTHER_NETWORKS,
            study.accuracy_ci(first_accuracy),
        ),
        Comparison(
            "candidates kept",
            len(found.chosen),
            "",
            f"candidates within theta {found.theta:g} of {len(study.tables.candidates)}",
            paper.NETWORKS,
            "The count depends on which networks are to choose from.",
        ),
    ]
    items += _gains(found)
    covered = round(_coverage(found) * n)
    low, high = wilson(covered, n)
    items.append(
        Comparison(
            "coverage of the chosen candidates",
            100 * _coverage(found),
            "%",
            "share of images that any of them gets right: no premodel over them can be more accurate",
            paper.COVERAGE,
            "See the coverage check.",
            (100 * low, 100 * high),
        )
    )
    return [item for item in items if not (isinstance(item.ours, float) and math.isnan(item.ours))]


def _gains(found: ModelSelection) -> list[Comparison]:
    """The second to fourth candidate looked at."""
    n = found.samples
    items = []
    published = {1: paper.SECOND_GAIN, 2: paper.THIRD_GAIN, 3: paper.FOURTH_GAIN}
    for number, step in enumerate(found.steps[1:4], 1):
        hits = round(step.gain_points * n / 100)
        if number == 1:
            ci = wilson(hits, step.failures_before)
            value, what = 100 * step.accuracy_on_failures, "accuracy of the second candidate on the first's failures"
            definition = f"{step.candidate} on {step.failures_before} images"
            items.append(
                Comparison(
                    what, value, "%", definition, paper.SECOND_ACCURACY, OTHER_NETWORKS, (100 * ci[0], 100 * ci[1])
                )
            )
        low, high = wilson(hits, n)
        word = "added" if step.added else "not added"
        items.append(
            Comparison(
                f"gain of candidate {number + 1}",
                step.gain_points,
                "points",
                f"{step.candidate}, {word}",
                published[number],
                OTHER_NETWORKS,
                (100 * low, 100 * high),
            )
        )
    return items
