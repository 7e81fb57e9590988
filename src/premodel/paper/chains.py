"""All 27 chains X.Y.Z of three techniques, and the accuracy of each level (paper section 5.2, Figure 10)."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from premodel.paper import paper
from premodel.paper.results import Cell, Comparison, DataTable, Interval, Result
from premodel.paper.served_rows import point, served_figure, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.stats import wilson
from premodel.training.labels import make_labels

LEVELS = 3
TECHNIQUES = ("knn", "svm", "decision_tree")
SHORT = {"knn": "KNN", "svm": "SVM", "decision_tree": "DT"}


def run(study: Study) -> Result:
    """Every chain over the first three candidates of each fold."""
    rows = []
    for chain in product(TECHNIQUES, repeat=LEVELS):
        recipe = Recipe(".".join(chain), at_most=LEVELS)
        rows.append((".".join(SHORT[one] for one in chain), study.served(recipe)))
    ranked = sorted(rows, key=lambda item: -item[1].row.accuracy)
    knn = dict(rows)["KNN.KNN.KNN"]
    best_name, best = ranked[0]
    own_ms = knn.row.latency_ms - study.tables.decode_ms - float(_ran_ms(study, knn.outcome.ran))
    winners = sum(one.row.extra["mix_ci"][0] > 0 for _, one in rows)
    comparisons = [
        Comparison(
            "KNN.KNN.KNN",
            100 * knn.row.accuracy,
            "%",
            f"out-of-fold {study.criterion}, with a fallback",
            paper.CHAIN_BEST,
            f"Ours is place {1 + [name for name, _ in ranked].index('KNN.KNN.KNN')} of {len(rows)}.",
            study.accuracy_ci(knn.outcome.correct(study.criterion)),
        ),
        Comparison(
            "the most accurate chain",
            100 * best.row.accuracy,
            "%",
            f"{best_name}; chosen on the images it is judged on",
            paper.CHAIN_BEST,
            "The best of 27 is favoured by chance.",
            study.accuracy_ci(best.outcome.correct(study.criterion)),
        ),
        Comparison(
            "time of KNN.KNN.KNN's premodel",
            own_ms,
            "ms",
            "features and decision",
            paper.CHAIN_TIME,
            "The paper's features are extracted in Python.",
        ),
    ]
    levels, level_comparisons = _levels(study)
    return Result(
        "chains",
        "All 27 chains of three levels",
        "5.2, Figure 10",
        f"Most accurate: {best_name}, {100 * best.row.accuracy:.1f} %; {winners} of {len(rows)} are above the random "
        "mix beyond doubt.",
        [*comparisons, *level_comparisons],
        [served_table("chains", "The 27 chains, most accurate first (Figure 10)", "chain", ranked), levels],
        [
            served_figure(
                "chains",
                "Accuracy against latency of the 27 chains (Figure 10).",
                study,
                [("chains", [point(name, one.row) for name, one in rows])],
            )
        ],
        notes=(
            "Each level is trained on all images of the training folds. KNN levels share one search for neighbours.",
            "A level's accuracy shows little: always saying the commoner word already scores as the table shows.",
        ),
    )


def _ran_ms(study: Study, ran: NDArray[np.bool_]) -> float:
    return float((ran * study.tables.latency_ms).sum(axis=1).mean())


def _levels(study: Study) -> tuple[DataTable, list[Comparison]]:
    """Accuracy of each KNN level on all images and on those that reach it, beside no skill."""
    recipe = Recipe(at_most=LEVELS)
    real = _level_hits(study, recipe)
    blind = _level_hits(study, Recipe(at_most=LEVELS, permuted=True))
    rows: list[tuple[Cell, ...]] = []
    comparisons = []
    for level, (one, zero) in enumerate(zip(real, blind, strict=True)):
        (hits, n, yes), (reached_hits, reached) = one
        ci = wilson(hits, n)
        always = 100 * max(yes, n - yes) / n
        permuted = 100 * zero[0][0] / zero[0][1]
        own = 100 * reached_hits / reached if reached else None
        rows.append((f"KNN-{level + 1}", 100 * hits / n, own, reached, always, permuted))
        if level < len(paper.LEVEL_ACCURACY):
            comparisons.append(
                Comparison(
                    f"accuracy of KNN-{level + 1}",
                    100 * hits / n,
                    "%",
                    "share of all test images on which the level states what its label (optimum) states",
                    paper.LEVEL_ACCURACY[level],
                    f"The commoner word always scores {always:.1f} %, KNN on permuted features {permuted:.1f} %.",
                    _percent(ci),
                )
            )
    header = ("level", "all images, %", "those that reach it, %", "images that reach it")
    table = DataTable(
        "levels",
        "Accuracy of each KNN level, labels optimum",
        (*header, "commoner word always, %", "permuted features, %"),
        tuple(rows),
    )
    return table, comparisons


def _percent(bounds: Interval) -> Interval:
    return 100 * bounds[0], 100 * bounds[1]


def _level_hits(study: Study, recipe: Recipe) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
    """Per level: (hits, images, images labelled yes) over all, (hits, images) over those that reach it."""
    folds = study.level_scores(recipe)
    count = max(len(one.chosen) for one in folds)
    found = np.zeros((count, 5), dtype=np.int64)
    for one in folds:
        chosen = list(one.chosen)
        correct = study.correct[one.rows][:, chosen]
        labels = make_labels(recipe.labels, correct, study.tables.latency_ms[chosen])
        predicted = one.scores > 0.5
        reaching = np.ones(len(predicted), dtype=np.bool_)
        for level in range(len(chosen)):
            hit = predicted[:, level] == labels[:, level]
            found[level] += (
                int(hit.sum()), len(hit), int(labels[:, level].sum()), int(hit[reaching].sum()), int(reaching.sum())
            )  # fmt: skip
            reaching &= ~predicted[:, level]
    return [((int(h), int(n), int(y)), (int(rh), int(r))) for h, n, y, rh, r in found]
