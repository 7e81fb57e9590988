"""Training scenes, and batches made from them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from recipes.common.train import Batch, Batches, SizedBatches
from recipes.digits.networks import Input, Recipe
from torch import Tensor
from torch.nn import functional

from premodel.demo.digits import SIZE, Split, generate
from premodel.domains.image.spec import OPENCV_INTERPOLATIONS

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

TRAINING_SCENES, TRAINING_SEED = 60_000, 1
WATCHED_SCENES, WATCHED_SEED = 1_000, 2
"""Scenes of the training split that no network learns from: for the log only, nothing is chosen by them."""


def scenes(n: int, seed: int, split: Split, folder: Path) -> tuple[Images, Labels]:
    """`n` scenes, uint8 (n, 64, 64, 3) RGB, and their labels; kept in `folder` for the next run."""
    path = folder / f"{split}-{seed}-{n}.npz"
    if not path.is_file():
        images, labels = np.empty((n, SIZE, SIZE, 3), np.uint8), np.empty(n, np.int64)
        for index, scene in enumerate(generate(n, seed=seed, split=split)):
            images[index], labels[index] = scene.image, scene.label
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, images=images, labels=labels)
        partial.replace(path)
    with np.load(path) as saved:
        return saved["images"], saved["labels"]


def resize(images: Images, to: Input) -> Images:
    """What the library's preprocessing does for `to` before normalisation: uint8 (n, channels, side, side)."""
    small = np.empty((len(images), *to.shape[1:]), np.uint8)
    for index, image in enumerate(images):
        pixels = image
        if to.side != SIZE:
            pixels = cv2.resize(pixels, (to.side, to.side), interpolation=OPENCV_INTERPOLATIONS[to.interpolation])
        if to.channels == "GRAY":
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        small[index] = pixels.reshape(to.side, to.side, -1).transpose(2, 0, 1)
    return small


def normalise(pixels: Tensor, of: Input) -> Tensor:
    """Float32 inputs from uint8 pixels."""
    return (pixels.float() / 255 - of.mean) / of.std


def augmented(images: Images, labels: Labels, recipe: Recipe, batch_size: int) -> Batches:
    """Shuffled batches, each moved by up to 1/16 of the side, its colour channels reordered, each scene's gain varied.

    None of this changes which digit it is. The mean and std of `Input` are equal for all channels.
    """
    pixels, targets = torch.from_numpy(images), torch.from_numpy(labels)
    reach = recipe.input.side // 16

    def epoch(number: int, generator: torch.Generator) -> SizedBatches:
        order = torch.randperm(len(pixels), generator=generator)

        def make(step: int) -> Batch:
            rows = order[step * batch_size : (step + 1) * batch_size]
            channels = torch.randperm(pixels.shape[1], generator=generator)
            part = pixels[rows][:, channels].float()
            part = part * torch.empty(len(rows), 1, 1, 1).uniform_(0.8, 1.1, generator=generator)
            part = _shift(part, torch.randint(-reach, reach + 1, (2,), generator=generator).tolist(), reach)
            if number < recipe.half_size_epochs:
                part = functional.avg_pool2d(part, 2)
            return normalise(part, recipe.input), targets[rows]

        return SizedBatches(len(order) // batch_size, make)

    return epoch


def _shift(part: Tensor, by: list[int], reach: int) -> Tensor:
    """Move all pictures by `by` pixels (down, right), at most `reach`; borders are repeated."""
    side = part.shape[-1]
    padded = functional.pad(part, (reach, reach, reach, reach), mode="replicate")
    return padded[:, :, reach - by[0] : reach - by[0] + side, reach - by[1] : reach - by[1] + side]
