"""Penultimate features from a store, joined with its tables: what the paper's CNN premodel reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from premodel.profiling.passes.penultimate import penultimate_version
from premodel.store.features import read_vectors
from premodel.store.store import Store
from premodel.training.load import load_candidates
from premodel.training.tables import FeatureCosts, Tables


@dataclass(frozen=True, eq=False)
class Penultimate:
    """What one candidate's last layer was fed with.

    Attributes
    ----------
    candidate:
        Its name.
    features:
        float32 (n, F), in the order of the tables' samples.
    """

    candidate: str
    features: NDArray[np.float32]

    def tables(self, tables: Tables) -> Tables:
        """The same profile with these in place of image features; their only cost is the candidate's own latency."""
        latency_ms = float(tables.latency_ms[tables.candidates.index(self.candidate)])
        names = tuple(f"{self.candidate}.{index}" for index in range(self.features.shape[1]))
        costs = FeatureCosts({self.candidate: latency_ms}, dict.fromkeys(names, (self.candidate,)))
        return replace(tables, features=self.features, feature_names=names, feature_costs=costs)


def load_penultimate(store: str | Path | Store, tables: Tables) -> Penultimate | None:
    """The penultimate features of the cheapest candidate of which every sample of the tables has them; None for none.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    if not isinstance(store, Store):
        with Store(store) as opened:
            return load_penultimate(opened, tables)
    candidates = {one.name: one for one in load_candidates(store, tables.candidates)}
    for column in np.argsort(tables.latency_ms, kind="stable"):
        name = tables.candidates[column]
        features = read_vectors(store, penultimate_version(candidates[name]), tables.samples)
        if features is not None:
            return Penultimate(name, features)
    return None
