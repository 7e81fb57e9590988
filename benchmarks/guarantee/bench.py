"""Is a guarantee kept? 200 calibration sets drawn from a population whose truth is known.

    python benchmarks/guarantee/bench.py PROFILE

The policy is fitted on a third of the profile's samples. The other two thirds are taken as the population: the loss of
each operating point on all of them is its true loss. Calibration sets are drawn from them with replacement; each
chooses a point by the very function that `premodel train --guarantee` runs, and the promise is kept if the true loss of
that point is within what was promised, or nothing was promised.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import numpy as np

from premodel.runtime.policies.base import CallOptions
from premodel.training.folds import stratified_folds
from premodel.training.guarantee import Measured, certified, weights_to_test
from premodel.training.load import load_tables
from premodel.training.options import Guarantee, TrainOptions
from premodel.training.simulate import simulate
from premodel.training.tables import Tables
from premodel.training.train import train

RESAMPLES = 200
SIZES = (500, 1000, 2500, 5000)
GUARANTEES = ("loss<=0.5pt@95%", "loss<=1pt@95%", "loss<=2pt@95%")


@dataclass(frozen=True)
class Line:
    """One line of the table; `speedup` is the mean over resamples that gave a promise."""

    guarantee: str
    samples: int
    kept: float
    given: float
    speedup: float | None
    true_points: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--policy", default="cascade-routing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    tables = load_tables(args.profile)
    differences, weights, latency_ms, reference_ms = population(tables, args.policy, args.seed)
    lines = [
        resample(differences, weights, latency_ms, reference_ms, Guarantee.parse(text), size, args.seed)
        for text in GUARANTEES
        for size in SIZES
    ]
    if args.json:
        print(json.dumps([asdict(line) for line in lines]))
        return
    print(f"{args.policy}, {len(tables)} samples, {differences.shape[1]} of them the population", file=sys.stderr)
    print(
        "| promised | calibration samples | kept, % of 200 | given, % of 200 | mean speed-up | mean true gain, points |"
    )
    print("|---|---|---|---|---|---|")
    for line in lines:
        figures = ("", "") if line.speedup is None else (f"{line.speedup:.2f}x", f"{line.true_points:+.2f}")
        print(
            f"| {line.guarantee} | {line.samples} | {100 * line.kept:.1f} | {100 * line.given:.1f} | "
            f"{figures[0]} | {figures[1]} |"
        )


def population(tables: Tables, policy: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Difference to the reference (points, n) in {-1, 0, 1}, cost weights and mean latency, the reference's latency."""
    correct = tables.correct("top1")
    fold = stratified_folds(tables.truth, correct.sum(axis=1), 3, seed)[0]
    fitted, unseen = tables.take(fold.test), tables.take(fold.train)
    accuracy = fitted.correct("top1").mean(axis=0)
    reference = int(np.lexsort((tables.latency_ms, -accuracy))[0])
    reference_ms = float(tables.end_to_end_ms()[reference])
    trained = train(fitted, TrainOptions(policy=policy, seed=seed)).policy
    reference_right = unseen.correct("top1")[:, reference].astype(int)
    differences, latency_ms, weights = [], [], weights_to_test(reference_ms)
    for weight in weights:
        served = simulate(trained, unseen, CallOptions(cost_weight=float(weight)))
        right = (served.labels[:, 0] == unseen.truth) & ~served.abstained
        differences.append(right.astype(int) - reference_right)
        latency_ms.append(served.latency_ms.mean())
    return np.array(differences), weights, np.array(latency_ms), reference_ms


def resample(
    differences: np.ndarray,
    weights: np.ndarray,
    latency_ms: np.ndarray,
    reference_ms: float,
    guarantee: Guarantee,
    size: int,
    seed: int,
) -> Line:
    """Draw 200 calibration sets and see what each promises."""
    rng = np.random.default_rng(seed)
    truth = differences.mean(axis=1)
    kept, chosen = 0, []
    for _ in range(RESAMPLES):
        drawn = differences[:, rng.integers(0, differences.shape[1], size)]
        losses, gains = (drawn < 0).sum(axis=1).tolist(), (drawn > 0).sum(axis=1).tolist()
        measured = map(Measured, weights.tolist(), losses, gains, latency_ms.tolist())
        count, _ = certified(measured, size, guarantee)
        kept += count == 0 or -truth[count - 1] <= guarantee.epsilon
        if count:
            chosen.append(count - 1)
    speedup = float(np.mean(reference_ms / latency_ms[chosen])) if chosen else None
    points = 100 * float(np.mean(truth[chosen])) if chosen else None
    return Line(guarantee.text, size, kept / RESAMPLES, len(chosen) / RESAMPLES, speedup, points)


if __name__ == "__main__":
    main()
