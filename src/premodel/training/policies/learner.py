"""What trainings of `cascade` and `cascade-routing` on the same tables share: log scores, pools found, sets fitted.

Both policies search the same pools and fit the same sets; `auto` trains both, again and again. What was computed once
is kept as long as the tables live, under everything that it depends on, so that it is what computing it again would
give.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from premodel.training.ceilings import together
from premodel.training.folds import stratified_folds
from premodel.training.log_scores import log_score_table
from premodel.training.options import TrainOptions
from premodel.training.policies.pool import PoolChoice, PoolSearch, search_rows
from premodel.training.policies.stopping import SetFit, fit_sets
from premodel.training.tables import Tables

SELECT_MS = 0.03
"""All decisions of an answer by two candidates; by one they take 0.008 ms, by three 0.045 (`benchmarks/policies`).

An estimate and not measured each time, because equal training must give an equal bundle.
"""
POOLS_KEPT = 6
"""Pools whose log scores are kept: 28 MB each with 50,000 samples and five candidates."""
SEARCHES_KEPT = 6
"""Searches whose fitted sets are kept, one on all rows and one per fold: 27 MB after four of 37 candidates."""

Rows = NDArray[np.intp]
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Learner:
    """Log scores, pools and fitted sets of one profile, for one criterion, seed and pair of ceilings.

    A subclass learns of other answers than labels: its log scores are any `PoolTable`, its fits any `Fit`.

    The tables are given to every method and not kept: kept here they would keep themselves alive.

    Parameters
    ----------
    tables:
        The profile; its rows are named by number below.
    options:
        Of the training. The operating point that they ask for makes no difference here.
    """

    def __init__(self, tables: Tables, options: TrainOptions) -> None:
        self.truth = tables.truth
        self.correct = self._correct_of(tables, options)
        self._options = options
        self._log_scores: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._searches: OrderedDict[bytes, PoolSearch] = OrderedDict()
        self._choices: dict[Hashable, PoolChoice] = {}
        self._fits: dict[Hashable, SetFit] = {}

    def log_scores(self, tables: Tables, columns: tuple[int, ...]) -> Any:
        """Log scores of some of the candidates on all rows."""
        return _last_used(
            self._log_scores, columns, lambda: self._log_scores_of(tables.take_candidates(columns)), POOLS_KEPT
        )

    def choose(self, tables: Tables, rows: Rows, cost_weight: NDArray[np.float64]) -> PoolChoice:
        """The pool found on these rows."""

        def begin() -> PoolSearch:
            return self._search_of(tables.take(rows[search_rows(len(rows))]))

        def choose() -> PoolChoice:
            search = _last_used(self._searches, rows.tobytes(), begin, SEARCHES_KEPT)
            return search.choose(cost_weight, accepts=together(tables, self._options.objective))

        return _kept(self._choices, (rows.tobytes(), cost_weight.tobytes()), choose)

    def fit(self, tables: Tables, columns: tuple[int, ...], rows: Rows, folds: int) -> Any:
        """All sets of a pool, fitted on these rows, calibrated by cross-fitting in so many folds of them."""

        def fit() -> SetFit:
            parts = stratified_folds(self.truth[rows], self.correct[rows].sum(axis=1), folds, self._options.seed)
            return fit_sets(self.log_scores(tables, columns).take(rows), parts)

        return _kept(self._fits, (columns, rows.tobytes(), folds), fit)

    def _correct_of(self, tables: Tables, options: TrainOptions) -> NDArray[Any]:
        return tables.correct(options.criterion)

    def _search_of(self, tables: Tables) -> PoolSearch:
        return PoolSearch(self._log_scores_of(tables))

    def _log_scores_of(self, tables: Tables) -> Any:
        return log_score_table(tables, self._options.criterion, tables.decode_ms + SELECT_MS)


_LEARNERS: WeakKeyDictionary[Tables, dict[Hashable, Learner]] = WeakKeyDictionary()


def learner_of(tables: Tables, options: TrainOptions, kind: type[Learner] = Learner) -> Learner:
    """The learner of these very tables, kept as long as they live; its kind goes by the criterion."""
    objective = options.objective
    key = (options.criterion, options.seed, objective.max_memory_mb, objective.max_energy_mj)
    return _kept(_LEARNERS.setdefault(tables, {}), key, lambda: kind(tables, options))


def _last_used(store: OrderedDict[K, T], key: K, make: Callable[[], T], most: int) -> T:
    """The same in a store of so many that were used last."""
    if key not in store:
        store[key] = make()
        if len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]


def _kept(store: dict[Hashable, T], key: Hashable, make: Callable[[], T]) -> T:
    if key not in store:
        store[key] = make()
    return store[key]
