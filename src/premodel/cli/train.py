"""`premodel train`: make a premodel from a profile."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from premodel.cli.common import output_file
from premodel.cli.picture import Point, terminal_picture
from premodel.cli.train_options import (
    add_train_options,
    judged,
    policies_epilog,
    policy_help,
    train_options,
    with_cost_matrix,
)
from premodel.evaluation.degenerate import degenerate_cases
from premodel.evaluation.final_test import train_and_test
from premodel.evaluation.final_test_record import FinalTest
from premodel.runtime.bundle import Bundle
from premodel.store.runs import COLD
from premodel.store.soaks import BURST
from premodel.store.store import Store
from premodel.training.ceilings import resident_mb
from premodel.training.load import load_candidates, load_tables
from premodel.training.options import DEFAULT_POLICY
from premodel.training.package import package
from premodel.training.record import Trained
from premodel.training.tables import Tables
from premodel.training.train import check_options

EXAMPLE = """example:
  premodel train profile.db --out edge.premodel
  premodel train profile.db --out edge.premodel --policy select --min-accuracy best-1pt

Models are referenced by digest and looked for where they were; --embed puts them into the file.
Before it is packaged, what was trained is tested once more against every single candidate, on samples that it was not
fitted on; of policy auto one candidate alone is packaged where it is not shown to be better. The bundle states what the
test said. The bundle is opened again and its decisions compared on every profiled sample before it appears.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE + policies_epilog()
    parser.add_argument("store", metavar="S", help="the profile")
    parser.add_argument("--out", required=True, metavar="F.premodel", help="the bundle to write")
    parser.add_argument(
        "--policy", default=DEFAULT_POLICY, metavar="P", help=f"one of {policy_help()} (default: {DEFAULT_POLICY})"
    )
    add_train_options(parser)
    parser.add_argument("--embed", action="store_true", help="put the model files into the bundle")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Train, package, and say how it came about."""
    out = output_file(args.out, "bundle")
    options = train_options(args, args.policy)
    check_options(options)
    with Store(args.store) as store:
        tables = with_cost_matrix(load_tables(store, device=args.device, timings=args.timings), args)
        options = judged({"": options}, args, tables)[""]
        candidates = load_candidates(store)
    print(f"training {options.policy} on {len(tables)} samples", file=sys.stderr)
    trained, test = train_and_test(tables, options, lambda doing: print(doing, file=sys.stderr))
    print(f"packaging {out}, comparing its decisions on every sample", file=sys.stderr)
    recorded = None if test is None else test.to_json()
    bundle = package(trained, tables, candidates, options, out, embed=args.embed, test=recorded)
    warnings = degenerate_cases(tables, options.criterion)
    if args.json:
        report = _report(out, bundle, trained, tables, test) | {"warnings": list(warnings)}
        print(json.dumps(report, allow_nan=False))
        return 0
    for line in (
        *(f"warning: {warning}" for warning in warnings),
        *trained.summary,
        *([] if args.timings == BURST else [f"latencies: {args.timings}, of the profile's soak"]),
        *([] if test is None else test.lines()),
    ):
        print(line)
    if test is not None:
        points = [Point(one.name, one.latency_ms, one.accuracy) for one in test.rivals]
        points.append(Point(test.policy, test.latency_ms, test.accuracy, premodel=True))
        print("".join(f"{line}\n" for line in terminal_picture(points)), end="")
    print("".join(f"{line}\n" for line in _memory(bundle.policy.candidates, tables)), end="")
    print(f"wrote {out} ({out.stat().st_size:,} bytes); decisions checked on {len(tables)} samples")
    return 0


def _memory(names: tuple[str, ...], tables: Tables) -> list[str]:
    """What the bundle needs to keep all its networks open, and what it costs below that; nothing if not measured."""
    needed_mb = resident_mb(tables, names)
    columns = [tables.candidates.index(name) for name in names]
    load_ms = [] if tables.load_ms is None else [float(tables.load_ms[column]) for column in columns]
    if math.isnan(needed_mb) or len(names) < 2:
        return []
    line = f"memory: {needed_mb:.1f} MB with every candidate open"
    if load_ms and not any(map(math.isnan, load_ms)):
        line += (
            f"; in less (memory_budget_mb) one is opened for another where that is worth it, {min(load_ms):.1f} to "
            f"{max(load_ms):.1f} ms each"
        )
        cold = tables.conditions.get(COLD)
        cold_ms = [float(cold[name]) for name in names if name in cold] if isinstance(cold, Mapping) else []
        line += f" ({min(cold_ms):.1f} to {max(cold_ms):.1f} ms from files that are not cached)" if cold_ms else ""
    return [line]


def _report(out: Path, bundle: Bundle, trained: Trained, tables: Tables, test: FinalTest | None) -> dict[str, Any]:
    return {
        "bundle": str(out),
        "bytes": out.stat().st_size,
        "policy": bundle.training_record["policy"],
        "criterion": bundle.criterion,
        "objective": bundle.objective,
        "candidates": list(bundle.policy.candidates),
        "features": list(bundle.policy.features),
        "embedded": len(bundle.embedded),
        "samples": len(tables),
        "resident_mb": _known(resident_mb(tables, bundle.policy.candidates)),
        "summary": list(trained.summary),
        "training": bundle.training_record["training"],
        "test": None if test is None else test.to_json(),
    }


def _known(value: float) -> float | None:
    """JSON has no NaN, which is what was not measured."""
    return None if math.isnan(value) else value
