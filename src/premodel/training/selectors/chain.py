"""Fit of a chain of levels, the paper's X.Y.Z (section 5.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.chain import ChainSelector
from premodel.training.selectors.base import check_training
from premodel.training.selectors.techniques import TECHNIQUES, levels


def fit(
    features: Features,
    labels: NDArray[np.bool_],
    names: tuple[str, ...],
    seed: int = 0,
    techniques: Sequence[str] = ("knn",),
) -> ChainSelector:
    """Fit one level per candidate (see `Fit`).

    Parameters
    ----------
    techniques:
        Technique of each level, first level first. If there are more levels, the last technique is used for them; if
        there are fewer, the rest of the techniques is not used: the number of levels is model selection's, and may
        differ between folds.

    Notes
    -----
    Each level is trained on all samples, not on those that the levels before it let through, as in the paper, whose
    levels share their neighbours.

    Raises
    ------
    OptionError
        Also if a technique is unknown, or is not one for a level.
    """
    check_training(features, labels, names)
    if not techniques or any(technique not in levels() for technique in techniques):
        raise OptionError("unknown technique of a level", given=".".join(techniques), allowed=", ".join(levels()))
    by_technique: dict[str, list[int]] = {}
    for level in range(labels.shape[1]):
        by_technique.setdefault(techniques[min(level, len(techniques) - 1)], []).append(level)
    groups = [
        TECHNIQUES[technique].load()(features, labels[:, own], names, seed) for technique, own in by_technique.items()
    ]
    return ChainSelector(groups, list(by_technique.values()))
