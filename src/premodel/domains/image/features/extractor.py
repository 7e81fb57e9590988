"""From one decoded image to its vector of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.domains.image.features.costs import ASSEMBLY, CHECK, cost_items_of, intermediates_of
from premodel.domains.image.features.intermediates import Intermediates, Pixels
from premodel.domains.image.features.registry import FAMILIES, FEATURE_NAMES, families_of
from premodel.errors import OptionError

EXTRACTOR_VERSION = str(sum(family.version for family in FAMILIES) - 7)
"""Of all families together: rises with the version of any, and with a new one (eight of version 1 were the first)."""


class Extractor:
    """Computes a chosen subset of the features, and nothing that the subset does not need.

    An extractor keeps nothing of the images it has seen: it may be shared between threads, and the same pixels give
    the same vector. OpenCV's own threads are the caller's to set (`cv2.setNumThreads`).

    Parameters
    ----------
    names:
        The features wanted, in the order wanted; None for all of them in the order of `FEATURE_NAMES`.
    version:
        The version that the caller's tables or bundle were made with.

    Raises
    ------
    OptionError
        A feature is unknown or named twice, or the version is not the one that this release computes.

    Examples
    --------
    >>> extractor = Extractor(["aspect_ratio", "avg_brightness"])
    >>> extractor.extract(np.full((2, 4, 3), 51, np.uint8))[1].item()
    51.0
    >>> Extractor(["smell"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    premodel.errors.OptionError: unknown feature; given: smell; ...
    """

    def __init__(self, names: Sequence[str] | None = None, version: str = EXTRACTOR_VERSION) -> None:
        if version != EXTRACTOR_VERSION:
            raise OptionError(
                "features of another version",
                given=version,
                allowed=EXTRACTOR_VERSION,
                do="profile and train again, or use the release of premodel that they were made with",
            )
        self.names: tuple[str, ...] = FEATURE_NAMES if names is None else tuple(names)
        self.version = version
        chosen = families_of(self.names)
        self._families = tuple(family() for family in chosen)
        self._intermediates = intermediates_of(chosen)
        computed = [feature.name for family in chosen for feature in family.features]
        self._order = np.array([computed.index(name) for name in self.names], dtype=np.intp)

    def extract(self, image: Pixels) -> NDArray[np.float32]:
        """Compute the features of one image.

        Parameters
        ----------
        image:
            uint8 (H, W, 3), RGB, C-contiguous, any size from 1 x 1; it is only read.

        Returns
        -------
        float32 (F,), in the order of `names`, unscaled, always finite.

        Raises
        ------
        ImageError
            The image is not such an array.
        """
        shared = Intermediates(image)
        values: list[float] = []
        for family in self._families:
            values.extend(family.compute(shared))
        return self._assemble(values)

    def cost_items(self) -> tuple[str, ...]:
        """Name the cost items that are paid for, in the order in which they are computed (see `costs`)."""
        return cost_items_of(self.names)

    def time_cost_items(self, image: Pixels) -> dict[str, float]:
        """Measure the milliseconds of each cost item on one image; the names are those of `cost_items`.

        One measurement of one image, without warm-up: average over many images.

        Raises
        ------
        ImageError
            As `extract`.
        """
        spent: dict[str, float] = {}
        values: list[float] = []
        start = now_ms()
        shared = Intermediates(image)
        end = now_ms()
        spent[CHECK] = end - start
        for name in self._intermediates:
            start = now_ms()
            getattr(shared, name)
            end = now_ms()
            spent[name] = end - start
        for family in self._families:
            start = now_ms()
            values.extend(family.compute(shared))
            end = now_ms()
            spent[family.name] = end - start
        start = now_ms()
        self._assemble(values)
        end = now_ms()
        spent[ASSEMBLY] = end - start
        return spent

    def _assemble(self, values: list[float]) -> NDArray[np.float32]:
        return np.array(values, dtype=np.float32)[self._order]
