"""Time and memory of fitting the paper's premodel whole: Algorithm 1, feature selection, selector.

    python benchmarks/selectors/fit_bench.py [--technique knn] [--independent]

The profile is drawn: 50,000 samples of 1,000 labels, 14 candidates, 29 features of which 12 are nearly copies of
others, so that 17 outlive pruning as in the paper. With --independent all 29 do, the worst case.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import numpy as np

from premodel.training.folds import stratified_folds
from premodel.training.policies.paper import PaperSettings, fit_paper
from premodel.training.tables import FeatureCosts, Tables

COPIES = 12


def drawn_tables(n: int, m: int, n_features: int, independent: bool, seed: int) -> Tables:
    """Candidates of rising skill and latency against samples of random hardness; the first feature hints at it."""
    random = np.random.default_rng(seed)
    hardness = random.normal(size=(n, 1))
    right = hardness + 0.7 * random.normal(size=(n, m)) < np.linspace(-0.2, 1.2, m)
    features = random.normal(size=(n, n_features))
    features[:, :1] += 0.5 * hardness
    if not independent:
        features[:, -COPIES:] = features[:, :COPIES] + 0.2 * random.normal(size=(n, COPIES))
    return Tables(
        samples=tuple(f"{number:064x}" for number in range(n)),
        truth=random.integers(0, 1_000, n).astype(np.int32),
        label_names=tuple(map(str, range(1_000))),
        candidates=tuple(f"candidate_{number}" for number in range(m)),
        networks=tuple(map(str, range(m))),
        top_labels=np.zeros((n, m, 1), dtype=np.int32),
        top_probabilities=np.zeros((n, m, 1), dtype=np.float32),
        entropy=np.zeros((n, m), dtype=np.float32),
        rank=np.where(right, 0, 10).astype(np.int32),
        latency_ms=np.linspace(1, 20, m),
        decode_ms=0.3,
        timings=(),
        features=features.astype(np.float32),
        feature_names=tuple(f"feature_{number}" for number in range(n_features)),
        feature_costs=FeatureCosts(),
        memory_mb=np.full(m, np.nan),
        energy_mj=np.full(m, np.nan),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--candidates", type=int, default=14)
    parser.add_argument("--features", type=int, default=29)
    parser.add_argument("--technique", default="knn")
    parser.add_argument("--independent", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tables = drawn_tables(options.samples, options.candidates, options.features, options.independent, options.seed)
    start, cpu = time.perf_counter(), time.process_time()
    fitted = fit_paper(tables, "top1", PaperSettings(technique=options.technique, seed=options.seed))
    fitted_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    print("\n".join(fitted.summary.lines()))
    fold = stratified_folds(tables.truth, tables.correct("top1").sum(axis=1))[0]
    start = time.perf_counter()
    fitted.selector.score_batch(tables.features[fold.test][:, fitted.features])
    scored_s = time.perf_counter() - start
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{options.technique}: fitted in {fitted_s:.1f} s ({cpu_s:.1f} s of processor time), "
        f"a fold of {len(fold.test)} scored in {scored_s:.2f} s, peak memory {memory_mb:.0f} MB, "
        f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
