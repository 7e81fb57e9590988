"""Fit of the KNN selector: it remembers the scaled training rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features
from premodel.runtime.selectors.knn import KnnSelector
from premodel.runtime.selectors.scaling import MinMaxScaler
from premodel.training.selectors.base import check_training

K = 5
"""The paper's number of neighbours (section 3.3)."""


def fit(
    features: Features, labels: NDArray[np.bool_], names: tuple[str, ...], seed: int = 0, k: int = K
) -> KnnSelector:
    """Fit a KNN selector (see `Fit`); nothing in it is random.

    Raises
    ------
    OptionError
        Also if there are fewer than k samples.
    """
    del seed
    check_training(features, labels, names)
    if k < 1 or len(features) < k:
        raise OptionError("wrong number of neighbours", given=k, allowed=f"1 to the {len(features)} training samples")
    scaler = MinMaxScaler.of(features)
    return KnnSelector(names, scaler, scaler(features), labels.copy(), k)
