"""What the verdict on translation ends with: how many ways to choose are worth anything, and the published claim."""

from __future__ import annotations

from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.premodels import CLASSIFIERS, READINGS
from premodel.paper.translation.rows import SCORES


def closing(study: Study) -> str:
    """A sentence or two; accuracy in the verdict is the mean sentence score."""
    rows = [study.served(Recipe(technique, labels=scheme)).row for scheme in READINGS for technique in CLASSIFIERS]
    found = [row.comparison for row in rows]
    above = sum(one is not None and one.choice == "above" for one in found)
    title = SCORES[study.criterion]
    return (
        f"Accuracy here is mean sentence {title}. Of {len(rows)} premodels of the kinds considered there, {above} "
        f"are above the random mix; claimed were {published.SPEEDUP.text} the speed with "
        f"{published.LITTLE_IMPACT.text}."
    )
