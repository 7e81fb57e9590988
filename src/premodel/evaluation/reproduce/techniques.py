"""Alternative techniques for the premodel (paper section 5.2, Figure 9)."""

from __future__ import annotations

from premodel.evaluation.reproduce import paper
from premodel.evaluation.reproduce.results import Comparison, Result
from premodel.evaluation.reproduce.served_rows import point, served_figure, served_table
from premodel.evaluation.reproduce.shared_fits import Recipe
from premodel.evaluation.reproduce.study import Study

TECHNIQUES = {
    "knn": "KNN at every level",
    "svm": "SVM at every level",
    "decision_tree": "decision tree at every level",
    "naive_bayes": "naive Bayes at every level",
    "multi_class": "one KNN over all candidates",
    "multi_class:decision_tree": "one decision tree over all candidates",
}


def run(study: Study) -> Result:
    """Every technique on the same features and candidates of each fold."""
    rows = [(title, study.served(Recipe(technique))) for technique, title in TECHNIQUES.items()]
    skipping = [
        (f"{title}, skips", study.served(Recipe(technique, fallback=False))) for technique, title in TECHNIQUES.items()
    ]
    best, served = max(rows, key=lambda item: item[1].row.accuracy)
    winners = [title for title, one in rows if one.row.extra["mix_ci"][0] > 0]
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
        + [
            Comparison(
                "a CNN as premodel",
                None,
                "%",
                "not run: it needs a network trained to choose, and this page runs and trains none",
                paper.TECHNIQUES,
                "The paper itself finds it disappointing for its time. A small candidate that is run first, with its "
                "own confidence deciding, is the same idea: policies cascade and cascade-routing.",
            )
        ],
        [served_table("techniques", "Techniques (Figure 9)", "technique", [*rows, *skipping])],
        [
            served_figure(
                "techniques",
                "Accuracy against latency of each technique, with a fallback (Figure 9).",
                study,
                [("techniques", [point(title, one.row) for title, one in rows])],
            )
        ],
        notes=(
            "Features and candidates are those selected with KNN, as in the paper.",
            "The published code's baselines are weak: its SVM has a width at which it always says the same, its tree "
            "is a regressor cut at one half. Ours are scikit-learn's classifiers with a scale-dependent width.",
        ),
    )
