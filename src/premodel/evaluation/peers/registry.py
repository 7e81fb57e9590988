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

BestOf = Callable[[Fold], float]
Peer = Callable[[Tables, Criterion, Sequence[Fold], Objectives, BestOf, int], Points]
"""Serves every sample out of fold: tables, criterion, folds, objectives, best single accuracy of a fold, seed."""


def _chosen(settings: Callable[[Tables, Criterion], Iterator[Setting]]) -> Peer:
    """A peer that learns nothing but which of its settings to use."""

    def serve(
        tables: Tables, criterion: Criterion, folds: Sequence[Fold], objectives: Objectives, best_of: BestOf, _: int
    ) -> Points:
        return choose_by_folds(partial(settings, tables, criterion), folds, objectives, best_of)

    return serve


PEERS: Mapping[str, Peer] = {
    "max-probability cascade": _chosen(partial(confidence_cascades, committee=False)),
    "committee cascade": _chosen(partial(confidence_cascades, committee=True)),
    "agreement-based cascade": _chosen(agreement_cascades),
    "two-model threshold": thresholds_by_folds,
}


OF_SCORES = ("max-probability cascade",)
"""Those that need no labels: of a graded criterion only these are run."""


def run_peers(
    tables: Tables, criterion: Criterion, folds: Sequence[Fold], objectives: Objectives, seed: int
) -> dict[str, Points]:
    """Every peer out of fold, its setting and what it learns decided on the training folds."""
    score = tables.score(criterion)

    def best_of(fold: Fold) -> float:
        return float(score[fold.train].mean(axis=0).max())

    peers = {name: PEERS[name] for name in OF_SCORES} if criterion in tables.graded else PEERS
    return {name: serve(tables, criterion, folds, objectives, best_of, seed) for name, serve in peers.items()}
