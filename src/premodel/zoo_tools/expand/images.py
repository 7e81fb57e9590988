"""The images of an expansion: some to calibrate on, others to check siblings on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from premodel.domains.base import Domain
from premodel.errors import DatasetError, SampleError
from premodel.profiling.datasets.base import Dataset

MIN_CALIBRATION = 10
CHECKED_FOR_EACH = 3
"""Images to check on for each to calibrate on, where there are few."""
CHUNK = 64


@dataclass(frozen=True)
class Drawn:
    """Distinct readable images, drawn at random.

    Attributes
    ----------
    dataset, domain:
        Where they are from and how they are read.
    calibration, checked:
        Rows.
    samples:
        SHA-256 of the bytes by row.
    """

    dataset: Dataset
    domain: Domain
    calibration: tuple[int, ...]
    checked: tuple[int, ...]
    samples: dict[int, str]

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Row and decoded image, in rising order of row; DatasetError if one cannot be read any more."""
        for payload in self.dataset.read(rows):
            if payload.data is None:
                raise DatasetError("an image is gone", where=self.dataset.names[payload.row], given=payload.reason)
            yield payload.row, self.domain.decode(payload.data)

    @property
    def marks(self) -> dict[str, str]:
        """The calibration samples: SHA-256 -> name."""
        return {self.samples[row]: self.dataset.names[row] for row in self.calibration}

    def digest(self, rows: Sequence[int]) -> str:
        """SHA-256 over the samples of some rows."""
        text = " ".join(sorted(self.samples[row] for row in rows))
        return hashlib.sha256(text.encode()).hexdigest()


def draw(dataset: Dataset, domain: Domain, calibration: int, checked: int, seed: int = 0) -> Drawn:
    """Draw images to calibrate on, none where `calibration` is 0, and others to check on.

    Raises
    ------
    DatasetError
        There are too few that can be read.
    """
    order = np.random.default_rng(seed).permutation(len(dataset))
    samples: dict[int, str] = {}
    seen: set[str] = set()
    reason = "the data set is empty"
    for start in range(0, len(order), CHUNK):
        if len(samples) >= calibration + checked:
            break
        for payload in dataset.read([int(row) for row in order[start : start + CHUNK]]):
            digest = "" if payload.data is None else hashlib.sha256(payload.data).hexdigest()
            if payload.data is None or digest in seen:
                reason = payload.reason or reason
                continue
            try:
                domain.decode(payload.data)
            except SampleError as error:
                reason = f"{dataset.names[payload.row]}: {error}"
                continue
            seen.add(digest)
            samples[payload.row] = digest
    rows = [int(row) for row in order if int(row) in samples][: calibration + checked]
    plenty = len(rows) == calibration + checked
    taken = calibration if plenty else min(calibration, len(rows) // (1 + CHECKED_FOR_EACH))
    if calibration and taken < MIN_CALIBRATION:
        least = MIN_CALIBRATION * (1 + CHECKED_FOR_EACH)
        raise DatasetError(
            "too few images to calibrate on", where=dataset.root,
            given=f"{len(rows)} that can be read" + ("" if rows else f" ({reason})"), allowed=f"{least} or more",
            do="give more images, or say --without int8",
        )  # fmt: skip
    if len(rows) == taken:
        raise DatasetError("no image can be read", where=dataset.root, given=reason)
    return Drawn(dataset, domain, tuple(rows[:taken]), tuple(rows[taken:]), samples)
