"""Labelled images for a search: decoded once, as far as the memory set aside for them goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from premodel.domains.image.decode import Image, decode
from premodel.domains.image.preprocess import Pyramid
from premodel.errors import DatasetError, ImageError
from premodel.profiling.datasets.base import Dataset

KEPT_BYTES = 512_000_000
"""Decoded images kept in memory; those beyond are decoded again whenever they are needed."""


KEPT_CROPS_BYTES = 256_000_000
"""Resized crops kept for the networks to come."""
MAX_TINT = 4
"""Difference of two channels up to which a pixel is grey: what storing as JPEG may leave."""


def made_up_image() -> Image:
    """uint8 (256, 256, 3): a colour gradient with noise, always the same."""
    y, x = np.mgrid[0:256, 0:256]
    smooth = np.stack([x, y, 255 - (x + y) // 2], axis=2)
    noise = np.random.default_rng(0).integers(-40, 41, smooth.shape)
    return Image(np.ascontiguousarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)))


def _is_grey(image: Image) -> bool:
    red, green, blue = (image.rgb[:, :, channel].astype(np.int16) for channel in range(3))
    return bool(max(np.abs(red - green).max(), np.abs(green - blue).max()) <= MAX_TINT)


class TrialImages:
    """Up to `limit` readable images of a data set, drawn and ordered at random with a fixed seed.

    Attributes
    ----------
    labels:
        int32 (n,), the truth.
    grey:
        No image has a colour.
    unreadable:
        What could not be read, and why.
    """

    def __init__(
        self,
        dataset: Dataset,
        limit: int,
        seed: int = 0,
        kept_bytes: int = KEPT_BYTES,
        label_names: Sequence[str] = (),
    ) -> None:
        self._dataset = dataset
        self._names = label_names
        self._pyramids: dict[int, Pyramid] = {}
        self._crop_bytes: dict[int, int] = {}
        self._kept: dict[int, Image] = {}
        self.unreadable: list[str] = []
        rows: list[int] = []
        kept = 0
        self.grey = True
        self._sizes: dict[int, tuple[int, int]] = {}
        for payload in dataset.read(dataset.draw(limit, seed)):
            try:
                if payload.data is None:
                    raise ImageError(payload.reason)
                image = decode(payload.data)
            except ImageError as error:
                self.unreadable.append(f"{dataset.names[payload.row]}: {error}")
                continue
            rows.append(payload.row)
            self.grey = self.grey and _is_grey(image)
            self._sizes[payload.row] = image.rgb.shape[0], image.rgb.shape[1]
            kept += image.rgb.nbytes
            if kept <= kept_bytes:
                self._kept[payload.row] = image
        if not rows:
            first = self.unreadable[0] if self.unreadable else "the data set is empty"
            raise DatasetError("no image could be read", where=dataset.root, given=first)
        # Data sets are sorted by class more often than not: any first part of these is a fair sample.
        self._rows = np.random.default_rng(seed).permutation(rows)
        self.labels: NDArray[np.int32] = np.asarray(dataset.labels)[self._rows].astype(np.int32)

    def __len__(self) -> int:
        return len(self._rows)

    def are_of(self, size: tuple[int, int]) -> bool:
        """Do most images have this (height, width)."""
        return 2 * sum(one == size for one in self._sizes.values()) > len(self._sizes)

    def name(self, label: int) -> str:
        """The name of a label, or its number."""
        return self._names[label] if label < len(self._names) else str(label)

    def pyramid(self, index: int, image: Image) -> Pyramid:
        """The resized crops of an image: those that were made for an earlier convention or network are kept."""
        found = self._pyramids.get(index)
        if found is None or found.image is not image:
            found = Pyramid(image)
            if sum(self._crop_bytes.values()) < KEPT_CROPS_BYTES and int(self._rows[index]) in self._kept:
                self._pyramids[index] = found
        if index in self._pyramids:
            self._crop_bytes[index] = found.nbytes
            if sum(self._crop_bytes.values()) > KEPT_CROPS_BYTES:
                del self._pyramids[index], self._crop_bytes[index]
        return found

    def read(self, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
        """Index and image."""
        for index in indices:
            row = int(self._rows[index])
            image = self._kept.get(row)
            if image is None:
                (payload,) = self._dataset.read([row])
                if payload.data is None:
                    raise ImageError(payload.reason, where=self._dataset.names[row])
                image = decode(payload.data)
            yield index, image
