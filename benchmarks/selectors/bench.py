"""Time of one selection, per selector: one input's raw features in, scores out.

python benchmarks/selectors/bench.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from time import perf_counter_ns

import numpy as np

from premodel.runtime.selectors.base import Selector
from premodel.training.selectors.registry import technique_fit

KNN_BUDGET_US = 150.0
KNN_BUDGET_WITH_SCIPY_US = 50.0
OTHER_BUDGET_US = 30.0
CANDIDATES = 3


def data(rows: int, features: int, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Features with a weak signal for the labels, as image features have."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, features)).astype(np.float32)
    chance = random.random((rows, CANDIDATES)) + 0.2 * np.tanh(values[:, :1])
    labels = np.zeros((rows, CANDIDATES), dtype=np.bool_)
    best = np.minimum((chance * 1.3).argmax(axis=1), CANDIDATES - 1)
    labels[np.arange(rows), best] = random.random(rows) < 0.85
    return values, labels, tuple(f"feature_{index}" for index in range(features))


def measure(selector: Selector, inputs: np.ndarray, turns: int) -> list[float]:
    """Microseconds of each turn, after a tenth as many for warm-up."""
    for turn in range(turns // 10):
        selector.score(inputs[turn % len(inputs)])
    times = []
    for turn in range(turns):
        row = inputs[turn % len(inputs)]
        start = perf_counter_ns()
        selector.score(row)
        times.append((perf_counter_ns() - start) / 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=7)
    parser.add_argument("--turns", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    values, labels, names = data(options.rows, options.features, options.seed)
    inputs = data(1_000, options.features, options.seed + 1)[0]
    techniques = [
        "knn", "knn.knn.knn", "decision_tree", "svm", "naive_bayes", "logistic", "multi_class:decision_tree",
        "decision_tree.svm.naive_bayes",
    ]  # fmt: skip
    rows = []
    for technique in techniques:
        selector = technique_fit(technique)(values, labels, names, options.seed)
        least, median, p90, p99 = np.percentile(measure(selector, inputs, options.turns), [0, 50, 90, 99]).tolist()
        budgets = [KNN_BUDGET_US, KNN_BUDGET_WITH_SCIPY_US] if "knn" in technique else [OTHER_BUDGET_US]
        rows.append(
            {
                "selector": technique, "least_us": least, "median_us": median, "p90_us": p90, "p99_us": p99,
                "budgets_us": budgets, "met": [median <= budget for budget in budgets],
            }
        )  # fmt: skip
    conditions = {
        "rows": options.rows, "features": options.features, "candidates": CANDIDATES, "turns": options.turns,
        "machine": platform.machine(), "python": platform.python_version(), "numpy": np.__version__,
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    if options.json:
        print(json.dumps({"conditions": conditions, "rows": rows}))
        return
    print(", ".join(f"{name} {value}" for name, value in conditions.items()))
    for row in rows:
        verdicts = ", ".join(
            f"{budget:.0f} us {'met' if met else 'NOT met'}"
            for budget, met in zip(row["budgets_us"], row["met"], strict=True)
        )
        print(
            f"{row['selector']:30} median {row['median_us']:6.1f} us  least {row['least_us']:6.1f}  "
            f"p90 {row['p90_us']:6.1f}  p99 {row['p99_us']:7.1f}  {verdicts}"
        )


if __name__ == "__main__":
    main()
