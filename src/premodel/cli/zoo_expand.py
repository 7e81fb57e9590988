"""`premodel zoo expand`: cheaper siblings of a zoo's models."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from premodel.cli.data_options import add_data_options, data_notes, read_data
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.expand.expand import (
    DEFAULT_CALIBRATION,
    DEFAULT_CHECKED,
    DEFAULT_MAX_LOSS,
    ExpandOptions,
    Expansion,
    expand,
)
from premodel.zoo_tools.expand.plan import KINDS

EXAMPLE = """example:
  premodel zoo expand zoo.toml images --labels labels.csv --out expanded.toml
  premodel zoo expand zoo.toml images --labels labels.csv --out expanded.toml --only int8,half

kinds of siblings: {kinds}

A sibling that is broken, whose accuracy collapsed, or that is no faster than its original on this machine is named
and left out. Images that were calibrated on are listed beside the new manifest, and profile leaves them out. Broken
off, the same command goes on.""".format(kinds="; ".join(f"{name} ({line})" for name, line in KINDS.items()))


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = "Make cheaper siblings of the models of a zoo, check them, and write a manifest with both."
    parser.epilog = EXAMPLE
    parser.add_argument("zoo", help="the manifest, zoo.toml; it is left as it is")
    parser.add_argument("data", help="labelled images, to calibrate on and to check siblings on")
    parser.add_argument("--labels", help="labels of the images, where the data set needs them")
    parser.add_argument("--out", type=Path, required=True, help="the manifest to write; models go into a folder beside")
    parser.add_argument("--only", type=_kinds, default=(), metavar="KIND,...", help="make only these kinds")
    parser.add_argument("--without", type=_kinds, default=(), metavar="KIND,...", help="make none of these kinds")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="models worked on at a time (default 1)")
    parser.add_argument(
        "--calibration", type=int, default=DEFAULT_CALIBRATION, metavar="N",
        help=f"images to calibrate on, at most a quarter of those there are (default {DEFAULT_CALIBRATION})",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_CHECKED, metavar="N",
        help=f"images to check siblings on, drawn at random (default {DEFAULT_CHECKED})",
    )  # fmt: skip
    parser.add_argument(
        "--max-loss", type=float, default=DEFAULT_MAX_LOSS, metavar="POINTS",
        help="leave out a sibling that is shown to lose more points of accuracy than this "
        f"(default {DEFAULT_MAX_LOSS:g})",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace a manifest that this command did not write")
    add_data_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Expand and print."""
    # Here, so that the other actions do without what draws it.
    from premodel.cli.common import TerminalProgress

    options = ExpandOptions(
        args.only, args.without, args.calibration, args.limit, args.max_loss, args.jobs, force=args.force
    )
    options.check()
    zoo = read_zoo(args.zoo, require_files=True)
    dataset = read_data(args, args.data, args.labels, zoo.labels)
    for note in data_notes(dataset):
        print(f"premodel zoo: {note}", file=sys.stderr)
    zoo.candidates[0].domain.set_threads(1)
    found = expand(zoo, dataset, args.out, options, TerminalProgress())
    print(json.dumps(_to_json(args, found)) if args.json else _text(args, found))
    return 0


def _kinds(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _to_json(args: argparse.Namespace, found: Expansion) -> dict[str, object]:
    return {
        "zoo": str(args.zoo),
        "out": str(found.out),
        "calibration": found.calibration,
        "checked": found.checked,
        "kept": sum(outcome.kept for outcome in found.outcomes),
        "siblings": [outcome.to_json() for outcome in found.outcomes],
        "untouched": found.untouched,
    }


def _text(args: argparse.Namespace, found: Expansion) -> str:
    kept = [outcome for outcome in found.outcomes if outcome.kept]
    lines = [f"{len(kept)} siblings kept of {len(found.outcomes)} tried, checked on {found.checked} images"]
    width = max((len(outcome.name) for outcome in found.outcomes), default=0)
    lines += [f"  {outcome.name.ljust(width)}  {outcome.figures}" for outcome in kept]
    left_out = [outcome for outcome in found.outcomes if not outcome.kept]
    if left_out:
        lines.append("left out:")
        lines += [f"  {outcome.name.ljust(width)}  {outcome.reason}" for outcome in left_out]
    lines += [f"  {name}: {reason}" for name, reason in found.untouched.items()]
    if found.calibration:
        lines.append(f"{found.calibration} images were calibrated on; profile leaves them out")
    data = " ".join(filter(None, [str(args.data), args.labels and f"--labels {args.labels}"]))
    return "\n".join([*lines, f"written: {found.out}; next: premodel profile {found.out} {data} --store S"])
