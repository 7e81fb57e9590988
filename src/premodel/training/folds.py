"""Shuffled, stratified folds and subsamples, by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers of one fold, ascending: `train` and `test` together are all rows, each once."""

    train: Rows
    test: Rows


def stratified_folds(
    truth: NDArray[np.integer], right_counts: NDArray[np.integer], n_folds: int = 10, seed: int = 0
) -> list[Fold]:
    """Divide n samples into folds.

    Parameters
    ----------
    truth:
        int (n,), true label of each sample.
    right_counts:
        int (n,), how many candidates are right on each sample.
    n_folds:
        Number of folds, 2 to n.
    seed:
        Of the shuffle.

    Returns
    -------
    `n_folds` folds; sizes of their test rows differ by at most one.

    Raises
    ------
    OptionError
        Fewer than 2 folds, or fewer samples than folds.

    Notes
    -----
    Samples are shuffled, put in the order of `strata_order` and dealt out in turn. So each class with at least
    `n_folds` samples is in every fold, its counts differing by at most one, and within a class so are easy and hard
    samples. Classes with fewer samples cannot be in every fold; they are stratified together by how many candidates
    are right, and samples of one such class still go to different folds where they stand next to each other.
    Identical inputs cannot fall into two folds because a profile holds each digest once.
    """
    n = len(truth)
    if n_folds < 2:
        raise OptionError("too few folds", given=n_folds, allowed="2 or more")
    if n < n_folds:
        raise OptionError("fewer samples than folds", given=f"{n} samples, {n_folds} folds", do="use fewer folds")
    order = strata_order(truth, right_counts, n_folds, seed)
    fold_of = np.empty(n, dtype=np.intp)
    fold_of[order] = np.arange(n) % n_folds
    return [Fold(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_folds)]


def stratified_subsample(
    truth: NDArray[np.integer], right_counts: NDArray[np.integer], size: int, seed: int = 0
) -> Rows:
    """Take `size` of n samples, ascending; all of them if there are no more.

    Notes
    -----
    Samples are put in the same order as for folds, with classes of fewer than n / size samples pooled, and taken at
    equal steps, so that every class and every number of right candidates keeps its share within one sample.

    Raises
    ------
    OptionError
        `size` is below 1.
    """
    n = len(truth)
    if size < 1:
        raise OptionError("an empty subsample", given=size, allowed="1 or more")
    if size >= n:
        return np.arange(n)
    order = strata_order(truth, right_counts, -(-n // size), seed)
    return np.sort(order[np.arange(size) * n // size])


def strata_order(truth: NDArray[np.integer], right_counts: NDArray[np.integer], least: int, seed: int) -> Rows:
    """Rows in shuffled order, then sorted by stratum: intp (n,).

    Classes with at least `least` samples come first, by class, then by the number of right candidates; the samples of
    rarer classes follow, by the number of right candidates, then by class. Within equals the order is random.
    """
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    _, inverse, counts = np.unique(truth, return_inverse=True, return_counts=True)
    rare = counts[inverse] < least
    major = np.where(rare, right_counts, inverse)[shuffled]
    minor = np.where(rare, inverse, right_counts)[shuffled]
    return shuffled[np.lexsort((minor, major, rare[shuffled]))]
