"""Soft targets: what a trained network answers on the training images, mixed with the labels."""

from __future__ import annotations

import torch
from recipes.cifar10.data import Images, normalise
from recipes.common.train import predict_logits
from torch import Tensor, nn
from torch.nn import functional

WEIGHT = 0.8
TEMPERATURE = 1.5


def soft_targets(teacher: nn.Module, images: Images, *, bf16: bool = False) -> Tensor:
    """Class probabilities (N, 10) of the images.

    The teacher's, at `TEMPERATURE`, count `WEIGHT`, the label the rest. The teacher's are the mean of what it states of
    the image and of its mirror image, neither shifted nor cut: they are computed once, not per epoch.
    """
    inputs = normalise(images.pixels)
    logits = [predict_logits(teacher, seen, bf16=bf16) for seen in (inputs, inputs.flip(3))]
    taught = torch.stack([(one / TEMPERATURE).softmax(1) for one in logits]).mean(0)
    labels = functional.one_hot(images.labels, taught.shape[1]).float()
    return WEIGHT * taught + (1 - WEIGHT) * labels
