"""The answers of all candidates as texts, for figures of a corpus: they are no means of the sentences' scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from premodel.domains.registry import domain_of
from premodel.store.outcomes import read_corpus_by_sample
from premodel.store.runs import read_candidates
from premodel.store.store import Store
from premodel.training.tables import Tables


@dataclass(frozen=True, eq=False)
class Corpus:
    """What every candidate said of every sample.

    Attributes
    ----------
    task:
        Names the domain, which scores them.
    said:
        By candidate, (outcome, truth) of each sample; None where it failed.
    """

    task: str
    said: Sequence[Sequence[tuple[str, str] | None]]
    _known: dict[bytes, Mapping[str, float]] = field(default_factory=dict)

    def figures(self, source: NDArray[np.intp]) -> Mapping[str, float]:
        """Corpus scores in [0, 1] by name, of the answers that these candidates (n,) gave; below 0 is no answer."""
        key = source.tobytes()
        if key not in self._known:
            self._known[key] = self._score(source)
        return self._known[key]

    def _score(self, source: NDArray[np.intp]) -> Mapping[str, float]:
        pairs = [self.said[column][row] for row, column in enumerate(source.tolist()) if column >= 0]
        return domain_of(self.task).corpus_scores([pair for pair in pairs if pair is not None])


def load_corpus(store: Store, tables: Tables) -> Corpus | None:
    """The answers behind a profile; None where they are no texts.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    if domain_of(tables.task).answers_labels:
        return None
    with store.reading() as connection:
        keys = {one.name: one.prediction_key for one in read_candidates(connection, store, tables.candidates)}
        found = [read_corpus_by_sample(connection, keys[name]) for name in tables.candidates]
    return Corpus(tables.task, [[one.get(sample) for sample in tables.samples] for one in found])
