"""`premodel compare`: two premodels on the same labelled inputs."""

from __future__ import annotations

import argparse
import json

from premodel.cli.common import TerminalProgress
from premodel.cli.data_options import data_notes, read_data
from premodel.cli.real_runs import add_run_options, conditions_here, figure_notes, run_bounds
from premodel.evaluation.compare import Comparison, Side, compare_premodels
from premodel.runtime.conditions import OtherLoad
from premodel.runtime.engine import Premodel

EXAMPLE = """example:
  premodel compare old.premodel new.premodel images --labels labels.csv

Both answer every input, in random order, from encoded bytes to the answer. The difference of accuracy and the speed-up
are paired, input by input, with 95 % intervals, and what is stated is stated of the second premodel. Give inputs that
neither was trained on: on its own a premodel looks better than it is.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("first", metavar="A.premodel", help="the premodel that the other is compared with")
    parser.add_argument("second", metavar="B.premodel", help="the premodel that is judged")
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run both, then show the difference, its verdict first."""
    progress = TerminalProgress()
    given = {"threads": args.threads, "zoo": args.zoo, "trust_python": args.trust_python}
    with Premodel(args.first, **given) as first, Premodel(args.second, **given) as second:
        bundle = first.bundle
        dataset = read_data(args, args.data, args.labels, bundle.label_names, bundle.domain.task)
        load = OtherLoad()
        try:
            result = compare_premodels(first, second, dataset, **run_bounds(args), progress=progress)
        finally:
            progress.end()
        conditions = conditions_here(args, load)
    for note in (*data_notes(dataset), *figure_notes(result.unreadable, dataset.domain.plural, conditions)):
        progress.note(note)
    if args.json:
        print(json.dumps({**result.to_json(), "conditions": conditions}))
    else:
        print("\n".join(_lines(result, dataset.domain.plural, conditions["device"])))
    return 0


def _lines(result: Comparison, inputs: str, device: str) -> list[str]:
    """For people."""
    n = result.verdict.samples
    lines = [
        result.sentence,
        "",
        f"{n} {inputs}, {result.criterion}, {result.passes} passes, {device}",
        f"right in {result.second.name} alone: {result.gained}; right in {result.first.name} alone: {result.lost}; "
        f"another answer: {result.changed}",
    ]
    width = max(len(side.name) for side in (result.first, result.second))
    sides = (result.first, result.second)
    why = [f"latency of {one.name} is INVALID: {one.timing.reason}" for one in sides if not one.timing.valid]
    return [*lines, *(_side(side, width) for side in sides), *why]


def _side(side: Side, width: int) -> str:
    low, high = (100 * bound for bound in side.accuracy_ci)
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in side.share.items() if share > 0)
    verdict = "VALID" if side.timing.valid else "INVALID"
    coverage = f"; coverage {100 * side.coverage:.1f} %" if side.coverage < 1 else ""
    return (
        f"{side.name.ljust(width)}  {100 * side.accuracy:.1f} [{low:.1f}, {high:.1f}] %  "
        f"{side.timing.mean_ms:.2f} ms {verdict}; {side.policy}: {shares}{coverage}"
    )
