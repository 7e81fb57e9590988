"""Memory for two of several candidates: this build against another, image by image.

Each build runs in a process of its own, with the same bundle, memory budget and order of images; for every image the
two answer in turn, in random order, so that both meet the same machine. Without --max-latency-ms: mean latency and
accuracy. With it: how many answers were late, by more than 5, 20 and 50 %.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from premodel.domains.base import IMAGE_TASK
from premodel.evaluation.side_by_side import speedup_interval
from premodel.profiling.datasets.columns import DatasetOptions
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.bundle import read_bundle
from premodel.stats import paired_bootstrap
from premodel.verdict import Verdict

WORKER = """
import base64, json, sys
import premodel
clf = premodel.load(sys.argv[1], threads=1, zoo=sys.argv[2] or None, memory_budget_mb=float(sys.argv[3]))
budget = float(sys.argv[4]) or None
for line in sys.stdin:
    answer = clf.predict(base64.b64decode(line), max_latency_ms=budget)
    print(json.dumps([answer.latency_ms["total"], answer.label, list(answer.ran)]), flush=True)
"""


class Build:
    """One build of premodel in a process of its own."""

    def __init__(self, source: str, bundle: str, args: argparse.Namespace) -> None:
        words = [sys.executable, "-c", WORKER, bundle, args.zoo or "", str(args.memory_mb), str(args.max_latency_ms)]
        env = {**os.environ, "PYTHONPATH": source}
        self.process = subprocess.Popen(words, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ms: list[float] = []
        self.labels: list[int] = []
        self.runs: list[list[str]] = []

    def answer(self, image: bytes) -> None:
        """One image."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("no pipes")
        self.process.stdin.write(base64.b64encode(image).decode() + "\n")
        self.process.stdin.flush()
        ms, label, ran = json.loads(self.process.stdout.readline())
        self.ms.append(ms)
        self.labels.append(label)
        self.runs.append(ran)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    bundle = read_bundle(Path(args.bundle))
    options = DatasetOptions(task=IMAGE_TASK)
    data = read_dataset(args.data, args.labels, label_names=bundle.label_names, options=options)
    rng = np.random.default_rng(args.seed)
    rows = rng.permutation(len(data.names))[: args.limit].tolist()
    own = str(Path(__file__).parents[2] / "src")
    builds = [Build(args.baseline, args.baseline_bundle or args.bundle, args), Build(own, args.bundle, args)]
    truths: list[int] = []
    for payload in data.read(rows):
        truths.append(int(data.labels[payload.row]))
        for place in rng.permutation(2):
            builds[place].answer(payload.data or b"")
    for build in builds:
        build.process.stdin.close()  # type: ignore[union-attr]
        build.process.wait()
    truth = np.asarray(truths)
    warm = slice(args.warm_up, None)
    ms = [np.asarray(build.ms)[warm] for build in builds]
    right = [(np.asarray(build.labels) == truth)[warm].astype(float) for build in builds]
    difference = right[1] - right[0]
    low, high = paired_bootstrap(difference)
    verdict = Verdict(
        len(difference), float(ms[0].mean() / ms[1].mean()), 100 * float(difference.mean()), (100 * low, 100 * high),
        speedup_ci=speedup_interval(ms[0].tolist(), ms[1].tolist()),
    )  # fmt: skip
    sides = []
    for name, took, was_right, build in zip(("baseline", "this build"), ms, right, builds, strict=True):
        late = {f"{over:g}": int((took > over * args.max_latency_ms).sum()) for over in (1, 1.05, 1.2, 1.5)}
        share = {one: float(np.mean([one in ran for ran in build.runs])) for one in bundle.policy.candidates}
        sides.append(
            {
                "name": name, "accuracy": float(was_right.mean()), "mean_ms": float(took.mean()),
                "median_ms": float(np.median(took)), "share": share, "late": late if args.max_latency_ms else None,
            }
        )  # fmt: skip
    return {"sides": sides, "verdict": verdict.to_json(), "sentence": verdict.sentence("the baseline"), "n": len(truth)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--labels")
    parser.add_argument("--zoo")
    parser.add_argument("--memory-mb", type=float, required=True, help="for what may be open together")
    parser.add_argument("--max-latency-ms", type=float, default=0.0, help="budget of every call; 0 for none")
    parser.add_argument("--baseline", required=True, help="folder src of another build")
    parser.add_argument("--baseline-bundle", help="its bundle, where it cannot read this one")
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--warm-up", type=int, default=20, help="answers left out: everything is opened first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args)
    if args.json:
        print(json.dumps(found))
        return
    for side in found["sides"]:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in side["share"].items())
        late = "" if side["late"] is None else f"; late of {found['n'] - args.warm_up}: {side['late']}"
        print(f"{side['name']}: {100 * side['accuracy']:.1f} %, mean {side['mean_ms']:.1f} ms{late}; ran {shares}")
    print(found["sentence"])


if __name__ == "__main__":
    main()
