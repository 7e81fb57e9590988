"""`premodel bench`: run a premodel and every single candidate end to end on real images or texts."""

from __future__ import annotations

import argparse
import json
from typing import Any

from premodel.cli.common import TerminalProgress, format_rows
from premodel.cli.data_options import data_notes, read_data
from premodel.cli.durations import INTERRUPTED_CODE, add_soak_options, soak_options
from premodel.cli.real_runs import add_run_options, conditions_here, figure_notes, run_bounds
from premodel.evaluation.bench import Bench, bench
from premodel.evaluation.degenerate import latency_drifts
from premodel.profiling.sustained import judge_soak
from premodel.runtime.conditions import OtherLoad
from premodel.runtime.engine import Premodel

EXAMPLE = """example:
  premodel bench edge.premodel images --labels labels.csv
  premodel bench language.premodel heldout.csv

Every subject runs once per input, in random order, from encoded bytes to the answer. Speed-up and accuracy difference
are against the most accurate single candidate on these inputs. A row is VALID if its mean
latency is known within 5 %; passes over the inputs are repeated for that.
"""
DRIFT = 0.1


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel")
    add_run_options(parser)
    add_soak_options(parser, "run everything")


def run(args: argparse.Namespace) -> int:
    """Run, then show the comparison, its result first."""
    soak = soak_options(args, default=f"{args.max_seconds:g}s")
    progress = TerminalProgress()
    with Premodel(args.bundle, threads=args.threads, zoo=args.zoo, trust_python=args.trust_python) as premodel:
        bundle = premodel.bundle
        dataset = read_data(args, args.data, args.labels, bundle.label_names, bundle.domain.task)
        load = OtherLoad()
        try:
            result = bench(premodel, dataset, **run_bounds(args), soak=soak, progress=progress)
        finally:
            progress.end()
        conditions = conditions_here(args, load)
    for note in (*data_notes(dataset), *_notes(result, dataset.domain.plural, conditions)):
        progress.note(note)
    if args.json:
        print(json.dumps({**result.to_json(), "conditions": conditions}))
    else:
        print("\n".join(f"warning: {warning}" for warning in result.warnings), end="\n" if result.warnings else "")
        print("\n".join([result.headline, *result.originals]))
        print(
            "\n".join(["when it was trained", *(f"  {line}" for line in result.tested), ""] if result.tested else [""])
        )
        count = f"{result.samples} {dataset.domain.plural}"
        print(f"{count}, {result.criterion}, {result.passes} passes, {conditions['device']}")
        print(format_rows(result.rows))
        print("".join(f"{line}\n" for line in (judge_soak(result.curve).lines if result.curve else ())), end="")
    return INTERRUPTED_CODE if result.curve is not None and result.curve.ended else 0


def _notes(result: Bench, plural: str, conditions: dict[str, Any]) -> list[str]:
    """The same, and where latencies are others than in the profile."""
    notes = figure_notes(result.unreadable, plural, conditions)
    for row in result.rows:
        profiled_ms = row.extra.get("profiled_latency_ms")
        drifts = profiled_ms and abs(row.latency_ms / profiled_ms - 1) > DRIFT
        if drifts and not latency_drifts(row.name, row.latency_ms, profiled_ms):  # else a warning states it
            notes.append(f"{row.name} takes {row.latency_ms:.2f} ms here, {profiled_ms:.2f} ms in the profile")
    return notes
