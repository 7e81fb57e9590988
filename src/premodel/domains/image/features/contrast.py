"""contrast: how far the image's greys lie apart."""

from __future__ import annotations

from collections.abc import Sequence

from premodel.domains.features import Feature, FeatureFamily
from premodel.domains.image.features.intermediates import Intermediates


class Contrast(FeatureFamily):
    """`contrast`: the standard deviation of the luma over the thumbnail's pixels (RMS contrast, Peli 1990).

    Unit: grey levels. Range: [0, 127.5]: 0 on a flat image, 127.5 on one half black and half white.

    Notes
    -----
    The paper states "the level of contrast". RMS contrast is the definition used for natural images; Michelson's,
    (max - min) / (max + min), is 1 for nearly every photograph, because it sees only two pixels.
    """

    name = "contrast"
    features = (Feature("contrast", "grey levels", 0.0, 127.5),)
    needs = ("grey_moments",)

    def compute(self, shared: Intermediates) -> Sequence[float]:
        """Take the deviation of the luma."""
        return (min(shared.grey_moments[1], 127.5),)
