"""The networks, small to large. All take (N, 3, 32, 32) normalised RGB and give 10 logits."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def whitening_conv(pixels: Tensor, size: int = 2, epsilon: float = 5e-4) -> nn.Conv2d:
    """A fixed layer that whitens `size` x `size` patches of `pixels` (N, 3, H, W), with both signs of each filter.

    The filters are the eigenvectors of the patches' covariance, divided by the root of their eigenvalues (Page 2019,
    "How to train your ResNet"; Jordan 2024). They are computed from training images and not learnt further.
    """
    patches = pixels.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * size * size)
    values, vectors = torch.linalg.eigh(patches.double().T @ patches.double() / len(patches))
    filters = (vectors / (values + epsilon).sqrt()).T.reshape(-1, 3, size, size).float()
    conv = nn.Conv2d(3, 2 * len(filters), size)
    conv.weight.data = torch.cat([filters, -filters])
    conv.bias.data.zero_()
    conv.weight.requires_grad_(False)
    return conv


class Scale(nn.Module):
    """Multiplies by a constant: keeps the first logits small, which steadies high learning rates."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        return x * self.factor


class Mirrored(nn.Module):
    """The mean of a network's logits of the images and of their mirror images, computed as one batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        straight, mirrored = self.network(torch.cat((x, x.flip(3)))).chunk(2)
        return (straight + mirrored) / 2


class ResidualStage(nn.Module):
    """3x3 convolution, 2x2 maximum, then a residual 3x3 convolution at the lower resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU()
        )
        self.residual = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.GELU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H // 2, W // 2)."""
        x = self.down(x)
        return x + self.residual(x)


def resnet(pixels: Tensor, widths: tuple[int, ...]) -> nn.Sequential:
    """A whitening layer made from `pixels`, a residual stage per width, a global maximum and a linear layer."""
    whiten = whitening_conv(pixels)
    channels = (whiten.out_channels, *widths)
    stages = [ResidualStage(a, b) for a, b in pairwise(channels)]
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10, bias=False), Scale(1 / 8)]
    return nn.Sequential(whiten, nn.GELU(), *stages, *head)


def convolution(inputs: int, outputs: int, size: int = 3, *, stride: int = 1, pool: bool = False) -> list[nn.Module]:
    """A convolution with batch normalisation and ReLU; "same" padding for odd sizes, none for even ones.

    `pool` takes the 2x2 maximum right after the convolution, where the layers behind it have a quarter of the work.
    """
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2 if size % 2 else 0, bias=False)
    return [conv, *([nn.MaxPool2d(2)] if pool else []), nn.BatchNorm2d(outputs), nn.ReLU()]


def patch_net() -> nn.Sequential:
    """27 k multiply-adds: the image halved by averaging, two strided convolutions, a linear layer."""
    layers = [nn.AvgPool2d(2), *convolution(3, 8, stride=2), *convolution(8, 10, stride=2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(160, 10))


def stride_net() -> nn.Sequential:
    """0.35 M multiply-adds: 4x4 patches, two convolutions at 4x4, a linear layer."""
    layers = [*convolution(3, 16, 4, stride=4), *convolution(16, 32, stride=2), *convolution(32, 48)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(768, 10))


def conv_net_small() -> nn.Sequential:
    """3 M multiply-adds: four convolutions from 16x16 to 4x4, a linear layer over all places."""
    layers = [*convolution(3, 16, stride=2), *convolution(16, 32, pool=True), *convolution(32, 64, pool=True)]
    return nn.Sequential(*layers, *convolution(64, 64), nn.Flatten(), nn.Linear(1024, 10))
