"""What `bench` and `compare` have in common: options of a real run, and what is to be stated of it."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from typing import Any

from premodel.cli.common import add_seed
from premodel.cli.data_options import add_data_options
from premodel.cli.trust import add_trust
from premodel.evaluation.side_by_side import DEFAULT_MAX_SECONDS
from premodel.runtime.conditions import OtherLoad, busy_note, device_name, measure_conditions

QUICK_INPUTS = 50


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The labelled inputs, and how long and on what they are run."""
    parser.add_argument("data", metavar="DATA", help="labelled images or texts, as for profile")
    parser.add_argument("--labels", metavar="F", help="table with path,label, or text file of: name label")
    add_trust(parser)
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    parser.add_argument("--limit", type=int, metavar="N", help="so many inputs, drawn at random, the same every time")
    parser.add_argument("--threads", type=int, metavar="T", help="threads of every candidate (default: as profiled)")
    parser.add_argument(
        "--max-seconds", type=float, default=DEFAULT_MAX_SECONDS, metavar="X", help="no further pass after this"
    )
    add_data_options(parser)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"one pass over at most {QUICK_INPUTS} inputs: a first look, mostly INVALID",
    )
    add_seed(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run_bounds(args: argparse.Namespace) -> dict[str, Any]:
    """`limit`, `seed` and `max_seconds` of the run, by the options."""
    if not args.quick:
        return {"limit": args.limit, "seed": args.seed, "max_seconds": args.max_seconds}
    limit = args.limit if args.limit == 0 else min(args.limit or QUICK_INPUTS, QUICK_INPUTS)
    return {"limit": limit, "seed": args.seed, "max_seconds": math.ulp(0.0)}


def conditions_here(args: argparse.Namespace, load: OtherLoad) -> dict[str, Any]:
    """Where and under what load it was measured."""
    conditions = asdict(measure_conditions(device_name(), args.threads or 1, args.seed))
    return {**conditions, "other_cores_busy": load.cores(), "other_processes": load.processes()}


def figure_notes(unreadable: dict[str, str], plural: str, conditions: dict[str, Any]) -> list[str]:
    """What a reader of the figures should know: inputs left out, and a busy machine."""
    notes = [f"{name}: {reason}" for name, reason in list(unreadable.items())[:5]]
    if unreadable:
        notes.append(f"{len(unreadable)} {plural} could not be read and are left out")
    busy = busy_note(conditions["other_cores_busy"], conditions["other_processes"])
    if busy:
        notes.append(f"{busy}; latencies may be too high: run it again on an idle machine")
    return notes
