"""By what a study fits in every fold, beside the recipes of its premodels."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME
from premodel.training.feature_pruning import CORRELATION
from premodel.training.greedy_removal import TARGET


@dataclass(frozen=True)
class FitRules:
    """By what features are chosen.

    Attributes
    ----------
    target:
        Features that greedy removal ends at unless the user asks for another number; None keeps all that pruning left.
    correlation:
        Threshold of pruning.
    labels:
        Scheme of the labels that the KNN premodel is taught on which features are scored.
    by_choice:
        A feature is scored by the share of samples for which the labelled candidate is chosen, and not by the accuracy
        of what is served: where dearer answers are better, a feature less may well choose dearer ones.
    """

    target: int | None = TARGET
    correlation: float = CORRELATION
    labels: str = BEST_SCORE
    by_choice: bool = False


OF_IMAGES = FitRules()
"""LCTES 2018."""
OF_TRANSLATIONS = FitRules(None, 0.9, SQUARE_OVER_TIME, by_choice=True)
"""Its follow-up: another threshold for texts, and no number of features to keep."""
