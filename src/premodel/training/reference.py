"""The reference of a trained premodel: its choices and its confidence on the samples of its profile."""

from __future__ import annotations

from collections import Counter

import numpy as np

from premodel.runtime.policies.base import FUSED
from premodel.runtime.reference import ABSTAINED, CONFIDENCE, PROBABILITY, Reference
from premodel.training.simulate import NOBODY, Simulation

BINS = 10


def training_reference(served: Simulation, *, answers_labels: bool = True) -> Reference:
    """Count choices, labels, and confidence in bins of equal shares; samples where every candidate failed are left out.

    A confidence that is the same for every answer of a candidate, as in policy `single`, could not move: the
    probability of the answer's label takes its place.

    Notes
    -----
    The samples are those that were trained on. A selector that remembers them (nearest neighbours) chooses a little
    differently on others, which a reader of the drift sees as a floor above 0.
    """
    choices = Counter(_choice(served, int(row)) for row in np.flatnonzero(~served.failed))
    answered = ~served.abstained
    estimated, probability = served.confidence[answered], served.probabilities[answered, 0].astype(np.float64)
    sure = np.where(np.isnan(estimated), probability, estimated)
    if not sure.size:
        return Reference(dict(choices), (), (0,))
    of = CONFIDENCE
    sources = served.source[answered]
    if all(np.ptp(sure[sources == source]) == 0 for source in np.unique(sources)):
        of, sure = PROBABILITY, probability
    labels = Counter(served.labels[answered, 0].tolist() if answers_labels else ())
    edges = np.unique(np.quantile(sure, np.arange(1, BINS) / BINS))
    edges = edges[edges > sure.min()]
    counts = np.bincount(np.searchsorted(edges, sure, side="right"), minlength=len(edges) + 1)
    return Reference(
        dict(sorted(choices.items())), tuple(edges.tolist()), tuple(counts.tolist()), of, dict(sorted(labels.items()))
    )


def _choice(served: Simulation, row: int) -> str:
    """What `Answer.candidate` is on this sample."""
    source = int(served.source[row])
    if source == NOBODY:
        return ABSTAINED
    if source == FUSED:
        ran = [index for index in served.order[row] if index >= 0 and served.ran[row, index]]
        return "+".join(served.candidates[index] for index in ran)
    return served.candidates[source]
