"""The premodels that the follow-up considered: every classifier as one multi-class model and as a chain."""

from __future__ import annotations

from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.paper.translation.rows import SCORES, Line, served_line

MAIN = Recipe("multi_class:naive_bayes", labels=SQUARE_OVER_TIME)
"""What the follow-up chose for translation."""
PERMUTED = Recipe("multi_class:naive_bayes", labels=SQUARE_OVER_TIME, permuted=True)
CLASSIFIERS = {
    "multi_class:naive_bayes": "naive Bayes, one model (their choice)",
    "multi_class": "KNN, one model",
    "multi_class:decision_tree": "decision tree, one model",
    "multi_class:svm": "SVM, one model",
    "naive_bayes": "naive Bayes, chain",
    "knn": "KNN, chain",
    "decision_tree": "decision tree, chain",
    "svm": "SVM, chain",
}
READINGS = (SQUARE_OVER_TIME, BEST_SCORE)
"""Of the optimum, which is not defined: as the replication labels, and the plain one."""


def reading_name(criterion: str, scheme: str) -> str:
    """A reading of the optimum by a criterion, as "BLEU^2/time" or "best BLEU"."""
    title = SCORES[criterion]
    return f"{title}^2/time" if scheme == SQUARE_OVER_TIME else f"best {title}"


def premodel_lines(study: Study, scheme: str, *, permuted: bool = False) -> dict[str, Line]:
    """Every classifier taught a reading of the optimum, by technique."""
    return {
        technique: served_line(study, title, study.served(Recipe(technique, labels=scheme, permuted=permuted)))
        for technique, title in CLASSIFIERS.items()
    }
