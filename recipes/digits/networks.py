"""The five networks of the digits zoo, smallest first: one family, each with the input and the widths it can carry."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from recipes.common.train import Schedule
from torch import Tensor, nn


@dataclass(frozen=True)
class Input:
    """How a scene becomes a network's input: resized to `side` pixels, then (x / 255 - mean) / std in each channel."""

    side: int
    channels: Literal["RGB", "GRAY"]
    interpolation: Literal["area", "bilinear"] = "area"
    mean: float = 0.4
    std: float = 0.25

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, channels, side, side)."""
        return (1, 3 if self.channels == "RGB" else 1, self.side, self.side)


@dataclass(frozen=True)
class Recipe:
    """A network, its input and how it is trained.

    Attributes
    ----------
    widths:
        Channels of the stem and of each later stage; every later stage halves the side.
    blocks:
        Residual blocks per later stage; 0 makes it a plain stack of convolutions.
    stem_stride:
        Stride of the first convolution.
    half_size_epochs:
        The first epochs that see pictures of half the side, which costs a quarter and teaches most of it.
    """

    name: str
    input: Input
    widths: tuple[int, ...]
    blocks: int
    stem_stride: int
    schedule: Schedule
    half_size_epochs: int = 0


class Residual(nn.Module):
    """relu(x + conv(relu(conv(x)))), He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv(channels, channels), nn.ReLU(), *conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return torch.relu(x + self.body(x))


def conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A 3x3 convolution with batch normalisation."""
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]


def build(recipe: Recipe) -> nn.Sequential:
    """Stem, stages, mean over all places, ten logits."""
    layers = [*conv(recipe.input.shape[1], recipe.widths[0], recipe.stem_stride), nn.ReLU()]
    for before, width in pairwise(recipe.widths):
        layers += [*conv(before, width, 2), nn.ReLU(), *(Residual(width) for _ in range(recipe.blocks))]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(recipe.widths[-1], 10))


RECIPES = (
    Recipe("gray16", Input(16, "GRAY"), (6, 12, 24), 0, 1, Schedule(12, peak_lr=0.2, weight_decay=1e-4)),
    Recipe("gray32", Input(32, "GRAY"), (8, 16, 32, 64), 0, 1, Schedule(10, peak_lr=0.2, weight_decay=1e-4)),
    Recipe("color32", Input(32, "RGB"), (8, 20, 40), 1, 1, Schedule(5, peak_lr=0.2)),
    Recipe("color64s", Input(64, "RGB"), (16, 32, 64, 96), 1, 2, Schedule(7, peak_lr=0.2)),
    Recipe("color64l", Input(64, "RGB"), (24, 56, 104, 136), 2, 1, Schedule(4, peak_lr=0.2), half_size_epochs=3),
)
