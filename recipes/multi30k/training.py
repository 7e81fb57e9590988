"""Training of one network, saved after every epoch and resumed from there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from recipes.common.train import pick_device
from recipes.multi30k.data import Batches
from recipes.multi30k.networks import Translator
from recipes.multi30k.plan import Plan
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

AVERAGED = 0.998
"""The weights that are kept are a running mean of those of training; this much of it stays at each step."""


def learning_rate(plan: Plan, step: int, steps: int) -> float:
    """Climbs linearly over the warm-up, then falls to 0 along a cosine."""
    warm = min(plan.warmup_steps, steps // 4)
    if step < warm:
        return plan.peak_lr * (step + 1) / warm
    return plan.peak_lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


def train(
    plan: Plan,
    network: Translator,
    batches: Batches,
    held_out: Batches,
    checkpoint: Path,
    log: Callable[[str], None],
    bfloat16: bool = False,
) -> Translator:
    """Train `network` by `plan`; returns the one of averaged weights, in evaluation mode, on the CPU.

    `checkpoint` is replaced after every epoch; where it exists, training goes on from it. On a GPU, and
    on a CPU with `bfloat16`, products are computed in bfloat16. Each epoch's randomness is seeded by the plan's seed
    and its number.
    """
    device = pick_device()
    half = bfloat16 or device.type == "cuda"
    network.to(device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=device.type == "cuda"
    )
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))
    first, seconds = 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        averaged.load_state_dict(state["averaged"])
        first, seconds = int(state["epochs"]), float(state["seconds"])
    per_epoch = sum(1 for _ in batches.of_epoch(0))
    for epoch in range(first, plan.epochs):
        started = time.monotonic()
        torch.manual_seed(plan.seed * 100_003 + epoch)
        network.train()
        total, count = torch.zeros((), device=device), 0
        for step, (source, target) in enumerate(batches.of_epoch(epoch)):
            now = epoch * per_epoch + step
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(plan, now, plan.epochs * per_epoch)
            loss = loss_of(network, source.to(device), target.to(device), plan.label_smoothing, half)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(network)
            total += loss.detach()
            count += 1
        seconds += time.monotonic() - started
        save(network, optimizer, averaged, epoch + 1, seconds, checkpoint)
        line = f"epoch {epoch + 1}/{plan.epochs} loss {float(total) / count:.3f} {seconds:.0f} s"
        if (epoch + 1) % 2 == 0 or epoch + 1 == plan.epochs:
            line += f" held-out loss {held_out_loss(averaged, held_out):.4f}"
        log(line)
    network.load_state_dict(averaged.module.state_dict())
    return network.cpu().eval()


def loss_of(
    network: nn.Module, source: torch.Tensor, target: torch.Tensor, smoothing: float, half: bool
) -> torch.Tensor:
    """Mean cross-entropy of the pieces of `target` behind its first, with products in bfloat16 where `half`."""
    with torch.autocast(source.device.type, torch.bfloat16, enabled=half):
        logits = network(source, target[:, :-1])
    return functional.cross_entropy(
        logits.float().flatten(0, 1), target[:, 1:].flatten(), ignore_index=0, label_smoothing=smoothing
    )


@torch.inference_mode()
def held_out_loss(network: AveragedModel, batches: Batches) -> float:
    """Mean loss of a batch, in nats a piece, of the averaged weights on sentences that were not learnt."""
    device = next(network.parameters()).device
    judged = network.module.eval()
    losses = [float(loss_of(judged, s.to(device), t.to(device), 0.0, False)) for s, t in batches.of_epoch(0)]
    return sum(losses) / len(losses)


def save(
    network: Translator,
    optimizer: torch.optim.Optimizer,
    averaged: AveragedModel,
    epochs: int,
    seconds: float,
    path: Path,
) -> None:
    """Write all that training goes on from; a whole file replaces the last one."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "averaged": averaged.state_dict(),
            "epochs": epochs,
            "seconds": seconds,
        },
        partial,
    )
    partial.replace(path)
