"""Processor time of training each policy on a drawn profile: `python benchmarks/training/bench.py --help`."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from premodel.records import Timing
from premodel.training.options import TrainOptions
from premodel.training.tables import FeatureCosts, Tables
from premodel.training.train import train

LABELS = 100
LISTED = 20
FEATURES = 29


def drawn_tables(n: int, m: int, seed: int) -> Tables:
    """A profile of n samples by m candidates: accuracy rises with the logarithm of latency, confidence is informative.

    Each sample has a difficulty; a candidate of strength s is right with probability sigmoid(s - difficulty), and the
    probability that it gives to its label is higher where it is right. Five of the features hold noisy difficulty.
    """
    random = np.random.default_rng(seed)
    difficulty = random.normal(0, 1.5, n)
    latency_ms = np.geomspace(1.0, 40.0, m)
    strength = np.linspace(0.5, 2.5, m)
    right = random.random((n, m)) < 1 / (1 + np.exp(difficulty[:, None] - strength))
    truth = random.integers(0, LABELS, n).astype(np.int32)
    labels = (truth[:, None, None] + 1 + np.argsort(random.random((n, m, LABELS - 1)), axis=2)[:, :, :LISTED]) % LABELS
    place = np.where(right, 0, random.integers(1, LISTED, (n, m)))
    np.put_along_axis(labels, place[:, :, None], truth[:, None, None], axis=2)
    logit = random.normal(np.where(right, 1.8, -0.2), 1.0)
    top = 1 / (1 + np.exp(-logit)) * 0.9 + 0.08
    rest = np.sort(random.dirichlet(np.full(LISTED - 1, 0.5), (n, m)), axis=2)[:, :, ::-1] * (1 - top[:, :, None]) * 0.9
    probabilities = np.concatenate([top[:, :, None], np.minimum(rest, top[:, :, None])], axis=2).astype(np.float32)
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-9))).sum(axis=2).astype(np.float32)
    features = random.normal(size=(n, FEATURES))
    features[:, :5] += difficulty[:, None]
    names = tuple(f"candidate {j}" for j in range(m))
    feature_names = tuple(f"feature {j}" for j in range(FEATURES))
    return Tables(
        samples=tuple(f"{row:064x}" for row in range(n)),
        truth=truth,
        label_names=tuple(f"label {j}" for j in range(LABELS)),
        candidates=names,
        networks=names,
        top_labels=labels.astype(np.int32),
        top_probabilities=probabilities,
        entropy=entropy,
        rank=place.astype(np.int32),
        latency_ms=latency_ms,
        decode_ms=0.5,
        timings=tuple(timing(ms) for ms in latency_ms.tolist()),
        features=features.astype(np.float32),
        feature_names=feature_names,
        feature_costs=FeatureCosts(dict.fromkeys(feature_names, 0.02), {name: (name,) for name in feature_names}),
        memory_mb=np.full(m, np.nan),
        energy_mj=np.full(m, np.nan),
        conditions={},
    )


def timing(mean_ms: float) -> Timing:
    """A valid record of that mean."""
    return Timing(100, mean_ms, mean_ms, mean_ms, mean_ms, 0.99 * mean_ms, 1.01 * mean_ms, valid=True)


def main() -> None:
    """Train each policy once, and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=6_000)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--policy", action="append", help="default: cascade-routing and auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = {}
    for policy in args.policy or ["cascade-routing", "auto"]:
        tables = drawn_tables(args.samples, args.candidates, args.seed)  # anew: trainings on the same tables share work
        start = time.process_time()
        trained = train(tables, TrainOptions(policy, seed=args.seed))
        found[policy] = {"processor_s": round(time.process_time() - start, 2), "policy": trained.policy.kind}
        if not args.json:
            print(f"{policy}: {found[policy]['processor_s']:.1f} s of processor time, a {trained.policy.kind}")
    if args.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
