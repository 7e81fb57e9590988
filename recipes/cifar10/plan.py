"""What is trained, and how: the six members of the zoo, cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recipes.cifar10 import networks
from recipes.common.train import Restart, Schedule
from torch import Tensor, nn

SEED = 0


@dataclass(frozen=True)
class Plan:
    """One network: how it is built from a sample of normalised training images, and how it is trained.

    `teacher` names the network whose answers it learns from beside the labels (Hinton, Vinyals and Dean 2015).
    `weight_bits` is what its weights are stored in: the files of the zoo may have 12 MB in all. `mirrored` publishes a
    network that answers with the mean of what it states of the image and of its mirror image, at twice the work.
    `mirror_view` offers the mirror image as a view instead, a candidate that costs time only where it is run.
    """

    name: str
    title: str
    build: Callable[[Tensor], nn.Module]
    schedule: Schedule
    shift: int = 2
    cutout: int = 0
    small_epochs: int = 0
    batch_size: int = 512
    bf16: bool = True
    teacher: str | None = None
    weight_bits: int = 32
    mix_from: int | None = None
    mirrored: bool = False
    mirror_view: bool = False


PLANS = (
    Plan(
        "patch_net",
        "two strided convolutions on the halved image",
        lambda _: networks.patch_net(),
        Schedule(40, peak_lr=0.2, weight_decay=1e-4),
        shift=1,
        bf16=False,
        teacher="resnet_large",
    ),
    Plan(
        "stride_net",
        "three convolutions on 4x4 patches",
        lambda _: networks.stride_net(),
        Schedule(40, peak_lr=0.2, weight_decay=1e-4),
        bf16=False,
        teacher="resnet_large",
        weight_bits=16,
    ),
    Plan(
        "conv_net_small",
        "four plain convolutions",
        lambda _: networks.conv_net_small(),
        Schedule(40, peak_lr=0.2),
        teacher="resnet_large",
        weight_bits=16,
        mirror_view=True,
    ),
    Plan(
        "resnet_small",
        "whitening layer and three residual stages, 32 to 160 channels",
        lambda pixels: networks.resnet(pixels, (32, 96, 160)),
        Schedule(48, peak_lr=0.4, warmup_fraction=0.2),
        teacher="resnet_large",
        weight_bits=8,
        mirror_view=True,
    ),
    Plan(
        "resnet_medium",
        "whitening layer and three residual stages, 64 to 256 channels",
        lambda pixels: networks.resnet(pixels, (64, 256, 256)),
        Schedule(40, peak_lr=0.4, warmup_fraction=0.2, restart=Restart(24, peak_lr=0.25)),
        shift=4,
        cutout=8,
        small_epochs=14,
        teacher="resnet_large",
        weight_bits=8,
        mix_from=20,
        mirror_view=True,
    ),
    Plan(
        "resnet_large",
        "whitening layer and three residual stages, 128 to 384 channels; of the image and its mirror image",
        lambda pixels: networks.resnet(pixels, (128, 384, 384)),
        Schedule(35, peak_lr=0.4, warmup_fraction=0.2, label_smoothing=0.1, restart=Restart(24, peak_lr=0.25)),
        shift=4,
        cutout=8,
        small_epochs=19,
        weight_bits=16,
        mix_from=35,
        mirrored=True,
    ),
)


def training_order() -> list[Plan]:
    """The plans, teachers first, larger before smaller."""
    return list(reversed(PLANS))
