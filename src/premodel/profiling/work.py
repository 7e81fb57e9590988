"""What is timed, on this machine: a candidate, and the features."""

from __future__ import annotations

from premodel.clock import now_ms
from premodel.domains.image.decode import Image
from premodel.domains.image.features.extractor import Extractor
from premodel.runtime.candidate import OpenedCandidate

PREPROCESS, RUN, DECODE = "preprocess", "run", "decode"
"""Stages."""


class CandidateWork:
    """Preprocess and run, as a single candidate alone does it."""

    def __init__(self, opened: OpenedCandidate) -> None:
        self._opened = opened

    def __call__(self, image: Image) -> dict[str, float]:
        """Do it once."""
        start = now_ms()
        tensor = self._opened.prepare(image)
        prepared = now_ms()
        self._opened.run(tensor)
        return {PREPROCESS: prepared - start, RUN: now_ms() - prepared}


class FeatureWork:
    """All features of one image, part by part."""

    def __init__(self) -> None:
        self._extractor = Extractor()

    def __call__(self, image: Image) -> dict[str, float]:
        """Do it once."""
        return self._extractor.time_parts(image.rgb)
