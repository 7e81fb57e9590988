"""Two builds of premodel beside each other: the same bundle, the same inputs, in turns, and are the answers equal.

Every block is a fresh process of one build; blocks alternate as A B B A. Each answers every input so many times and
keeps the fastest and the median of each. What is compared is each input's best over the blocks of a build, and its
median of medians: the ratio B / A of the means over inputs, with a bootstrap interval over blocks (pairs A, B that
stand beside each other) of the ratio of medians, and over inputs of the ratio of the fastest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = """
import hashlib, json, statistics, sys, time
from pathlib import Path
import premodel
bundle, rounds, zoo, files = json.loads(sys.stdin.read())
inputs = [Path(file).read_bytes() for file in files]
with premodel.load(bundle, threads=1, zoo=zoo) as clf:
    said = [clf.predict(data) for data in inputs]
    spent = [[] for _ in inputs]
    for _ in range(rounds):
        for place, data in enumerate(inputs):
            start = time.perf_counter()
            clf.predict(data)
            spent[place].append(1e3 * (time.perf_counter() - start))
answers = [
    [one.label, one.class_name, repr(one.probability), one.candidate, list(one.ran), repr(one.confidence),
     one.top_labels, [repr(p) for p in one.top_probabilities], [step.reason for step in one.steps], one.outcome
     if hasattr(one, "outcome") else None]
    for one in said
]
print(json.dumps({"fastest": [min(one) for one in spent], "median": [statistics.median(one) for one in spent],
                  "answers": answers}))
"""
BOOTSTRAPS = 2000


def run_block(source: Path, bundle: Path, zoo: Path | None, files: list[Path], rounds: int) -> dict[str, Any]:
    """One fresh process of a build."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    given = json.dumps([str(bundle), rounds, None if zoo is None else str(zoo), [str(file) for file in files]])
    done = subprocess.run(
        [sys.executable, "-c", BLOCK], input=given, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{source}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 %."""
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def compare(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> dict[str, Any]:
    """Times of both and the ratios now / before."""
    rng = np.random.default_rng(0)
    medians = [np.array([block["median"] for block in blocks]) for blocks in (before, now)]
    fastest = [np.array([block["fastest"] for block in blocks]).min(axis=0) for blocks in (before, now)]
    pairs = rng.integers(0, len(before), (BOOTSTRAPS, len(before)))
    inputs = rng.integers(0, len(fastest[0]), (BOOTSTRAPS, len(fastest[0])))
    middle = [np.median(values, axis=0).mean() for values in medians]
    block_sums = [values.mean(axis=1) for values in medians]
    paired = np.log(block_sums[1]) - np.log(block_sums[0])
    return {
        "before_ms": float(middle[0]),
        "now_ms": float(middle[1]),
        "ratio_of_medians": float(np.exp(np.median(paired))),
        "ratio_of_medians_95": interval(np.exp(np.median(paired[pairs], axis=1))),
        "before_fastest_ms": float(fastest[0].mean()),
        "now_fastest_ms": float(fastest[1].mean()),
        "ratio_of_fastest": float(fastest[1].sum() / fastest[0].sum()),
        "ratio_of_fastest_95": interval(fastest[1][inputs].sum(axis=1) / fastest[0][inputs].sum(axis=1)),
        "unequal_answers": sum(a != b for a, b in zip(before[0]["answers"], now[0]["answers"], strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="src folder of one build")
    parser.add_argument("now", type=Path, help="src folder of the other")
    parser.add_argument("bundle", type=Path, help="that both can read")
    parser.add_argument("inputs", type=Path, help="folder of files, searched for at any depth")
    parser.add_argument("--zoo", type=Path, help="where the model files are, if not in the bundle")
    parser.add_argument("--count", type=int, default=100, help="inputs (default: 100)")
    parser.add_argument("--rounds", type=int, default=5, help="of every input in a block (default: 5)")
    parser.add_argument("--pairs", type=int, default=8, help="of blocks (default: 8)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    files = sorted(file for file in args.inputs.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".txt"))
    files = files[: args.count]
    blocks: dict[str, list[dict[str, Any]]] = {"before": [], "now": []}
    load = os.getloadavg()[0]
    for pair in range(args.pairs):
        for build in ("before", "now") if pair % 2 == 0 else ("now", "before"):
            blocks[build].append(run_block(getattr(args, build), args.bundle, args.zoo, files, args.rounds))
    found = {"load": load, "inputs": len(files), "pairs": args.pairs, **compare(blocks["before"], blocks["now"])}
    if args.json:
        print(json.dumps(found))
        return
    print(
        f"{args.bundle.name}, {len(files)} inputs, {args.rounds} rounds, {args.pairs} pairs, load {load:.1f}: "
        f"medians {found['before_ms']:.4f} and {found['now_ms']:.4f} ms, {found['ratio_of_medians']:.3f}x "
        "[{:.3f}, {:.3f}]; ".format(*found["ratio_of_medians_95"])
        + f"fastest {found['before_fastest_ms']:.4f} and {found['now_fastest_ms']:.4f} ms, "
        f"{found['ratio_of_fastest']:.3f}x "
        + "[{:.3f}, {:.3f}]; ".format(*found["ratio_of_fastest_95"])
        + f"{found['unequal_answers']} answers differ"
    )


if __name__ == "__main__":
    main()
