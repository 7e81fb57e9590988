"""`premodel demo`: the whole job on the embedded scenes and networks."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from premodel.cli.common import TerminalProgress, add_seed
from premodel.demo.demo import run_demo
from premodel.demo.folder import BENCH, REPORT, STORE
from premodel.demo.state import DEFAULT_IMAGES, DEFAULT_OUT, DOMAINS, Demo, DemoOptions
from premodel.evaluation.rows import Row
from premodel.runtime.conditions import usable_cores
from premodel.verdict import interval, points

MAX_WORKERS = 4
EXAMPLE = """example:
  premodel demo --out demo

Draws digits in street scenes, profiles five small networks on them, selects models and features, trains and
cross-validates premodels, bundles the better one, runs it for real, and writes report.html. The same command takes up
where a broken-off one ended. With --domain text: from which package's documentation is a sentence (numpy, scipy,
scikit-learn, as they are installed here), answered by three models that the demo fits on other files.
"""
HEADER = ("", "accuracy, %", "ms by profile", "ms in real runs", "speed-up", "accuracy difference, points")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--out", default=DEFAULT_OUT, metavar="DIR", help=f"for all results (default: {DEFAULT_OUT})")
    parser.add_argument(
        "--domain", default=DOMAINS[0], choices=DOMAINS, help="what inputs are (default: image, scenes with digits)"
    )
    parser.add_argument(
        "--images", type=int, default=DEFAULT_IMAGES, metavar="N", help=f"scenes, or texts (default: {DEFAULT_IMAGES})"
    )
    add_seed(parser, "of the scenes and all else")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run it, then one table, one sentence, and where everything is."""
    workers = min(MAX_WORKERS, usable_cores())
    options = DemoOptions(Path(args.out), args.images, args.seed, workers=workers, domain=args.domain)
    progress = TerminalProgress()
    try:
        demo = run_demo(options, progress)
    finally:
        progress.end()
    print(json.dumps(demo.to_json()) if args.json else format_demo(demo))
    return 0


def format_demo(demo: Demo) -> str:
    """The table, the sentence, the paths, the next step."""
    own = f"random mix at {demo.chosen.name}'s latency"
    rows = [row for row in demo.evaluation.rows if row.policy != "random-mix" or row.name == own]
    folder = demo.folder
    example, premodel, trust = next(iter(demo.bench_dataset.names)), command(), ""
    if demo.of_texts:
        trust = " --trust-python"
    return "\n".join(
        [
            "",
            f"{len(demo.tables)} {demo.noun}, {demo.evaluation.folds}-fold cross-validation, 95 % intervals",
            _table(rows, _real_ms(demo)),
            "",
            demo.verdict,
            "",
            f"report   {folder / REPORT}",
            f"bundle   {folder / demo.bundle}",
            f"profile  {folder / STORE}",
            "",
            f"Try it:  {premodel} predict {folder / demo.bundle} {folder / BENCH / example} --explain{trust}",
            *_next_steps(premodel, of_texts=demo.of_texts),
        ]
    )


def _next_steps(premodel: str, *, of_texts: bool) -> list[str]:
    """The same with models and inputs of one's own; the manifest of Python callables is written by hand."""
    if of_texts:
        lines, data, trust = (
            ["Your own models and texts (zoo.toml as in docs/texts.md):"],
            "TEXTS.csv",
            " --trust-python",
        )
        lines.append(f"  {premodel} zoo check zoo.toml {data}{trust}")
    else:
        lines, data, trust = ["Your own models and images:"], "IMAGES", ""
        lines.append(f"  {premodel} zoo init MODEL... --labels LABELS --data {data} --out zoo.toml")
    return [
        *lines,
        f"  {premodel} profile zoo.toml {data} --store profile.db{trust}",
        f"  {premodel} report profile.db --out report.html",
        f"  {premodel} train profile.db --out mine.premodel",
    ]


def command() -> str:
    """How to call premodel from here: by its name, or by its path where the shell does not find it (scripts/demo)."""
    called = Path(sys.argv[0])
    if shutil.which("premodel") or called.name != "premodel" or not called.is_file():
        return "premodel"
    return min(str(called), os.path.relpath(called), key=len)


def _real_ms(demo: Demo) -> dict[str, float]:
    """Mean of the real runs by row; the bundle's stand in the row of its policy."""
    if demo.bench is None:
        return {}
    return {demo.chosen.name if row.kind == "premodel" else row.name: row.latency_ms for row in demo.bench.rows}


def _table(rows: list[Row], real_ms: dict[str, float]) -> str:
    order = {"single": 0, "baseline": 1, "premodel": 2}
    ranked = sorted(rows, key=lambda row: (order[row.kind], row.latency_ms))
    lines = [HEADER, *(_cells(row, real_ms) for row in ranked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    for position, line in enumerate(lines):
        kind = ranked[position - 1].kind if position else None
        if position and (position == 1 or ranked[position - 2].kind != kind):
            text.append("-" * (sum(widths) + 2 * (len(widths) - 1)))
        cells = [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def _cells(row: Row, real_ms: dict[str, float]) -> tuple[str, ...]:
    low, high = (100 * bound for bound in row.accuracy_ci)
    return (
        row.name,
        f"{100 * row.accuracy:.1f} [{low:.1f}, {high:.1f}]",
        f"{row.latency_ms:.3f}",
        f"{real_ms[row.name]:.3f}" if row.name in real_ms else "",
        f"{row.speedup_vs_best:.2f}x",
        f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}",
    )
