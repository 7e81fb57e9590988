"""`premodel evaluate`: cross-validate premodels and baselines on a profile."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from premodel.cli.class_floors import class_json, class_lines
from premodel.cli.common import TerminalProgress, format_rows, guarantee_json, guarantee_lines
from premodel.cli.picture import Point, terminal_picture
from premodel.cli.train_options import (
    add_train_options,
    class_floors,
    judged,
    policy_help,
    train_options,
    with_cost_matrix,
)
from premodel.errors import OptionError
from premodel.evaluation.evaluate import Evaluation, evaluate
from premodel.evaluation.final_test import ENGINE, SINGLE
from premodel.evaluation.rows import Row
from premodel.runtime.conditions import usable_cores
from premodel.training.load import load_tables
from premodel.training.options import DEFAULT_POLICY
from premodel.training.policies.registry import TRAINERS
from premodel.training.train import check_options

MAX_WORKERS = 8
"""Each holds the whole profile."""
EXAMPLE = """example:
  premodel evaluate profile.db --policy paper --policy select

Everything a premodel fits is fitted on the training folds alone. Speed-up and accuracy difference are against the most
accurate single candidate, with a 95 % paired bootstrap interval; the verdict also compares with the random mix of
single candidates at the premodel's own latency. An abstention counts as wrong. A fold whose samples do not allow the
guarantee or floor of a class asked for is served by its best single candidate alone, and counted.
"""
DEFAULT_POLICIES = (DEFAULT_POLICY,)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("store", metavar="S", help="the profile")
    parser.add_argument(
        "--policy",
        action="append",
        choices=tuple(TRAINERS),
        metavar="P",
        help=f"{policy_help()}; may repeat (default: {' and '.join(DEFAULT_POLICIES)})",
    )
    add_train_options(parser)
    parser.add_argument("--folds", type=int, default=10, metavar="K", help="default: 10")
    parser.add_argument(
        "--workers", type=int, metavar="N", help=f"processes that train (default: one per core, at most {MAX_WORKERS})"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Evaluate, then show the comparison, its result first."""
    if args.folds < 2:
        raise OptionError("too few folds", given=args.folds, allowed="2 or more")
    if args.workers is not None and args.workers < 1:
        raise OptionError("too few workers", given=args.workers, allowed="1 or more")
    workers = args.workers or min(usable_cores(), MAX_WORKERS)
    premodels = {policy: train_options(args, policy) for policy in _policies(args)}
    for options in premodels.values():
        check_options(options)
    tables = with_cost_matrix(load_tables(args.store, device=args.device, timings=args.timings), args)
    premodels = judged(premodels, args, tables)
    progress = TerminalProgress()

    def show(done: int, total: int, name: str) -> None:
        if done == 1:
            progress.begin("cross-validation", total, "fit")
        progress.advance()
        progress.describe(name)

    try:
        evaluation = evaluate(
            tables,
            premodels,
            criterion=next(iter(premodels.values())).criterion,
            folds=args.folds,
            seed=args.seed,
            workers=workers,
            progress=show,
        )
    finally:
        progress.end()
    if args.json:
        floors_json = class_json(evaluation, tables, class_floors(args))
        print(json.dumps(evaluation.to_json() | guarantee_json(evaluation, args.guarantee) | floors_json))
    else:
        points = [
            Point(row.name, row.latency_ms, row.accuracy, row.kind == "premodel")
            for row in evaluation.rows
            if row.kind != "baseline"
        ]
        promised = guarantee_lines(evaluation, args.guarantee)
        of_classes = class_lines(evaluation, tables, class_floors(args))
        print("\n".join([format_evaluation(evaluation), *terminal_picture(points), *promised, *of_classes]))
    return 0


def _policies(args: argparse.Namespace) -> list[str]:
    """The policies named, each once; or the default, of which those remain that can carry the guarantee asked for."""
    if args.policy:
        return list(dict.fromkeys(args.policy))
    return [policy for policy in DEFAULT_POLICIES if args.guarantee is None or TRAINERS[policy].has_operating_points]


def format_evaluation(evaluation: Evaluation) -> str:
    """The result, the table, and what the cross-validation states beyond it."""
    lines = [
        *(f"warning: {warning}" for warning in evaluation.warnings),
        evaluation.headline,
        *([evaluation.hint] if evaluation.hint else []),
        *evaluation.originals,
        "",
        f"{evaluation.samples} samples, {evaluation.criterion}, {evaluation.folds} folds, seed {evaluation.seed}",
        format_rows(evaluation.rows),
        *_engine_note(evaluation),
    ]
    lines += [] if evaluation.routing is None else ["", str(evaluation.routing)]
    lines += ["", *(line for row in evaluation.rows if row.kind == "premodel" for line in _details(row))]
    return "\n".join(lines)


def _engine_note(evaluation: Evaluation) -> list[str]:
    """What the latencies of premodels leave out, where the profile measured it and one of them chooses."""
    engine_ms = evaluation.conditions.get(ENGINE)
    names = [row.name for row in evaluation.rows if row.kind == "premodel" and row.policy != SINGLE]
    if not isinstance(engine_ms, int | float) or not names:
        return []
    return [
        f"latencies of {', '.join(names)}: without the engine, {engine_ms:.3f} ms an answer and more for decisions, "
        "which the final test counts"
    ]


def _details(row: Row) -> list[str]:
    extra = row.extra
    served = ", ".join(f"{name} {100 * share:.1f} %" for name, share in row.served.items())
    return [
        f"{row.name}: answers by {served}",
        *(_of_labels(extra) if "accuracy_top1" in extra else ()),
        f"  optimum chosen on {100 * extra['optimum_share']:.1f} % of samples; union of the candidates it may run "
        f"{100 * extra['union']:.1f} %",
        f"  geometric mean over folds: accuracy {100 * extra['accuracy_geomean_folds']:.1f} %, latency "
        f"{extra['latency_geomean_folds_ms']:.2f} ms",
    ]


def _of_labels(extra: Mapping[str, Any]) -> list[str]:
    """The figures that only labels have."""
    return [
        f"  top-1 {100 * extra['accuracy_top1']:.1f} %, top-5 {100 * extra['accuracy_top5']:.1f} %, macro precision "
        f"{extra['precision_macro']:.3f}, recall {extra['recall_macro']:.3f}, F1 {extra['f1_macro']:.3f}"
    ]
