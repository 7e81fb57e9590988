"""CIFAR-10 from Parquet (`image{bytes,path}`, `label`): decoding, the held-out part, normalisation, augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import torch
from recipes.common.train import Batch, SizedBatches
from torch import Tensor
from torch.nn import functional

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
CLASSES = 10
HELD_OUT = 2_000
"""Images of the training file that no network trains on: hyper-parameters are judged on them."""
HELD_OUT_SEED = 20_180_619
SMALL = 24
"""Side in pixels of the shrunk images of the first epochs."""


@dataclass(frozen=True)
class Images:
    """Decoded images (N, 32, 32, 3), uint8, RGB, and labels (N,), int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Images:
        """The images of these rows."""
        return Images(self.pixels[rows], self.labels[rows])


def read_images(parquet: Path) -> Images:
    """Decode all images of `parquet` with OpenCV, as the pipeline that will serve the networks does.

    Raises ValueError naming the row of an image that cannot be decoded or is not 32x32.
    """
    table = pq.read_table(parquet, columns=["image", "label"])
    pixels = np.empty((table.num_rows, 32, 32, 3), np.uint8)
    for row, image in enumerate(table["image"].to_pylist()):
        decoded = cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_COLOR)
        if decoded is None or decoded.shape != (32, 32, 3):
            raise ValueError(f"{parquet}: row {row}: expected a 32x32 image that OpenCV can decode")
        pixels[row] = decoded[:, :, ::-1]
    return Images(torch.from_numpy(pixels), torch.from_numpy(table["label"].to_numpy().astype(np.int64)))


def split(images: Images) -> tuple[Images, Images]:
    """The part to train on and the `HELD_OUT` images to judge by; the same ones each time."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(HELD_OUT_SEED))
    return images.take(order[HELD_OUT:]), images.take(order[:HELD_OUT])


def normalise(pixels: Tensor) -> Tensor:
    """(N, 32, 32, 3) uint8 to (N, 3, 32, 32) float32 in channels-last memory: (x / 255 - mean) / std."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return pixels.float().mul_(1 / (255 * std)).sub_(mean / std).permute(0, 3, 1, 2)


class Augmented:
    """The batches of an epoch: shuffled, mirrored in every other epoch, shifted by up to `shift` pixels, normalised.

    Which images are mirrored in even epochs is drawn once; in odd epochs it is the others, so that two epochs show both
    (alternating flip, Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"). Shifts reflect at the border.
    `cutout` greys a square of that side at a random place (DeVries and Taylor 2017), whole inside the image. The first
    `small_epochs` epochs see the images shrunk to `SMALL` pixels, for little more than half the time.
    `soft_targets` (N, 10), class probabilities, replace the labels. From epoch `mix_from` on, half of the batches have
    a rectangle of each image replaced by that of another, and the targets mixed by area (Yun et al. 2019, "CutMix").
    """

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int,
        seed: int,
        shift: int = 2,
        cutout: int = 0,
        small_epochs: int = 0,
        soft_targets: Tensor | None = None,
        mix_from: int | None = None,
    ) -> None:
        self.labels = images.labels
        self.batch_size = batch_size
        self.shift = shift
        self.cutout = cutout
        self.small_epochs = small_epochs
        self.soft_targets = soft_targets
        self.mix_from = mix_from
        self.padded = torch.from_numpy(
            np.pad(images.pixels.numpy(), ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
        )
        generator = torch.Generator().manual_seed(seed)
        self.mirrored_first = torch.rand(len(images), generator=generator) < 0.5

    def __call__(self, epoch: int, generator: torch.Generator) -> SizedBatches:
        """The batches of `epoch`; the last, incomplete one is left out."""
        order = torch.randperm(len(self.labels), generator=generator)

        def make(step: int) -> Batch:
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            mirrored = self.mirrored_first[rows] ^ bool(epoch % 2)
            inputs = normalise(self._crop(rows, mirrored, generator))
            if self.cutout:
                inputs = self._cut_out(inputs, generator)
            if epoch < self.small_epochs:
                inputs = functional.interpolate(inputs, size=(SMALL, SMALL), mode="bilinear", antialias=True)
            targets = self.labels[rows] if self.soft_targets is None else self.soft_targets[rows]
            if self.mix_from is not None and epoch >= self.mix_from and torch.rand((), generator=generator) < 0.5:
                return _mixed(inputs, targets, generator)
            return inputs, targets

        return SizedBatches(len(self.labels) // self.batch_size, make)

    def _crop(self, rows: Tensor, mirrored: Tensor, generator: torch.Generator) -> Tensor:
        """Shifted and mirrored images (n, 32, 32, 3), uint8."""
        top, left = torch.randint(0, 2 * self.shift + 1, (2, len(rows), 1), generator=generator)
        along = torch.arange(32).expand(len(rows), 32)
        columns = left + torch.where(mirrored[:, None], 31 - along, along)
        return self.padded[rows[:, None, None], (top + along)[:, :, None], columns[:, None, :]]

    def _cut_out(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Inputs (n, 3, 32, 32), normalised, with a square of each at the mean colour, which is zero."""
        top, left = torch.randint(0, 32 - self.cutout + 1, (2, len(inputs), 1), generator=generator)
        along = torch.arange(32)
        rows, columns = (((along >= start) & (along < start + self.cutout)) for start in (top, left))
        return inputs.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _mixed(inputs: Tensor, targets: Tensor, generator: torch.Generator) -> Batch:
    """Inputs (n, 3, H, W) with one rectangle, the same for all, from another image of the batch; targets (n, classes).

    The rectangle's share of the area is uniform in 0 to 1 before what lies outside the image is cut off.
    """
    if targets.ndim == 1:
        targets = functional.one_hot(targets, CLASSES).float()
    height, width = inputs.shape[2:]
    half = (1 - torch.rand((), generator=generator)).sqrt() / 2
    middle = torch.rand(2, generator=generator)
    (top, left), (bottom, right) = (
        ((middle + sign * half).clamp(0, 1) * torch.tensor([height, width])).round().int().tolist() for sign in (-1, 1)
    )
    other = torch.randperm(len(inputs), generator=generator)
    mixed = inputs.clone()
    mixed[:, :, top:bottom, left:right] = inputs[other, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return mixed, (1 - share) * targets + share * targets[other]
