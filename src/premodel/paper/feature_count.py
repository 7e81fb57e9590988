"""The number of features: accuracy and latency with fewer and with more than seven (paper section 5.4, Figure 13)."""

from __future__ import annotations

from dataclasses import replace

from premodel.paper import paper
from premodel.paper.results import Comparison, PointFigure, Result
from premodel.paper.served_rows import point, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study

FEW = 5


def run(study: Study) -> Result:
    """The KNN chain on the features that greedy removal leaves at each number."""
    fits = study.fits()
    most = max(len(fit.selection.pruning.kept) for fit in fits)
    counts = [*range(1, min(study.features + 3, most) + 1), *range(study.features + 5, most, 4), most]
    counts = sorted(set(counts))
    rows = [(count, study.served(Recipe(features=count))) for count in counts]
    named = dict(rows)
    usual = study.features if study.features in named else most
    base = named[usual]
    comparisons = []
    for count, published, explanation in (
        (
            FEW,
            paper.FIVE_FEATURES,
            "A drop of 13.9 points would mean that two of the paper's seven features are very informative.",
        ),
        (most, paper.MORE_FEATURES, "Uninformative features move a sample's neighbours."),
    ):
        if count not in named or count == usual:
            have = f"not measured: correlation leaves {most} features, {usual} are compared with"
            comparisons.append(Comparison(f"{count} features against {usual}", None, "points", have, published))
            continue
        gain, ci = study.gain(named[count].outcome.correct(study.criterion), base.outcome.correct(study.criterion))
        comparisons.append(
            Comparison(
                f"{count} features against {usual}",
                gain,
                "points",
                "paired difference of accuracy, with a fallback",
                published,
                explanation,
                ci,
            )
        )
    span = [one.row.accuracy for _, one in rows]
    return Result(
        "feature-count",
        "Number of features",
        "5.4, Figure 13",
        f"From {counts[0]} to {counts[-1]} features accuracy stays between {100 * min(span):.1f} and "
        f"{100 * max(span):.1f} %.",
        comparisons,
        [
            served_table(
                "feature-count",
                "Number of features (Figure 13)",
                "features",
                [(str(count), one) for count, one in rows],
            )
        ],
        [
            PointFigure(
                "feature-count",
                "Accuracy by the number of features, with a fallback (Figure 13).",
                "features",
                "accuracy, %",
                (
                    (
                        "accuracy",
                        tuple(
                            replace(point(f"{count} features, {one.row.latency_ms:.2f} ms", one.row), x=float(count))
                            for count, one in rows
                        ),
                    ),
                ),
                joined=True,
            )
        ],
        notes=("Beyond the features that correlation leaves none is added.",),
    )
