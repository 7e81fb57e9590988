"""`premodel bench`: run a premodel and every single candidate end to end on real images."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import Any

from premodel.cli.common import TerminalProgress, add_seed, format_rows
from premodel.cli.data_options import add_data_options, data_notes, read_data
from premodel.cli.trust import add_trust
from premodel.evaluation.bench import Bench, bench
from premodel.evaluation.side_by_side import DEFAULT_MAX_SECONDS
from premodel.runtime.conditions import OtherLoad, busy_note, device_name, measure_conditions
from premodel.runtime.engine import Premodel

EXAMPLE = """example:
  premodel bench edge.premodel images --labels labels.csv

Every subject runs once per image, in random order, from encoded bytes to the answer. Speed-up and accuracy difference
are against the most accurate single candidate on these images. A row is VALID if its mean
latency is known within 5 %; passes over the images are repeated for that.
"""
QUICK_IMAGES = 50
DRIFT = 0.1


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel")
    parser.add_argument("data", metavar="DATA", help="labelled images, as for profile")
    parser.add_argument("--labels", metavar="F", help="table with path,label, or text file of: name label")
    add_trust(parser)
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    parser.add_argument("--limit", type=int, metavar="N", help="so many images, drawn at random, the same every time")
    parser.add_argument("--threads", type=int, metavar="T", help="threads of every candidate (default: as profiled)")
    parser.add_argument(
        "--max-seconds", type=float, default=DEFAULT_MAX_SECONDS, metavar="X", help="no further pass after this"
    )
    add_data_options(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one pass over at most {QUICK_IMAGES} images: a first look, mostly INVALID",
    )
    add_seed(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run, then show the comparison, its result first."""
    progress = TerminalProgress()
    with Premodel(args.bundle, threads=args.threads, zoo=args.zoo, trust_python=args.trust_python) as premodel:
        bundle = premodel.bundle
        dataset = read_data(args, args.data, args.labels, bundle.label_names, bundle.domain.task)
        load = OtherLoad()
        limit = min(args.limit or QUICK_IMAGES, QUICK_IMAGES) if args.quick and args.limit != 0 else args.limit
        try:
            result = bench(
                premodel,
                dataset,
                limit=limit,
                seed=args.seed,
                max_seconds=math.ulp(0.0) if args.quick else args.max_seconds,
                progress=progress,
            )
        finally:
            progress.end()
        conditions = conditions_here(args, load)
    for note in (*data_notes(dataset), *_notes(result, conditions)):
        progress.note(note)
    if args.json:
        print(json.dumps({**result.to_json(), "conditions": conditions}))
    else:
        print("\n".join(f"warning: {warning}" for warning in result.warnings), end="\n" if result.warnings else "")
        print(result.headline)
        print(
            "\n".join(["when it was trained", *(f"  {line}" for line in result.tested), ""] if result.tested else [""])
        )
        print(f"{result.samples} images, {result.criterion}, {result.passes} passes, {conditions['device']}")
        print(format_rows(result.rows))
    return 0


def conditions_here(args: argparse.Namespace, load: OtherLoad) -> dict[str, Any]:
    """Where and under what load it was measured."""
    conditions = asdict(measure_conditions(device_name(), args.threads or 1, args.seed))
    return {**conditions, "other_cores_busy": load.cores(), "other_processes": load.processes()}


def figure_notes(unreadable: dict[str, str], conditions: dict[str, Any]) -> list[str]:
    """What a reader of the figures should know: inputs left out, and a busy machine."""
    notes = [f"{name}: {reason}" for name, reason in list(unreadable.items())[:5]]
    if unreadable:
        notes.append(f"{len(unreadable)} images could not be read and are left out")
    busy = busy_note(conditions["other_cores_busy"], conditions["other_processes"])
    if busy:
        notes.append(f"{busy}; latencies may be too high: run it again on an idle machine")
    return notes


def _notes(result: Bench, conditions: dict[str, Any]) -> list[str]:
    """The same, and where latencies are others than in the profile."""
    notes = figure_notes(result.unreadable, conditions)
    for row in result.rows:
        profiled_ms = row.extra.get("profiled_latency_ms")
        if profiled_ms and abs(row.latency_ms / profiled_ms - 1) > DRIFT:
            notes.append(f"{row.name} takes {row.latency_ms:.2f} ms here, {profiled_ms:.2f} ms in the profile")
    return notes
