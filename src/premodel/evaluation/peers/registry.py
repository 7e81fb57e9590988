"""The peers by name. A further one is a file beside this and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from premodel.evaluation.peers.agreement_cascade import agreement_cascades
from premodel.evaluation.peers.choice import Objectives, Setting, choose_by_folds
from premodel.evaluation.peers.confidence_cascade import confidence_cascades
from premodel.evaluation.peers.points import Points
from premodel.evaluation.peers.two_model_threshold import thresholds_by_folds
from premodel.records import Criterion
from premodel.training.folds import Fold
from premodel.training.tables import Tables

CASCADES: Mapping[str, Callable[[Tables, Criterion], Iterator[Setting]]] = {
    "max-probability cascade": partial(confidence_cascades, committee=False),
    "committee cascade": partial(confidence_cascades, committee=True),
    "agreement-based cascade": agreement_cascades,
}
"""Peers that learn nothing but which of their settings to use."""
TWO_MODEL = "two-model threshold"
PEERS = (*CASCADES, TWO_MODEL)


def run_peers(
    tables: Tables, criterion: Criterion, folds: Sequence[Fold], objectives: Objectives, seed: int
) -> dict[str, Points]:
    """Every peer out of fold, its setting and what it learns decided on the training folds."""
    correct = tables.correct(criterion)

    def best_of(fold: Fold) -> float:
        return float(correct[fold.train].mean(axis=0).max())

    found = {
        name: choose_by_folds(partial(settings, tables, criterion), folds, objectives, best_of)
        for name, settings in CASCADES.items()
    }
    found[TWO_MODEL] = thresholds_by_folds(tables, criterion, folds, objectives, best_of, seed)
    return found
