"""Min-max scaling of features, saved with the premodel (paper section 3.4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.selectors.base import Arrays, Features
from premodel.runtime.selectors.components import Components

BELOW, ABOVE = -1.0, 2.0
"""Scaled values are held within these: one training range beyond either end."""


@dataclass(frozen=True, eq=False)
class MinMaxScaler:
    """Maps each feature's training range to [0, 1].

    Attributes
    ----------
    low, high:
        float64 (F,), least and greatest value of each feature in the training rows.

    Notes
    -----
    The paper records minimum and maximum and uses them for new inputs; it is silent on new values outside them.
    Here a value outside is scaled by the same line and then held within [-1, 2], so that one freak value can neither
    overflow nor outweigh all other features without bound. A feature that was constant in training scales to 0.
    The result is float32; this is the one place where selectors round.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    _span: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        span = self.high - self.low
        object.__setattr__(self, "_span", np.where(span > 0, span, np.inf))  # anything / inf = 0

    @classmethod
    def of(cls, features: Features) -> Self:
        """The scaler of training rows (n, F).

        Raises
        ------
        OptionError
            There are no rows.
        """
        if len(features) == 0:
            raise OptionError("no samples to scale by", given=0, allowed="1 or more")
        return cls(features.min(axis=0).astype(np.float64), features.max(axis=0).astype(np.float64))

    def __call__(self, features: Features) -> Features:
        """Scale finite raw features, (F,) or (n, F), to float32 of the same shape."""
        scaled = (features - self.low) / self._span
        np.maximum(scaled, BELOW, out=scaled)
        np.minimum(scaled, ABOVE, out=scaled)
        return scaled.astype(np.float32)

    def arrays(self) -> Arrays:
        """The arrays of the bundle."""
        return {"low": self.low, "high": self.high}

    @classmethod
    def from_components(cls, components: Components, n_features: int) -> Self:
        """Make the scaler again; BundleError if an array is missing or a range is reversed."""
        greatest = float(np.finfo(np.float32).max)  # features are float32, so both ends of a range are
        low = components.within("low", np.float64, (n_features,), -greatest, greatest)
        high = components.within("high", np.float64, (n_features,), -greatest, greatest)
        components.require(bool((low <= high).all()), "a feature's low is above its high")
        ends = np.concatenate([low, high])
        components.require(
            bool((ends == ends.astype(np.float32)).all()),
            "the ends of a feature's range must be float32 numbers",
        )
        return cls(low, high)
