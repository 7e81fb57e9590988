"""Soft targets: what a trained network answers on the training images, mixed with the labels."""

from __future__ import annotations

from recipes.cifar10.data import Images, normalise
from recipes.common.train import predict_logits
from torch import Tensor, nn
from torch.nn import functional

WEIGHT = 0.8
TEMPERATURE = 1.5


def soft_targets(teacher: nn.Module, images: Images, *, bf16: bool = False) -> Tensor:
    """Class probabilities (N, 10) of the images.

    The teacher's, at `TEMPERATURE`, count `WEIGHT`, the label the rest. The teacher sees each image neither mirrored
    nor shifted: its answers are computed once, not per epoch.
    """
    logits = predict_logits(teacher, normalise(images.pixels), bf16=bf16)
    labels = functional.one_hot(images.labels, logits.shape[1]).float()
    return WEIGHT * (logits / TEMPERATURE).softmax(1) + (1 - WEIGHT) * labels
