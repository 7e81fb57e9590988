"""What fifty labels recover after a shift: the old premodel, the updated one, and one that was profiled anew."""

from __future__ import annotations

import argparse
import csv
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from premodel.evaluation.recorded import UNKNOWN, Recorded
from premodel.evaluation.update_records import update_from_records
from premodel.serving.drift import population_stability_index
from premodel.store.samples import sample_names
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.objective import Objective
from premodel.training.options import TrainOptions
from premodel.training.record import plain
from premodel.training.reference import training_reference
from premodel.training.simulate import served_score, simulate
from premodel.training.tables import Tables
from premodel.training.train import train


def read(path: Path, labels: Path | None, passes: tuple[str, ...]) -> dict[int, tuple[Tables, int]]:
    """Rows of a store by the number of the image that they are, or are a copy of."""
    with Store(path) as store:
        tables, names = load_tables(store, passes=passes), sample_names(store)
    order: dict[str, int] = {}
    if labels is not None:
        with labels.open(newline="") as stream:
            order = {row["path"]: number for number, row in enumerate(csv.DictReader(stream))}
    found = {}
    for row, sample in enumerate(tables.samples):
        match = re.search(r"(\d+)(\.png)?$", names[sample])
        number = order.get(names[sample], int(match[1]) if match else -1)
        found[number] = (tables, row)
    return found


def rows_of(found: dict[int, tuple[Tables, int]], numbers: Any) -> Tables:
    """The rows of these images."""
    tables = next(iter(found.values()))[0]
    return tables.take(np.array([found[int(number)][1] for number in numbers]))


def run(clean: Any, shifted: Any, options: TrainOptions, seed: int, labels: int, window: int) -> dict[str, float]:
    """One seed: a third of the images trains the old one, a window of the others is recorded, the rest tests."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(sorted(clean.keys() & shifted.keys()))
    third = len(numbers) // 3
    before, after = rows_of(clean, numbers[:third]), numbers[third:]
    width = min(window, len(after) // 2)
    measured: dict[str, Any] = {
        "latency_ms": before.latency_ms,
        "decode_ms": before.decode_ms,
        "timings": before.timings,
    }
    recorded, test = (replace(rows_of(shifted, part), **measured) for part in (after[:width], after[width:]))
    old, anew = train(before, options), train(recorded, options)
    labelled = np.zeros(width, np.bool_)
    labelled[rng.permutation(width)[:labels]] = True
    hidden = replace(
        recorded,
        truth=np.where(labelled, recorded.truth, UNKNOWN).astype(np.int32),
        rank=np.where(labelled[:, None], recorded.rank, len(recorded.label_names)).astype(np.int32),
    )
    bundle: Any = SimpleNamespace(policy=old.policy, training_record={"training": plain(old.record.to_json())})
    found = update_from_records(bundle, Recorded(hidden, labelled, np.ones(width), labelled.astype(float), 0), options)
    updated = old.policy if found.refused else found.trained.policy
    row = {"refused": float(bool(found.refused))}
    references = [training_reference(simulate(old.policy, one)).choices for one in (before, recorded)]
    row["drift"] = population_stability_index(*references)
    for name, policy in (("old", old.policy), ("updated", updated), ("anew", anew.policy)):
        served = simulate(policy, test)
        row[name] = 100 * float(served_score(test, options.criterion, served).mean())
        row[f"{name}_ms"] = float(served.latency_ms.mean())
    return row


def main() -> None:
    """All seeds of one shift."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean", type=Path, help="profile of the images as they are")
    parser.add_argument("shifted", type=Path, help="profile of their shifted copies, predictions alone")
    parser.add_argument("--labels", type=Path, help="list of the images, where their names are no numbers")
    parser.add_argument("--cost-weight", type=float, default=0.004)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--count", type=int, default=50, help="labels")
    parser.add_argument("--window", type=int, default=600, help="records")
    args = parser.parse_args()
    clean = read(args.clean, args.labels, ("predictions", "timings"))
    shifted = read(args.shifted, args.labels, ("predictions",))
    options = TrainOptions("cascade-routing", "top1", Objective(cost_weight=args.cost_weight))
    rows = []
    for seed in range(args.seeds):
        rows.append(run(clean, shifted, options, seed, args.count, args.window))
        print(seed, {name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    error = table.std(axis=0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else table[0] * np.nan
    for name, mean, half in zip(names, table.mean(axis=0), 1.96 * error, strict=True):
        print(f"{name}: {mean:.2f} +- {half:.2f}")
    mean = dict(zip(names, table.mean(axis=0), strict=True))
    print(f"recovered: {100 * (mean['updated'] - mean['old']) / (mean['anew'] - mean['old']):.0f} %")


if __name__ == "__main__":
    main()
