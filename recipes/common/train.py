"""One training loop: Nesterov SGD under a one-cycle learning rate, saved after each epoch and resumed from there.

A recipe gives a network, a function that yields the batches of one epoch (this is where augmentation and soft targets
live), and a `Schedule`. The loop depends on neither the data nor the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

Batch = tuple[Tensor, Tensor]
"""Inputs (N, C, H, W), float32, and targets: class indices (N,), int64, or class probabilities (N, K), float32."""


class SizedBatches:
    """Batches made one at a time, whose number is known: `make(step)` gives batch number `step`."""

    def __init__(self, steps: int, make: Callable[[int], Batch]) -> None:
        self.steps = steps
        self.make = make

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return (self.make(step) for step in range(self.steps))


Batches = Callable[[int, torch.Generator], SizedBatches]
"""The batches of epoch number e (from 0), with a generator seeded for that epoch; the same number in each epoch."""


@dataclass(frozen=True)
class Restart:
    """A second cycle of a `Schedule`: its epochs and its peak learning rate."""

    epochs: int
    peak_lr: float


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    The learning rate climbs linearly to `peak_lr` over `warmup_fraction` of the epochs and falls linearly to zero.
    `epochs` are those of this cycle; `restart` does the same once more from there, to a peak of its own (Loshchilov and
    Hutter 2017, "SGDR: stochastic gradient descent with warm restarts"). Weight decay acts on matrices and convolutions
    only, not on biases or normalisation.
    """

    epochs: int
    peak_lr: float = 0.4
    warmup_fraction: float = 0.2
    restart: Restart | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0

    @property
    def all_epochs(self) -> int:
        """Those of both cycles."""
        return self.epochs + (self.restart.epochs if self.restart else 0)

    def lr(self, epochs: float) -> float:
        """Learning rate after so many epochs, which need not be whole."""
        if self.restart and epochs > self.epochs:
            progress, peak_lr = (epochs - self.epochs) / self.restart.epochs, self.restart.peak_lr
        else:
            progress, peak_lr = epochs / self.epochs, self.peak_lr
        if progress < self.warmup_fraction:
            return peak_lr * progress / self.warmup_fraction
        return peak_lr * (1 - progress) / (1 - self.warmup_fraction)


def pick_device() -> torch.device:
    """A CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.SGD:
    """Nesterov SGD over the parameters that are to be learnt; decay on those of two or more dimensions."""
    learnt = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learnt if p.ndim >= 2], "weight_decay": schedule.weight_decay},
        {"params": [p for p in learnt if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=schedule.momentum, nesterov=True)


def train(
    network: nn.Module,
    batches: Batches,
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    evaluate: Callable[[nn.Module], str] | None = None,
    evaluate_every: int = 1,
    bf16: bool = False,
    log: Callable[[str], None] = print,
) -> nn.Module:
    """Train `network` in place and return it, in evaluation mode.

    `checkpoint` is written after each epoch (a complete file replaces the last one at once); where it exists, training
    goes on from it, and a finished one is only loaded. Each epoch's randomness is seeded by (seed, epoch), so a resumed
    run sees the batches that an unbroken one would have seen. `bf16` runs convolutions in bfloat16, weights stay
    float32: faster on GPUs and on CPUs with AVX512-BF16 or AMX, slower elsewhere. `evaluate` gives a text for the log.
    """
    device = pick_device()
    network.to(device, memory_format=torch.channels_last)
    optimizer = make_optimizer(network, schedule)
    first_epoch, seconds = _resume(network, optimizer, checkpoint, device)
    for epoch in range(first_epoch, schedule.all_epochs):
        started = time.monotonic()
        loss = _one_epoch(network, batches, schedule, optimizer, epoch, seed, device, bf16)
        seconds += time.monotonic() - started
        _save(network, optimizer, epoch + 1, seconds, checkpoint)
        line = f"epoch {epoch + 1}/{schedule.all_epochs} loss {loss:.4f} {seconds:.0f} s"
        if evaluate and ((epoch + 1) % evaluate_every == 0 or epoch + 1 == schedule.all_epochs):
            line += " " + evaluate(network.eval())
        log(line)
    return network.eval()


def _one_epoch(
    network: nn.Module,
    batches: Batches,
    schedule: Schedule,
    optimizer: torch.optim.SGD,
    epoch: int,
    seed: int,
    device: torch.device,
    bf16: bool,
) -> float:
    """One pass over the batches; the mean loss."""
    network.train()
    torch.manual_seed(seed * 100_003 + epoch)
    epoch_batches = batches(epoch, torch.Generator().manual_seed(seed * 100_003 + epoch))
    total, steps = 0.0, len(epoch_batches)
    for step, (inputs, targets) in enumerate(epoch_batches):
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr(epoch + (step + 0.5) / steps)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(inputs.to(device, memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.float(), targets.to(device), label_smoothing=schedule.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / steps


def _save(network: nn.Module, optimizer: torch.optim.SGD, epochs: int, seconds: float, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epochs, "seconds": seconds}
    torch.save(state, partial)
    partial.replace(path)


def _resume(network: nn.Module, optimizer: torch.optim.SGD, path: Path, device: torch.device) -> tuple[int, float]:
    """Load `path` where it exists; how many epochs it holds and how many seconds they took."""
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs"]), float(state["seconds"])


@torch.inference_mode()
def predict_logits(network: nn.Module, inputs: Tensor, *, batch_size: int = 500, bf16: bool = False) -> Tensor:
    """Logits (N, K), float32, on the CPU, for inputs (N, C, H, W); the network is put into evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    parts = []
    for part in inputs.split(batch_size):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            parts.append(network(part.to(device, memory_format=torch.channels_last)).float().cpu())
    return torch.cat(parts)
