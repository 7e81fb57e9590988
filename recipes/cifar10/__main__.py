"""`python -m recipes.cifar10 --train F.parquet --test F.parquet`: train, export, test and describe the zoo.

Stopped at any moment, the same command goes on from the last whole epoch. The test images are read only after all
networks are trained.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from recipes.cifar10.data import Augmented, Images, normalise, read_images, split
from recipes.cifar10.distil import soft_targets
from recipes.cifar10.manifest import Card, write_cards, write_manifest
from recipes.cifar10.networks import Mirrored
from recipes.cifar10.plan import PLANS, SEED, Plan, training_order
from recipes.common.export import check_onnx, count_macs, count_parameters, export_onnx, onnx_logits
from recipes.common.train import pick_device, predict_logits, train
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
WHITENING_SAMPLE = 5_000
TOLERANCE = {32: 1e-3, 16: 5e-2, 8: 0.5}
"""Largest difference of a logit between the file and the network, by the bits of its weights."""


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest logit is the label's."""
    return float((logits.argmax(1) == labels).float().mean())


def train_one(plan: Plan, learn: Images, held_out: Images, work: Path, bf16: bool) -> nn.Module:
    """Train the network of `plan`, or load it where `work` holds it finished."""
    torch.manual_seed(SEED)
    network = plan.build(normalise(learn.pixels[:WHITENING_SAMPLE]))
    targets = teacher_targets(plan, learn, work, bf16) if plan.teacher else None
    inputs = normalise(held_out.pixels)

    def judge(candidate: nn.Module) -> str:
        return f"held-out accuracy {accuracy(predict_logits(candidate, inputs), held_out.labels):.4f}"

    def log(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {plan.name}: {text}", flush=True)

    batches = Augmented(
        learn,
        batch_size=plan.batch_size,
        seed=SEED,
        shift=plan.shift,
        cutout=plan.cutout,
        small_epochs=plan.small_epochs,
        soft_targets=targets,
        mix_from=plan.mix_from,
    )
    return train(
        network,
        batches,
        plan.schedule,
        seed=SEED,
        checkpoint=work / f"{plan.name}.pt",
        evaluate=judge,
        bf16=bf16 and plan.bf16,
        log=log,
    )


def teacher_targets(plan: Plan, learn: Images, work: Path, bf16: bool) -> Tensor:
    """The soft targets of `plan`'s teacher, computed once and kept in `work`."""
    kept = work / f"targets_of_{plan.teacher}.pt"
    if kept.is_file():
        return torch.load(kept, weights_only=True)
    (plan_of_teacher,) = [p for p in PLANS if p.name == plan.teacher]
    teacher = plan_of_teacher.build(normalise(learn.pixels[:WHITENING_SAMPLE]))
    teacher.load_state_dict(torch.load(work / f"{plan.teacher}.pt", weights_only=True)["network"])
    targets = soft_targets(teacher.to(pick_device()), learn, bf16=bf16)
    torch.save(targets, kept)
    return targets


def publish_one(plan: Plan, network: nn.Module, held_out: Images, test: Images, out: Path) -> Card:
    """Write the ONNX file of a trained network and measure it, as onnxruntime runs it, on the test images."""
    path = out / "models" / f"{plan.name}.onnx"
    if plan.mirrored:
        network = Mirrored(network)
    digest = export_onnx(network, path, (1, 3, 32, 32), weight_bits=plan.weight_bits)
    check_onnx(path, network, normalise(held_out.pixels[:200]), tolerance=TOLERANCE[plan.weight_bits])
    right = int((onnx_logits(path, normalise(test.pixels)).argmax(1) == test.labels).sum())
    return Card(
        name=plan.name,
        title=plan.title,
        file=f"models/{plan.name}.onnx",
        sha256=digest,
        bytes=path.stat().st_size,
        parameters=count_parameters(path),
        mflop=2 * count_macs(path) / 1e6,
        epochs=plan.schedule.all_epochs,
        teacher=plan.teacher,
        mirror_view=plan.mirror_view,
        test_images=len(test),
        test_right=right,
        held_out_accuracy=accuracy(onnx_logits(path, normalise(held_out.pixels)), held_out.labels),
    )


def main() -> None:
    """Train what is not trained yet, then export and test all."""
    parser = argparse.ArgumentParser(prog="python -m recipes.cifar10", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="Parquet file to train on: image{bytes,path}, label")
    parser.add_argument("--test", type=Path, required=True, help="Parquet file to test the finished networks on")
    parser.add_argument("--work", type=Path, default=Path("build/cifar10"), help="folder of checkpoints")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of models/, zoo.toml and cards.json")
    parser.add_argument("--only", nargs="+", choices=[p.name for p in PLANS], help="train these and publish nothing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-bf16", action="store_true", help="for processors without AVX512-BF16 or AMX")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    learn, held_out = split(read_images(options.train))
    trained = {
        plan.name: train_one(plan, learn, held_out, options.work, not options.no_bf16)
        for plan in training_order()
        if not options.only or plan.name in options.only
    }
    if options.only:
        return
    test = read_images(options.test)
    cards = [publish_one(plan, trained[plan.name].cpu(), held_out, test, options.out) for plan in PLANS]
    write_manifest(cards, options.out / "zoo.toml")
    write_cards(cards, options.out / "cards.json")
    for card in cards:
        low, high = card.interval
        share = f"{card.accuracy:.2%} [{low:.2%}, {high:.2%}]"
        print(f"{card.name}: {share}, {card.parameters} parameters, {card.mflop:.3g} MFLOP")


if __name__ == "__main__":
    main()
