"""What the prediction pass costs beyond the sum of decode, preprocess and run, and how long tables take to load.

Overhead: the pass, with its reading, hashing and committing, against the same steps written out as a loop, on the same
images, taking turns; both after the candidates were opened once. Processor time is compared beside wall time, because
it does not count what other programs do. Loading: a synthetic store of the size that the paper's data set has.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from premodel.domains.image.decode import decode
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.candidate import open_candidates
from premodel.runtime.conditions import device_name, measure_conditions
from premodel.store.rows import merge
from premodel.store.schema import CANDIDATES, LABELS, PREDICTIONS, SAMPLES
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import Zoo, read_zoo

BUDGET = 0.15
SAMPLES_50K, CANDIDATES_14, N_LABELS, K = 50_000, 14, 1000, 20
BATCH = 5_000


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def loop(zoo: Zoo, dataset: Dataset, rows: list[int]) -> None:
    """Decode, preprocess and run, and nothing else."""
    opened = open_candidates(zoo.candidates)
    for payload in dataset.read(rows):
        image = decode(payload.data)
        for candidate in opened:
            candidate.run(candidate.prepare(image))
    for candidate in opened:
        candidate.close()


def overhead(zoo: Zoo, dataset: Dataset, limit: int, repeats: int) -> dict[str, float]:
    """Median over the repeats of pass / loop - 1."""
    cv2.setNumThreads(1)
    rows = dataset.draw(limit)
    options = ProfileOptions(passes=("predictions",), limit=limit)

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            profile(zoo, dataset, Path(folder, "profile.db"), options)

    loop(zoo, dataset, rows[:20])
    pairs = [(timed(lambda: loop(zoo, dataset, rows)), timed(whole)) for _ in range(repeats)]
    return {
        "loop_s": statistics.median(bare[0] for bare, _ in pairs),
        "pass_s": statistics.median(full[0] for _, full in pairs),
        "overhead_wall": statistics.median(full[0] / bare[0] - 1 for bare, full in pairs),
        "overhead_cpu": statistics.median(full[1] / bare[1] - 1 for bare, full in pairs),
    }


def loading() -> dict[str, float]:
    """Seconds to write and to load 50,000 samples x 14 candidates."""
    samples = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(SAMPLES_50K)]
    keys = [hashlib.sha256(f"key {j}".encode()).hexdigest() for j in range(CANDIDATES_14)]
    labels = np.arange(K, dtype="<i4").tobytes()
    probabilities = np.linspace(0.5, 0, K, dtype="<f4").tobytes()

    def fill(store: Store) -> None:
        known = {"name": "", "bytes": 1, "status": "ok", "reason": "", "width": 1, "height": 1}
        rows = [{"sample": sample, "label": i % N_LABELS, **known} for i, sample in enumerate(samples)]
        names = [{"label": label, "name": str(label)} for label in range(N_LABELS)]
        candidates = [
            {"timing_key": key, "prediction_key": key, "network": key, "name": f"m{j}", "position": j, "manifest": "{}"}
            for j, key in enumerate(keys)
        ]
        for table, values in ((LABELS, names), (CANDIDATES, candidates), (SAMPLES, rows)):
            store.write(partial(merge, table=table, rows=values))
        said = {"truth_rank": 0, "status": "ok", "reason": "", "entropy": 0.5, "latency_ms": 1.0}
        said |= {"labels": labels, "probabilities": probabilities}
        for key in keys:
            for start in range(0, SAMPLES_50K, BATCH):
                batch = [
                    {"prediction_key": key, "sample": row["sample"], "truth": row["label"], **said}
                    for row in rows[start : start + BATCH]
                ]
                store.write(partial(merge, table=PREDICTIONS, rows=batch))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "profile.db")
        with Store(file, create=True) as store:
            write_s, write_cpu_s = timed(lambda: fill(store))
        load_s, load_cpu_s = timed(lambda: load_tables(file, passes=("predictions",)))
        return {
            "write_s": write_s,
            "write_cpu_s": write_cpu_s,
            "load_s": load_s,
            "load_cpu_s": load_cpu_s,
            "mb": file.stat().st_size / 1e6,
        }


def main() -> None:
    """Measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo", help="manifest of real candidates")
    parser.add_argument("data", help="labelled images")
    parser.add_argument("--labels")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    zoo = read_zoo(args.zoo, require_files=True)
    dataset = read_dataset(args.data, args.labels, label_names=zoo.labels)
    conditions = measure_conditions(device_name(), threads=1)
    found = {
        "device": conditions.device,
        "versions": conditions.versions,
        "images": args.limit,
        "candidates": len(zoo.candidates),
        "budget_overhead": BUDGET,
        **overhead(zoo, dataset, args.limit, args.repeats),
        "loading_50000x14": loading(),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
