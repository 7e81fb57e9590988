"""One decision in C against one in Python, on every sample of a profile.

The policies of some bundles serve the recorded answers of a store. Python: the time in `Policy.next`, as the engine
measures it (`select_ms`), the least of some rounds. C: the exported source compiled with -O2, from the start of an
input to its answer, the least of some rounds. A decision is one step: run this candidate, or this is the answer.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from premodel.clock import now_ms
from premodel.errors import RunError
from premodel.records import Prediction
from premodel.runtime.bundle import read_bundle
from premodel.runtime.conditions import cpu_model
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Policy
from premodel.runtime.policies.loop import serve
from premodel.serving.c_export import export_c
from premodel.training.load import load_tables
from premodel.training.tables import Tables

ROUNDS_C = 50
ROUNDS_PYTHON = 5


def in_python(policy: Policy, tables: Tables, options: CallOptions) -> tuple[int, float]:
    """Decisions of one pass over all samples, and the least microseconds of one."""
    columns = [tables.candidates.index(name) for name in policy.candidates]
    rows = [[tables.prediction(row, column) for column in columns] for row in range(len(tables))]
    best_us, steps = float("inf"), 0
    for _ in range(ROUNDS_PYTHON):
        steps, spent_ms = 0, 0.0
        for said in rows:

            def run(candidate: int, said: list[Prediction | None] = said) -> Prediction:
                prediction = said[candidate]
                if prediction is None:
                    raise RunError("failed")
                return prediction

            trace = serve(policy, run, AnswersSoFar(), options)
            steps += len(trace.steps)
            spent_ms += trace.select_ms
        best_us = min(best_us, 1e3 * spent_ms / steps)
    return steps, best_us


def in_c(bundle: Path, policy: Policy, tables: Tables, options: CallOptions, compiler: str) -> tuple[int, float]:
    """The same in C: decisions, and microseconds of one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = export_c(bundle, folder)
        upper = written.prefix.upper()
        names = {
            "HEADER": f'"{written.prefix}.h"', "STATE": f"{written.prefix}_state", "STEP": f"{written.prefix}_step",
            "START": f"{written.prefix}_start", "LISTED_CALL": f"{written.prefix}_listed",
            "FAILED": f"{written.prefix}_failed", "RUN": f"{upper}_RUN", "CANDIDATES": f"{upper}_CANDIDATES",
            "LISTED": f"{upper}_LISTED",
        }  # fmt: skip
        words = [f"-DP_{key}={value}" for key, value in names.items()]
        sources = [str(Path(__file__).with_name("bench.c")), str(folder / f"{written.prefix}.c")]
        subprocess.run(
            [compiler, "-std=gnu99", "-O2", "-ffp-contract=off", *words, f"-I{folder}", *sources, "-lm", "-o",
             str(folder / "bench")], check=True,
        )  # fmt: skip
        lines = []
        for row in range(len(tables)):
            for candidate in policy.candidates:
                said = tables.prediction(row, tables.candidates.index(candidate))
                pairs = [] if said is None else zip(said.labels.tolist(), said.probabilities.tolist(), strict=True)
                listed = [f"{label}:{probability:.9g}" for label, probability in pairs]
                lines.append(" ".join((str(len(listed)), *listed)))
        arguments = [str(len(tables)), str(ROUNDS_C), str(options.max_latency_ms or 0)]
        done = subprocess.run(
            [str(folder / "bench"), *arguments], input="\n".join(lines), capture_output=True, text=True, check=True
        )
    steps, taken_ns, _ = done.stdout.split()
    return int(steps), float(taken_ns) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", help="the profile whose answers are served")
    parser.add_argument("bundle", nargs="+", help="bundles trained on it")
    parser.add_argument("--max-latency-ms", type=float, help="budget of every input")
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    tables, options = load_tables(args.store), CallOptions(args.max_latency_ms)
    start, rows = now_ms(), []
    for path in map(Path, args.bundle):
        policy = read_bundle(path).policy
        steps, python_us = in_python(policy, tables, options)
        steps_c, c_us = in_c(path, policy, tables, options, args.compiler)
        if steps != steps_c:
            raise SystemExit(f"{path}: {steps} decisions in Python, {steps_c} in C")
        row: dict[str, Any] = {"policy": policy.kind, "decisions": steps, "python_us": python_us, "c_us": c_us}
        rows.append(row)
    seconds = (now_ms() - start) / 1e3
    if args.json:
        print(json.dumps({"processor": cpu_model(), "python": platform.python_version(), "policies": rows}))
        return
    print(f"{cpu_model()}, Python {platform.python_version()}, {len(tables)} samples, {seconds:.0f} s")
    print("| policy | decisions | Python, us | C, us | ratio |\n|---|---|---|---|---|")
    for row in rows:
        ratio = row["python_us"] / row["c_us"]
        print(f"| {row['policy']} | {row['decisions']:,} | {row['python_us']:.2f} | {row['c_us']:.3f} | {ratio:.0f}x |")


if __name__ == "__main__":
    main()
