"""Train the digits zoo and export it: `python -m recipes.digits.train --work DIR` from the root of the repository.

The last step measures them on test scenes and writes zoo.toml and the cards beside the models. Every stage is
resumed where it was interrupted: the scenes are kept, a network goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import torch
from recipes.common.export import check_onnx, export_onnx
from recipes.common.train import predict_logits, train
from recipes.digits.data import (
    TRAINING_SCENES,
    TRAINING_SEED,
    WATCHED_SCENES,
    WATCHED_SEED,
    Images,
    Labels,
    augmented,
    normalise,
    resize,
    scenes,
)
from recipes.digits.networks import RECIPES, Recipe, build
from recipes.digits.publish import publish
from torch import nn

import premodel.demo

BATCH_SIZE = 128
ZOO = Path(premodel.demo.__file__).parent / "zoo"


def train_one(
    recipe: Recipe, learnt: tuple[Images, Labels], watched: tuple[Images, Labels], options: argparse.Namespace
) -> None:
    """Train one network, export it to ONNX and check that file against PyTorch."""
    torch.manual_seed(options.seed)
    network = build(recipe)
    probes = normalise(torch.from_numpy(resize(watched[0], recipe.input)), recipe.input)
    truth = torch.from_numpy(watched[1])

    def evaluate(current: nn.Module) -> str:
        right = (predict_logits(current, probes).argmax(1) == truth).float().mean()
        return f"watched accuracy {right:.3f}"

    started = time.monotonic()
    batches = augmented(resize(learnt[0], recipe.input), learnt[1], recipe, BATCH_SIZE)
    train(
        network,
        batches,
        recipe.schedule,
        seed=options.seed,
        checkpoint=options.work / f"{recipe.name}.pt",
        evaluate=evaluate,
        bf16=options.bf16,
        log=lambda line: print(f"{recipe.name} {line}", flush=True),
    )
    path = options.zoo / "models" / f"{recipe.name}.onnx"
    digest = export_onnx(network, path, recipe.input.shape)
    difference = check_onnx(path, network, probes[:50])
    minutes = (time.monotonic() - started) / 60
    print(f"{recipe.name} {digest} logits within {difference:.1e} of PyTorch, {minutes:.1f} minutes", flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for scenes and checkpoints, about 800 MB")
    parser.add_argument(
        "--zoo", type=Path, default=ZOO, help="the folder that gets models/, zoo.toml, labels.txt and CARDS.md"
    )
    parser.add_argument("--only", nargs="*", choices=[r.name for r in RECIPES], help="train these alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="convolutions in bfloat16, where the processor has it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    learnt = scenes(TRAINING_SCENES, TRAINING_SEED, "train", options.work)
    watched = scenes(WATCHED_SCENES, WATCHED_SEED, "train", options.work)
    for recipe in RECIPES:
        if not options.only or recipe.name in options.only:
            train_one(recipe, learnt, watched, options)
    if all((options.zoo / "models" / f"{recipe.name}.onnx").is_file() for recipe in RECIPES):
        publish(options.zoo)


if __name__ == "__main__":
    main()
