"""What the race of `premodel profile` saves, and what it costs the pools, by replay of a store profiled with --full.

The stored answers are given to the race in many random orders; each answer takes its candidate's mean latency, of which
a tenth varies. Compared are the answers that would not have been made, in time, and the value of the best pool of those
that are left with that of all (accuracy less the price of latency, as training searches it), at three cost weights.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from premodel.profiling.race import Race, looks
from premodel.stats import best_single
from premodel.training.load import load_candidates, load_tables
from premodel.training.log_scores import log_score_table
from premodel.training.policies.pool import PoolSearch, search_rows

WEIGHTS = (0.04, 0.08, 0.15)
"""Accuracy that one mean latency of the best single candidate is worth, as training begins its search."""
VARIES = 0.1
NOISE_DRAWS = 5
"""Random nine tenths of the samples, whose pools show what is noise."""


def main() -> None:
    """Replay and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", help="profiled with --full")
    parser.add_argument("--orders", type=int, default=20)
    args = parser.parse_args()
    tables = load_tables(args.store, passes=("predictions", "timings"))
    candidates = load_candidates(args.store)
    rank, latency_ms, n = tables.rank, tables.latency_ms, len(tables.samples)
    best = best_single(tables.correct("top1").mean(axis=0), latency_ms)
    weights = [np.array([weight / tables.end_to_end_ms()[best]]) for weight in WEIGHTS]
    search = PoolSearch(log_score_table(tables.take(search_rows(n)), "top1", tables.decode_ms))
    whole = [search.choose(weight) for weight in weights]
    part = []
    for seed in range(NOISE_DRAWS):
        rows = np.sort(np.random.default_rng(seed).permutation(n)[: round(0.9 * n)])
        other = PoolSearch(log_score_table(tables.take(rows[search_rows(len(rows))]), "top1", tables.decode_ms))
        pools = [other.choose(weight).candidates for weight in weights]
        pairs = zip(whole, pools, weights, strict=True)
        part.append([(a.candidates == b, 100 * (a.value - search.values([b], weight)[0])) for a, b, weight in pairs])
    spent, lost, same, left_out, best_lost = [], [], [], [], []
    for seed in range(args.orders):
        rng = np.random.default_rng(seed)
        names = [str(number) for number in range(n)]
        race = Race(candidates, len(tables.label_names), [{} for _ in candidates], "here", {}, lambda *_: None, seed)
        order = race.draw(n)
        timed, start, took = race.timed([names[row] for row in order]), 0, 0.0
        for stop in [*looks(n), n]:
            for row in order[start:stop]:
                for index in race.running:
                    ms = latency_ms[index] * (1 + VARIES * rng.standard_normal())
                    race.add(index, names[row], int(rank[row, index]), ms, names[row] in timed)
                    took += latency_ms[index]
            if stop < n:
                race.look([names[row] for row in order[:stop]])
            start = stop
        running = set(race.running)
        spent.append(took / (n * latency_ms.sum()))
        left_out.append(len(candidates) - len(running))
        found = [search.choose(weight, accepts=running.issuperset) for weight in weights]
        lost.append([100 * (a.value - b.value) for a, b in zip(whole, found, strict=True)])
        same.append([a.candidates == b.candidates for a, b in zip(whole, found, strict=True)])
        accuracy = tables.correct("top1").mean(axis=0)
        best_lost.append(100 * (accuracy.max() - accuracy[list(running)].max()))
    print(
        json.dumps(
            {
                "candidates": len(candidates),
                "samples": n,
                "orders": args.orders,
                "saving": round(1 / float(np.mean(spent)), 2),
                "saving_range": [round(1 / max(spent), 2), round(1 / min(spent), 2)],
                "left_out_mean": float(np.mean(left_out)),
                "value_lost_points_mean": np.round(np.mean(lost, axis=0), 3).tolist(),
                "value_lost_points_worst": np.round(np.max(lost, axis=0), 3).tolist(),
                "same_pool": np.mean(same, axis=0).tolist(),
                "nine_tenths_same_pool": np.mean(part, axis=0)[:, 0].tolist(),
                "nine_tenths_value_lost_points": np.round(np.mean(part, axis=0)[:, 1], 3).tolist(),
                "best_single_lost_points": [round(float(np.mean(best_lost)), 2), round(float(np.max(best_lost)), 2)],
            }
        )
    )


if __name__ == "__main__":
    main()
