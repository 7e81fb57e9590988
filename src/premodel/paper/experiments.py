"""The experiments, in the order of the page. Another one is one file with `run(study) -> Result` and one line here."""

from __future__ import annotations

from collections.abc import Callable

from premodel.paper import (
    artefact,
    chains,
    coverage,
    feature_count,
    features,
    label_schemes,
    levels,
    model_selection,
    motivation,
    overall,
    overhead,
    techniques,
)
from premodel.paper.results import Result
from premodel.paper.study import Study
from premodel.paper.translation import classifiers, optima, pool
from premodel.paper.translation import features as features_of_texts
from premodel.paper.translation import model_selection as graded_model_selection
from premodel.paper.translation import overall as overall_of_translation

EXPERIMENTS: dict[str, Callable[[Study], Result]] = {
    "overall": overall.run,
    "motivation": motivation.run,
    "model-selection": model_selection.run,
    "features": features.run,
    "feature-count": feature_count.run,
    "techniques": techniques.run,
    "chains": chains.run,
    "levels": levels.run,
    "labels": label_schemes.run,
    "overhead": overhead.run,
    "artefact": artefact.run,
    "coverage": coverage.run,
}
"""Of the paper, by the id of the result. The coverage check is last: it looks at every premodel before it."""
TRANSLATION_EXPERIMENTS: dict[str, Callable[[Study], Result]] = {
    "translation": overall_of_translation.run,
    "pool": pool.run,
    "model-selection": graded_model_selection.run,
    "optimum": optima.run,
    "features": features_of_texts.run,
    "classifiers": classifiers.run,
}
"""Of its follow-up's study of translation."""
