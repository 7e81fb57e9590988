"""Selection, side by side: our policies, peers and trivial answers on the same tables, folds and accounting.

    python benchmarks/selection/bench.py --shared ../shared --work WORK

Makes the profiles, runs every method and writes the tables of README.md (between its markers) and curves.csv. What is
in WORK already is not done again: a result is kept under the digest of the tables and of the code it came from.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from cases import ROOT, Case, find_cases, make_profile, read_case  # noqa: E402
from competence import competence_peers  # noqa: E402
from ours import POLICIES, run_policy  # noqa: E402
from points import Points  # noqa: E402
from write import write_readme  # noqa: E402

from premodel.evaluation.peers.registry import run_peers  # noqa: E402
from premodel.evaluation.rows import Singles  # noqa: E402
from premodel.records import Criterion  # noqa: E402
from premodel.training.folds import stratified_folds  # noqa: E402
from premodel.training.objective import Floor, Objective  # noqa: E402
from premodel.training.policies.registry import TRAINERS  # noqa: E402
from premodel.training.tables import Tables  # noqa: E402

HERE = Path(__file__).resolve().parent
SHARED_CODE = ("training/folds.py", "training/objective.py", "stats.py")
PEER_CODE = ("evaluation/peers", *SHARED_CODE)
OUR_CODE = ("ours.py", "training", "runtime/policies", "runtime/selectors", "runtime/fusion.py", "stats.py")
COMPETENCE_CODE = ("competence.py", "competence_peers.py", *SHARED_CODE)
FOLDS = 10
TOP5_TARGETS = 6
LOWEST = 1.1
"""Ceilings of mean latency that curves are made for, from 1.1 of the cheapest single candidate to the dearest."""


@dataclass(eq=False)
class Comparison:
    """Everything measured on one profile by one criterion.

    Attributes
    ----------
    chosen:
        By method: results at the points that the objectives chose in the training folds, over all divisions run.
    divisions:
        By method, how many divisions into folds those are the mean of.
    curves:
        By method: results along its curve, first division.
    competence:
        By method of DESlib and deskit: results with each pool, charged what its `predict` runs, and charged the
        selected candidates alone.
    """

    case: Case
    criterion: Criterion
    tables: Tables
    left_out: int
    singles: Singles
    chosen: dict[str, Points] = field(default_factory=dict)
    divisions: dict[str, int] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)
    competence: dict[str, Points] = field(default_factory=dict)


class Results:
    """Results kept in files of a folder, by what they are and what they came from."""

    def __init__(self, folder: Path, *, any_code: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.any_code = any_code
        self.older = 0

    def points(self, key: str, make: Callable[[], dict[str, Points]]) -> dict[str, Points]:
        """The points kept under a key, made if they are not there."""
        path = self.folder / f"{key}.npz"
        same = sorted(self.folder.glob(f"{key.rpartition('-')[0]}-*.npz"), key=lambda one: one.stat().st_mtime)
        same = [one for one in same if not one.name.endswith(".part.npz")]
        if self.any_code and same and not path.exists():
            path, self.older = same[-1], self.older + 1
        if not path.exists():
            begun = time.monotonic()
            made = make()
            arrays: dict[str, np.ndarray] = {}
            for name, one in made.items():
                arrays[f"{name}|right"], arrays[f"{name}|latency_ms"] = one.right, one.latency_ms
                arrays[f"{name}|names"] = np.array(one.names)
            unfinished = path.with_suffix(".part.npz")
            np.savez_compressed(unfinished, allow_pickle=False, **arrays)
            unfinished.replace(path)
            print(f"{key}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        with np.load(path) as data:
            names = dict.fromkeys(entry.partition("|")[0] for entry in data.files)
            return {
                name: Points(data[f"{name}|right"], data[f"{name}|latency_ms"], tuple(data[f"{name}|names"].tolist()))
                for name in names
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of models and images")
    parser.add_argument("--work", type=Path, required=True, help="folder for profiles and results")
    parser.add_argument("--case", action="append", help="only this one: imagenet, imagenet-views, cifar10; may repeat")
    parser.add_argument("--profile", action="append", default=[], metavar="CASE=STORE", help="use this profile instead")
    parser.add_argument("--divisions", type=int, default=3, help="most divisions into folds, by seeds 0, 1, ...")
    parser.add_argument("--policy", action="append", choices=list(POLICIES), help="ours, besides each case's own")
    parser.add_argument("--profiles", action="store_true", help="make the profiles, and nothing else")
    parser.add_argument("--retime", action="store_true", help="measure latencies again, on a machine that is quiet now")
    parser.add_argument("--any-code", action="store_true", help="take results of earlier code too; the tables say so")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of README.md and curves.csv (default: here)")
    args = parser.parse_args()
    begun = time.monotonic()
    for code in (PEER_CODE, OUR_CODE, COMPETENCE_CODE):
        code_digest(*code)  # of the code that is running, should a file change meanwhile
    given = dict(entry.split("=", 1) for entry in args.profile)
    args.work.mkdir(parents=True, exist_ok=True)
    cases, absent = find_cases(args.shared.resolve(), args.work.resolve())
    results = Results(args.work / "results", any_code=args.any_code)
    comparisons: list[Comparison] = []
    absent += [f"{case.title}: not asked for" for case in cases if args.case and case.key not in args.case]
    cases = [case for case in cases if not args.case or case.key in args.case]
    timed: dict[str, Path] = {}
    for case in cases:
        # Cases that share a profile are timed together, once.
        if case.key not in given and case.store not in timed:
            timed[case.store] = make_profile(case, args.work, retime=args.retime)
    if args.profiles:
        return
    for case in cases:
        store = Path(given[case.key]) if case.key in given else timed[case.store]
        tables, left_out = read_case(case, store)
        for criterion in case.criteria:
            compared = Comparison(case, criterion, tables, left_out, Singles.of(tables, criterion))
            compare(compared, results, args.policy, min(args.divisions, case.divisions), args.work)
            comparisons.append(compared)
            # Written after each: a run that is broken off leaves what it found.
            older = [f"{results.older} results come from earlier code"] if results.older else []
            write_readme(args.out, comparisons, [*absent, *older], time.monotonic() - begun)
    print(f"done in {time.monotonic() - begun:.0f} s: {args.out / 'README.md'}", file=sys.stderr)


def compare(compared: Comparison, results: Results, more: Sequence[str] | None, divisions: int, work: Path) -> None:
    """Run, or read, every method on one profile by one criterion."""
    tables, criterion, singles = compared.tables, compared.criterion, compared.singles
    base_ms = float(singles.latency_ms[singles.best])
    objectives = [
        ("no loss", Objective(Floor.parse("best"))),
        ("half point", Objective(Floor.parse("best+0.5pt"))),
        ("equal time", Objective(max_latency_ms=base_ms)),
    ]
    count = compared.case.targets if criterion == "top1" else TOP5_TARGETS
    targets = np.geomspace(LOWEST * singles.latency_ms.min(), singles.latency_ms.max(), count)
    ceilings = [(f"at most {target:.4f} ms", Objective(max_latency_ms=float(target))) for target in targets]
    counts = singles.correct.sum(axis=1)
    folds = [stratified_folds(tables.truth, counts, FOLDS, seed) for seed in range(divisions)]
    about = f"{compared.case.key}-{criterion}-{tables_digest(tables)}-{count}"

    peers = [
        results.points(
            f"{about}-peers-{seed}-{code_digest(*PEER_CODE)}",
            partial(run_peers, tables, criterion, part, objectives + ceilings, seed),
        )
        for seed, part in enumerate(folds)
    ]
    for name in peers[0]:
        mean = Points.mean([one[name] for one in peers])
        compared.chosen[name] = _rows(mean, range(len(objectives)))
        compared.curves[name] = _rows(peers[0][name], range(len(objectives), len(objectives) + len(ceilings)))
        compared.divisions[name] = divisions

    names = compared.case.policies if criterion == "top1" else compared.case.policies[:1]
    for name in dict.fromkeys((*names, *(more or ()))):
        if name not in TRAINERS:
            continue
        several = min(divisions, POLICIES[name].divisions) if criterion == "top1" else 1
        runs = []
        for seed, part in enumerate(folds[:several]):
            drawn = ceilings if seed == 0 else []
            make = partial(run_policy, name, tables, criterion, part, objectives, drawn, base_ms)
            runs.append(results.points(f"{about}-{name}-{seed}-{code_digest(*OUR_CODE)}", make))
        compared.chosen[name] = Points.mean([run["chosen"] for run in runs])
        compared.curves[name] = runs[0].get("curve", runs[0]["chosen"])
        compared.divisions[name] = len(runs)
    compared.curves["random mix"] = Points(
        singles.correct.T.astype(np.float64),
        np.repeat(singles.latency_ms[:, None], len(tables), axis=1),
        tables.candidates,
    )
    compared.competence = results.points(
        f"{about}-competence-{code_digest(*COMPETENCE_CODE)}",
        lambda: competence_peers(tables, criterion, folds[0], work, tables_digest(tables)),
    )


def _rows(points: Points, rows: Sequence[int]) -> Points:
    chosen = list(rows)
    return Points(points.right[chosen], points.latency_ms[chosen], tuple(points.names[row] for row in chosen))


def tables_digest(tables: Tables) -> str:
    """Of everything a method sees."""
    digest = hashlib.sha256(repr((tables.samples, tables.candidates, tables.feature_costs)).encode())
    arrays = (tables.truth, tables.top_labels, tables.top_probabilities, tables.latency_ms, tables.features)
    for array in (*arrays, np.array([tables.decode_ms])):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


@cache
def code_digest(*files: str) -> str:
    """Of files of the benchmark, and of files and folders of premodel, as they are at first asking."""
    digest = hashlib.sha256()
    for name in files:
        path = HERE / name if (HERE / name).exists() else ROOT / "src" / "premodel" / name
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
