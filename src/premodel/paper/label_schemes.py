"""Both label schemes: taught who is the optimum, or taught who is right (paper sections 3.1 and 3.3)."""

from __future__ import annotations

from premodel.paper import paper
from premodel.paper.results import Comparison, Result
from premodel.paper.served_rows import point, served_figure, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.training.labels import LABEL_SCHEMES

MEANS = {"optimum": "who is the cheapest right candidate", "right": "who is right"}


def run(study: Study) -> Result:
    """The KNN chain under both, with and without a fallback, with and without information in the features."""
    rows = [
        (
            f"{scheme}{', permuted features' if permuted else ''}{'' if fallback else ', skips'}",
            study.served(Recipe(labels=scheme, fallback=fallback, permuted=permuted)),
        )
        for scheme in LABEL_SCHEMES
        for permuted in (False, True)
        for fallback in (True, False)
    ]
    named = dict(rows)
    right, optimum = named["right"].row, named["optimum"].row
    return Result(
        "labels",
        "Both label schemes",
        "3.1, 3.3",
        f"With a fallback: taught the optimum {100 * optimum.accuracy:.1f} % at {optimum.latency_ms:.2f} ms, taught "
        f"who is right {100 * right.accuracy:.1f} % at {right.latency_ms:.2f} ms.",
        [
            Comparison(
                f"labels {scheme}",
                100 * named[scheme].row.accuracy,
                "%",
                f"taught {MEANS[scheme]}; out-of-fold {study.criterion}, with a fallback",
                paper.TOP1 if study.criterion == "top1" else paper.TOP5,
                "The paper trains on the optimum (3.3) and speaks of whether to use a network (3.1): both are shown.",
                study.accuracy_ci(named[scheme].outcome.correct(study.criterion)),
            )
            for scheme in LABEL_SCHEMES
        ],
        [served_table("labels", "Label schemes", "labels", rows)],
        [
            served_figure(
                "labels",
                "Accuracy against latency under both label schemes.",
                study,
                [
                    ("real features", [point(title, one.row) for title, one in rows if "permuted" not in title]),
                    ("permuted features", [point(title, one.row) for title, one in rows if "permuted" in title]),
                ],
            )
        ],
        notes=("The features are those selected under the labels optimum.",),
    )
