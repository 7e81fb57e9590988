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
"""By the id of its result. The coverage check is last: it looks at every premodel before it."""
