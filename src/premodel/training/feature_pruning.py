"""Features that tell what another one tells are dropped (paper section 3.4.1, Table 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Features
from premodel.training.product import product
from premodel.training.tables import FeatureCosts

CORRELATION = 0.75
"""The paper's threshold on the absolute correlation of two features."""


@dataclass(frozen=True)
class Dropped:
    """A feature that pruning drops.

    Attributes
    ----------
    feature:
        Its name.
    because_of:
        The kept feature it is most correlated with; None if it is constant.
    correlation:
        Pearson's, with that feature, in [-1, 1]; NaN if it is constant.
    """

    feature: str
    because_of: str | None
    correlation: float

    def __str__(self) -> str:
        if self.because_of is None:
            return f"{self.feature}: constant"
        return f"{self.feature}: correlation {self.correlation:+.2f} with {self.because_of}"


@dataclass(frozen=True)
class Pruning:
    """The outcome of pruning by correlation (paper Table 3): columns kept, in list order, and what was dropped."""

    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    threshold: float


def prune_correlated(
    features: Features, names: Sequence[str], costs: FeatureCosts | None = None, threshold: float = CORRELATION
) -> Pruning:
    """Drop constant features and one of each pair that is correlated beyond the threshold.

    Parameters
    ----------
    features:
        float32 (n, F), raw; correlation is the same scaled or not.
    names:
        Feature names, F.
    costs:
        Cost of each feature; None, or a feature it does not name, counts as 0.
    threshold:
        In (0, 1]; an absolute correlation above it is too high.

    Raises
    ------
    OptionError
        The threshold is outside (0, 1], there are no samples, or every feature is constant.

    Notes
    -----
    The paper drops "one of them". Here features are visited in order of rising cost (each by itself, with all parts
    it needs), equal costs in list order; a feature is kept unless it is too correlated with one already kept. So of a
    pair the cheaper stays. If several kept ones are too close, the closest is reported.

    Examples
    --------
    >>> features = np.array([[1, 2, 5, 7], [2, 4, 1, 7], [3, 6, 4, 7]], np.float32)
    >>> found = prune_correlated(features, ["brightness", "twice", "hue", "constant"])
    >>> found.kept
    (0, 2)
    >>> for line in found.dropped:
    ...     print(line)
    twice: correlation +1.00 with brightness
    constant: constant
    """
    if not 0 < threshold <= 1:
        raise OptionError("wrong correlation threshold", given=threshold, allowed="above 0, at most 1")
    if len(features) == 0:
        raise OptionError("no samples to select features on", given=0, allowed="1 or more")
    varies = features.min(axis=0) < features.max(axis=0)
    if not varies.any():
        raise OptionError("every feature is constant", given=f"{len(features)} samples", do="profile more samples")
    correlation = _correlation(features, varies)
    known = costs.needs if costs is not None else {}
    price = [costs.of([name]) if costs is not None and name in known else 0.0 for name in names]
    kept: list[int] = []
    dropped: dict[int, Dropped] = {}
    for column in sorted(range(len(names)), key=lambda column: (price[column], column)):
        if not varies[column]:
            dropped[column] = Dropped(names[column], None, float("nan"))
            continue
        near = max(kept, key=lambda other: (abs(correlation[column, other]), -other), default=None)
        if near is not None and abs(correlation[column, near]) > threshold:
            dropped[column] = Dropped(names[column], names[near], float(correlation[column, near]))
        else:
            kept.append(column)
    return Pruning(tuple(sorted(kept)), tuple(dropped[column] for column in sorted(dropped)), threshold)


def _correlation(features: Features, varies: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pearson's correlation (F, F), 0 where a feature is constant."""
    values = features[:, varies].astype(np.float64)
    values -= values.mean(axis=0)
    values /= np.abs(values).max(axis=0)  # so that squares neither overflow nor vanish
    values /= np.sqrt(np.square(values).sum(axis=0))
    correlation = np.zeros((len(varies), len(varies)))
    correlation[np.ix_(varies, varies)] = np.clip(product(values.T, values), -1.0, 1.0)
    return correlation
