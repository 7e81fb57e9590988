"""Alternative techniques for the premodel (paper section 5.2, Figure 9)."""

from __future__ import annotations

from collections.abc import Sequence

from premodel.paper import paper
from premodel.paper.results import Comparison, Result
from premodel.paper.served_rows import point, served_figure, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Served, Study

TECHNIQUES = {
    "knn": "KNN at every level",
    "svm": "SVM at every level",
    "decision_tree": "decision tree at every level",
    "naive_bayes": "naive Bayes at every level",
    "multi_class": "one KNN over all candidates",
    "multi_class:decision_tree": "one decision tree over all candidates",
}


CNN = {"logistic": "logistic", "knn": "KNN"}
"""What stands in place of the last layer of the CNN premodel's network."""
PAPER_CNN = (
    "The paper trains a network of its own to choose and finds it disappointing for its time. A small candidate that "
    "is run first, with its own confidence deciding, is the same idea: policies cascade and cascade-routing."
)


def run(study: Study) -> Result:
    """Every technique on the same features and candidates of each fold."""
    rows = [(title, study.served(Recipe(technique))) for technique, title in TECHNIQUES.items()]
    skipping = [
        (f"{title}, skips", study.served(Recipe(technique, fallback=False))) for technique, title in TECHNIQUES.items()
    ]
    cnn = _cnn_rows(study, permuted=False)
    every_cnn = [*cnn, *_cnn_rows(study, permuted=True)]
    best, served = max([*rows, *cnn], key=lambda item: item[1].row.accuracy)
    winners = [title for title, one in [*rows, *cnn] if one.row.extra["mix_ci"][0] > 0]
    return Result(
        "techniques",
        "Alternative techniques for the premodel",
        "5.2, Figure 9",
        f"Most accurate: {best}, {100 * served.row.accuracy:.1f} %. Above the random mix beyond doubt: "
        f"{', '.join(winners) or 'none of them'}.",
        [
            Comparison(
                f"{title}",
                100 * one.row.accuracy,
                "%",
                f"out-of-fold {study.criterion}, with a fallback; {one.row.latency_ms:.2f} ms",
                paper.TECHNIQUES,
                "",
                study.accuracy_ci(one.outcome.correct(study.criterion)),
            )
            for title, one in rows
        ]
        + _cnn_comparisons(study, every_cnn),
        [served_table("techniques", "Techniques (Figure 9)", "technique", [*rows, *skipping, *every_cnn])],
        [
            served_figure(
                "techniques",
                "Accuracy against latency of each technique, with a fallback (Figure 9).",
                study,
                [
                    ("techniques", [point(title, one.row) for title, one in rows]),
                    *([("CNN premodel", [point(title, one.row) for title, one in every_cnn])] if cnn else []),
                ],
            )
        ],
        notes=(
            "Features and candidates are those selected with KNN, as in the paper.",
            "The published code's baselines are weak: its SVM has a width at which it always states the same, its tree "
            "is a regressor cut at one half. Ours are scikit-learn's classifiers with a scale-dependent width.",
        ),
    )


def _cnn_rows(study: Study, *, permuted: bool) -> list[tuple[str, Served]]:
    """A CNN premodel by each selector, on the features of each image or on those of others; none without a network."""
    if study.penultimate is None:
        return []
    name = f"CNN premodel on {study.penultimate.candidate}"
    of = ", features of other images" if permuted else ""
    return [
        (f"{name}, {title}{of}", study.served(Recipe(key, permuted=permuted, cnn=True))) for key, title in CNN.items()
    ]


def _cnn_comparisons(study: Study, rows: Sequence[tuple[str, Served]]) -> list[Comparison]:
    """The CNN premodels beside the paper's, or why there are none."""
    if study.penultimate is None:
        why = (
            "not run: the profile holds no penultimate features (premodel profile --penultimate CANDIDATE brings them)"
        )
        return [Comparison("a CNN as premodel", None, "%", why, paper.TECHNIQUES, PAPER_CNN)]
    name, width = study.penultimate.candidate, study.penultimate.features.shape[1]
    return [
        Comparison(
            title,
            100 * one.row.accuracy,
            "%",
            f"out-of-fold {study.criterion}; {name} always runs, the {width} numbers that its last layer is fed with "
            f"choose who answers; it is charged once, reading its inner tensor is not; {one.row.latency_ms:.2f} ms",
            paper.TECHNIQUES,
            PAPER_CNN,
            study.accuracy_ci(one.outcome.correct(study.criterion)),
        )
        for title, one in rows
    ]
