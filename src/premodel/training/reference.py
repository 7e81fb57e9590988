"""The reference of a trained premodel: its choices and its confidence on the samples of its profile."""

from __future__ import annotations

from collections import Counter

import numpy as np

from premodel.runtime.policies.base import FUSED
from premodel.runtime.reference import ABSTAINED, Reference
from premodel.training.simulate import NOBODY, Simulation

BINS = 10


def training_reference(served: Simulation) -> Reference:
    """Count choices, and confidence in bins of equal shares; samples on which every candidate failed are left out.

    Notes
    -----
    The samples are those that were trained on. A selector that remembers them (nearest neighbours) chooses a little
    differently on others, which a reader of the drift sees as a floor above 0.
    """
    choices = Counter(_choice(served, int(row)) for row in np.flatnonzero(~served.failed))
    answered = ~served.abstained
    estimated = served.confidence[answered]
    sure = np.where(np.isnan(estimated), served.probabilities[answered, 0].astype(np.float64), estimated)
    if not sure.size:
        return Reference(dict(choices), (), (0,))
    edges = np.unique(np.quantile(sure, np.arange(1, BINS) / BINS))
    edges = edges[edges > sure.min()]
    counts = np.bincount(np.searchsorted(edges, sure, side="right"), minlength=len(edges) + 1)
    return Reference(dict(sorted(choices.items())), tuple(edges.tolist()), tuple(counts.tolist()))


def _choice(served: Simulation, row: int) -> str:
    """What `Answer.candidate` is on this sample."""
    source = int(served.source[row])
    if source == NOBODY:
        return ABSTAINED
    if source == FUSED:
        ran = [index for index in served.order[row] if index >= 0 and served.ran[row, index]]
        return "+".join(served.candidates[index] for index in ran)
    return served.candidates[source]
