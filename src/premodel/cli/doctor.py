"""`premodel doctor`: what can be won on a profile, before training."""

from __future__ import annotations

import argparse
import json

from premodel.cli.common import add_criterion, add_seed
from premodel.cli.picture import Point, terminal_picture
from premodel.cli.train_options import add_timings
from premodel.evaluation.diagnosis import format_diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.training.load import load_tables

EXAMPLE = """example:
  premodel doctor profile.db

First stands why a premodel is not worth it, where that is so, then the advice: what premodel train packages with its
default options, by the same training and the same test, or one candidate alone. Everything is cross-validated;
intervals are 95 %; a permuted control shows what a score reaches by chance. With more than 3,000 samples, confidence
and features are looked at on a stratified subsample of 3,000.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("store", metavar="S", help="the profile")
    add_criterion(parser)
    add_seed(parser)
    parser.add_argument("--device", metavar="NAME", help="whose timings (default: this machine's, or the only ones)")
    add_timings(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Diagnose, advice first."""
    tables = load_tables(args.store, device=args.device, timings=args.timings)
    diagnosis = diagnose(tables, args.criterion or tables.criteria[0], seed=args.seed)
    if args.json:
        print(json.dumps(diagnosis.to_json(), allow_nan=False))
    else:
        points = [Point(one.name, one.latency_ms, one.accuracy) for one in diagnosis.candidates]
        points += [
            Point(one.policy, one.no_loss.latency_ms, one.no_loss.accuracy, premodel=True)
            for one in diagnosis.reachable
        ]
        print("\n".join([*format_diagnosis(diagnosis), *terminal_picture(points)]))
    return 0
