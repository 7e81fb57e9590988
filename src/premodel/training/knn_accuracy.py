"""Cross-validated accuracy of the KNN premodel on many subsets of features at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features, Scores
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.folds import Fold

Decide = Callable[[Scores], NDArray[np.intp]]
"""Scores (n, m) -> column of the served candidate (n,), or -1 for an abstention."""

PAIRS = 16_000
"""Pairs of samples whose distances are held at once; few, so that they stay in the processor's cache."""
FEW = 96
"""Training rows that are looked at for every subset, where no other can be among the nearest."""
ROUNDING = 1e-5
"""More than the share by which a sum of squares, of up to 64 features, is rounded."""
NUMBER = 0xFFFFFFFF
"""The part of a key that is a column."""
BLOCK = 128
"""Columns whose least distance is taken together."""


class KnnAccuracy:
    """Accuracy of what a KNN premodel would serve, in K-fold cross-validation (a `SubsetAccuracy`).

    Parameters
    ----------
    features:
        float32 (n, F), raw, of the samples to score on.
    labels:
        bool (n, m), what the selector is taught.
    correct:
        (n, c), was the candidate right, or its score, for the columns that `decide` gives.
    decide:
        The decision rule.
    folds:
        Of these n samples; scaling is fitted inside each.
    k:
        Neighbours, at most the size of the smallest training part.

    Raises
    ------
    OptionError
        A training part has fewer than k samples.

    Notes
    -----
    Leaving out one feature changes a squared distance by that feature's term only. The terms of each feature are
    computed once per round and summed from both ends, so that every subset costs one addition per pair of samples and
    no difference of nearly equal numbers is taken. Distances here are float32: beyond its rounding neighbours are the
    deployed selector's, equal distances by training row.

    An abstention counts as wrong.
    """

    def __init__(
        self,
        features: Features,
        labels: NDArray[Any],
        correct: NDArray[Any],
        decide: Decide,
        folds: Sequence[Fold],
        k: int,
    ) -> None:
        smallest = min(len(fold.train) for fold in folds)
        if smallest < k:
            raise OptionError(
                "too few samples to select features", given=f"{smallest} to train on in a fold", allowed=f"{k} or more"
            )
        self._labels = labels.astype(np.float64)
        self._correct = correct
        self._decide = decide
        self._k = k
        self._parts = []
        for fold in folds:
            scaler = MinMaxScaler.of(features[fold.train])
            padded = np.full((features.shape[1], -(-len(fold.train) // BLOCK) * BLOCK), np.inf, dtype=np.float32)
            padded[:, : len(fold.train)] = scaler(features[fold.train]).T  # padding is infinitely far
            self._parts.append((fold, padded, scaler(features[fold.test])))

    def all_of(self, kept: Sequence[int]) -> float:
        """See `SubsetAccuracy.all_of`."""
        return float(self._accuracies(kept, whole=True)[0])

    def without_each(self, kept: Sequence[int]) -> NDArray[np.float64]:
        """See `SubsetAccuracy.without_each`."""
        return self._accuracies(kept, whole=False)

    def _accuracies(self, kept: Sequence[int], whole: bool) -> NDArray[np.float64]:
        """Accuracy with all of `kept` if `whole`, else with each one left out."""
        columns = list(kept)
        subsets = 1 if whole else len(columns)
        hits = np.zeros(subsets)
        for fold, train, test in self._parts:
            shares = np.empty((subsets, len(test), self._labels.shape[1]))
            labels = self._labels[fold.train]
            rows = np.ascontiguousarray(train[columns])
            step = max(1, PAIRS // rows.shape[1])
            for start in range(0, len(test), step):
                part = test[start : start + step, columns]
                terms = part.T[:, :, None] - rows[:, None, :]
                np.square(terms, out=terms)
                if whole:
                    near = nearest_columns(terms.sum(axis=0), self._k)[None]
                else:
                    near = nearest_without_each(terms, self._k, len(labels))
                shares[:, start : start + len(part)] = labels[near].sum(axis=2) / self._k
            for subset in range(subsets):
                served = self._decide(shares[subset])
                answered = served >= 0
                hits[subset] += self._correct[fold.test[answered], served[answered]].sum()
        return hits / sum(len(fold.test) for fold, _, _ in self._parts)


def nearest_without_each(terms: NDArray[np.float32], k: int, n: int) -> NDArray[np.intp]:
    """`nearest_columns` of the sums of terms with each term left out, (F, b, columns) -> (F, b, k); n columns count.

    Notes
    -----
    A distance without one term is at least the distance with all, less its largest term. The columns of which that is
    least are looked at for every term; if the k-th nearest of them is nearer than that of any other column can be,
    they hold the k nearest. Rows of which that is not so are looked at in full.
    """
    if n <= 2 * FEW or len(terms) == 1:
        return np.stack([nearest_columns(distance, k) for distance in leave_one_out(terms)])
    real = terms[:, :, :n]
    whole = real.sum(axis=0)
    least = whole * np.float32(1 - ROUNDING) - real.max(axis=0)
    columns = np.argpartition(least, FEW, axis=1)[:, : FEW + 1]
    beyond = np.take_along_axis(least, columns[:, FEW:], axis=1)[:, 0]
    columns = columns[:, :FEW]
    distances = np.stack(leave_one_out(np.take_along_axis(real, columns[None], axis=2)))
    keys = _least_keys(distances, columns, k)
    found = keys & NUMBER
    furthest = (keys.max(axis=2) >> 32).astype(np.uint32).view(np.float32).max(axis=0)
    unsure = np.flatnonzero(furthest >= beyond)
    if unsure.size:
        full = leave_one_out(np.ascontiguousarray(terms[:, unsure]))
        found[:, unsure] = np.stack([nearest_columns(distance, k) for distance in full])
    return found


def leave_one_out(terms: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Sums over the first axis with each term left out: (F, ...) -> F arrays (...)."""
    n_terms = len(terms)
    after = np.zeros_like(terms)
    for index in range(n_terms - 2, -1, -1):
        np.add(after[index + 1], terms[index + 1], out=after[index])
    before = np.zeros_like(terms[0])
    for index in range(n_terms):
        after[index] += before
        before += terms[index]
    return list(after)


def nearest_columns(distance: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Columns of the k least in each row, equal ones by column; their order within the k is open: (b, n) -> (b, k).

    The number of columns is a multiple of BLOCK.

    Notes
    -----
    Columns are looked at in blocks of neighbouring ones. The k least of a row lie in the k blocks of least minima,
    equal minima by block: if one of the k least lay in another, each of those k blocks would hold one before it.
    """
    b, n = distance.shape
    if n // BLOCK <= k:  # the k best blocks are all there are
        return _least(distance, np.arange(n), k)
    blocks = distance.reshape(b, n // BLOCK, BLOCK)
    best = _least(blocks.min(axis=2), np.arange(n // BLOCK), min(k, n // BLOCK))
    columns = (best[:, :, None] * BLOCK + np.arange(BLOCK)).reshape(b, -1)
    return _least(blocks[np.arange(b)[:, None], best].reshape(b, -1), columns, k)


def _least(values: NDArray[np.float32], numbers: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Numbers of the k least values in each row, equal values by number: (b, n) -> (b, k).

    A float32 that is not negative orders as its bits do. Put above the number in one 64-bit integer, it makes every
    key distinct, and partitioning decides ties as written.
    """
    return _least_keys(values, numbers, k) & NUMBER


def _least_keys(values: NDArray[np.float32], numbers: NDArray[np.intp], k: int) -> NDArray[np.int64]:
    """The keys of the k least values, along the last axis."""
    keys = values.view(np.uint32).astype(np.int64)
    keys <<= 32
    keys |= numbers
    keys.partition(k - 1, axis=-1)
    return keys[..., :k]
