"""`premodel report`: one self-contained HTML page about a profile."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from premodel.cli.class_floors import class_json, class_lines
from premodel.cli.common import TerminalProgress, guarantee_json, guarantee_lines, output_file
from premodel.cli.train_options import (
    add_train_options,
    class_floors,
    judged,
    policy_help,
    train_options,
    with_cost_matrix,
)
from premodel.errors import OptionError
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.peer_curves import peer_curves
from premodel.evaluation.report.page import Report, require_report_packages, verdicts, write_report
from premodel.evaluation.report.stored import StoredImages, stored_runs
from premodel.store.engines import store_name
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.options import DEFAULT_POLICY
from premodel.training.policies.registry import TRAINERS
from premodel.training.train import check_options

EXAMPLE = """example:
  premodel report profile.db --out report.html

Cross-validates as `premodel evaluate` does, and writes the result as one file that opens from disk, offline. Pictures
are put in if the images are still where they were profiled; nothing is run again.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("store", metavar="S", help="the profile")
    parser.add_argument("--out", required=True, metavar="F.html", help="the page to write")
    parser.add_argument(
        "--policy", action="append", choices=tuple(TRAINERS), metavar="P", help=f"{policy_help()}; may repeat"
    )
    add_train_options(parser)
    parser.add_argument("--folds", type=int, default=10, metavar="K", help="default: 10")
    parser.add_argument("--title", metavar="T", help="heading (default: the store's name)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the page, say its first line."""
    if args.folds < 2:
        raise OptionError("too few folds", given=args.folds, allowed="2 or more")
    out = output_file(args.out, "report")
    require_report_packages()
    premodels = {policy: train_options(args, policy) for policy in args.policy or [DEFAULT_POLICY]}
    for options in premodels.values():
        check_options(options)
    progress = TerminalProgress()

    def show(done: int, total: int, name: str) -> None:
        if done == 1:
            progress.begin("cross-validation", total, "fit")
        progress.advance()
        progress.describe(name)

    with Store(args.store) as store:
        tables = with_cost_matrix(load_tables(store, device=args.device, timings=args.timings), args)
        premodels = judged(premodels, args, tables)
        criterion = next(iter(premodels.values())).criterion
        device = tables.conditions.get("device")
        runs_ms, find = stored_runs(store, None if device is None else str(device)), StoredImages(store)
    objective = next(iter(premodels.values())).objective
    try:
        evaluation = evaluate(tables, premodels, criterion=criterion, folds=args.folds, seed=args.seed, progress=show)
        progress.begin("peers", 1, "comparison")
        peers = peer_curves(tables, criterion, objective, folds=args.folds, seed=args.seed)
        progress.advance()
    finally:
        progress.end()
    title = args.title or f"premodel report: {Path(store_name(args.store)).name}"
    floors = class_floors(args)
    of_classes = class_lines(evaluation, tables, floors)
    report = Report(title, evaluation, tables, objective, peers, find, runs_ms=runs_ms, class_floors=of_classes)
    size = write_report(report, out)
    verdict, sentence = verdicts(evaluation.rows, objective)[0]
    peer = report.best_peer
    if args.json:
        written = {
            "report": str(out),
            "bytes": size,
            "outcome": verdict.outcome,
            "verdict": sentence,
            "best_peer": peer,
        }
        promised = {**guarantee_json(evaluation, args.guarantee), **class_json(evaluation, tables, floors)}
        print(json.dumps({**written, **evaluation.to_json(), **promised}))
    else:
        said = [f"warning: {warning}" for warning in evaluation.warnings]
        said += [
            sentence,
            *([evaluation.hint] if evaluation.hint else []),
            *evaluation.originals,
            *([peer] if peer else []),
        ]
        said += [*guarantee_lines(evaluation, args.guarantee), *of_classes]
        print("\n".join(said))
        print(f"wrote {out} ({size:,} bytes)")
    return 0
