"""Time of one decision of a cascade: what one candidate more said in, the next candidate or the served answer out.

python benchmarks/policies/bench.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from time import perf_counter_ns

import numpy as np

from premodel.records import Prediction
from premodel.runtime.policies.base import TRAINED, AnswersSoFar, Run, Stop
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.stopping import CascadeRouting
from premodel.runtime.policies.stopping_components import NOT_ALLOWED, StoppingComponents

BUDGET_US = 30.0
POINTS = 38


def policy(candidates: int, labels: int, go_on: bool, seed: int) -> CascadeRouting:
    """A cascade with drawn weights that always goes on until all have run, or never."""
    random = np.random.default_rng(seed)
    sets = 2**candidates
    continuation = random.normal(0, 0.01, (POINTS, sets, candidates, 3)).astype(np.float32)
    continuation[..., 0] += 1.0 if go_on else -1.0
    has_run = (np.arange(sets)[:, None] >> np.arange(candidates)) & 1 == 1
    continuation[:, has_run, 0] = NOT_ALLOWED
    components = StoppingComponents(
        weights=random.uniform(0.3, 1.0, (sets, candidates)).astype(np.float32),
        member=np.full(sets, -1, np.int8),
        calibration=np.tile([0.0, 1.0], (sets, 1)),
        cost_weight=np.geomspace(1e-3, 1.0, POINTS),
        continuation=continuation,
        budgets=np.arange(1.0, sets),
        start=random.random((sets - 1, POINTS, candidates)).astype(np.float32),
    )
    costs = Costs(tuple(float(index + 1) for index in range(candidates)), 0.3)
    names = [f"candidate {index}" for index in range(candidates)]
    return CascadeRouting(names, components, point=9, accuracy=[0.7] * candidates, costs=costs, n_labels=labels)


def predictions(count: int, labels: int, seed: int) -> list[Prediction]:
    """Unsure predictions, each with 20 labels of its own."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        shares = -np.sort(-random.dirichlet(np.full(min(20, labels), 0.3))).astype(np.float32)
        listed = random.choice(labels, shares.size, replace=False).astype(np.int32)
        found.append(Prediction(listed, shares, 1.0))
    return found


def measure(rule: CascadeRouting, said: list[list[Prediction]], ran: int, turns: int) -> list[float]:
    """Microseconds of the decision after `ran` candidates, in the order in which a device takes them."""
    times = []
    for turn in range(turns + turns // 10):
        so_far = AnswersSoFar()
        for index in range(ran):
            so_far.predictions[index] = said[turn % len(said)][index]
            if index + 1 < ran:
                rule.next(so_far, TRAINED)
        start = perf_counter_ns()
        step = rule.next(so_far, TRAINED)
        took = (perf_counter_ns() - start) / 1000
        if not isinstance(step, Run | Stop):
            raise TypeError("a decision is a Run or a Stop")
        if turn >= turns // 10:
            times.append(took)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--labels", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    said = [predictions(options.candidates, options.labels, options.seed + turn) for turn in range(200)]
    rows = []
    for go_on in (True, False):
        rule = policy(options.candidates, options.labels, go_on, options.seed)
        for ran in range(0 if go_on else 1, options.candidates + (0 if go_on else 1)):
            least, median, p90, p99 = np.percentile(measure(rule, said, ran, options.turns), [0, 50, 90, 99]).tolist()
            what = "run the next" if go_on else "stop and serve"
            rows.append(
                {
                    "decision": what, "after": ran, "least_us": least, "median_us": median, "p90_us": p90,
                    "p99_us": p99, "budget_us": BUDGET_US, "met": median <= BUDGET_US,
                }
            )  # fmt: skip
    conditions = {
        "candidates": options.candidates, "labels": options.labels, "turns": options.turns,
        "machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__,
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    if options.json:
        print(json.dumps({"conditions": conditions, "rows": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in conditions.items()))
    for row in rows:
        times = "  ".join(f"{name} {row[f'{name}_us']:5.1f}" for name in ("median", "least", "p90", "p99"))
        verdict = "met" if row["met"] else "NOT met"
        print(f"{row['decision']:15} after {row['after']}  {times} us  {BUDGET_US:.0f} us {verdict}")


if __name__ == "__main__":
    main()
