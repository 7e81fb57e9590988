"""avg_brightness and brightness_rms: how light the image is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features.intermediates import Intermediates


class Brightness(FeatureFamily):
    """Mean and root mean square of the luma Y = 0.299 R + 0.587 G + 0.114 B over the thumbnail's pixels.

    `avg_brightness` = mean(Y); `brightness_rms` = sqrt(mean(Y^2)) = sqrt(mean(Y)^2 + variance(Y)).

    Unit: grey levels. Range: [0, 255], black to white.

    Notes
    -----
    The paper states "average brightness" and "root mean square of brightness" and gives no formula. Luma is what an
    8-bit grey copy of the image holds, so the copy made for edges and corners is used again.
    """

    name = "brightness"
    features = (
        Feature("avg_brightness", "grey levels", 0.0, 255.0),
        Feature("brightness_rms", "grey levels", 0.0, 255.0),
    )
    needs = ("grey_moments",)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Compute both from the moments of the luma."""
        mean, deviation = shared.grey_moments
        return mean, min(math.hypot(mean, deviation), 255.0)
