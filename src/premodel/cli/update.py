"""`premodel update`: train a premodel anew on newer samples, and package it if it is no worse."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from premodel.cli.common import add_seed, output_file
from premodel.errors import OptionError
from premodel.evaluation.update import options_of, refusal, update
from premodel.runtime.bundle import read_bundle
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.training.package import package
from premodel.training.policies.registry import TRAINERS

EXAMPLE = """example:
  premodel profile zoo.toml new-photos --labels new-photos/labels.csv --store new.db
  premodel update edge.premodel new.db --out edge2.premodel
  premodel compare edge.premodel edge2.premodel later-photos --labels later-photos/labels.csv

The policy, objective and criterion are those that the old premodel was trained by. Every sample is answered by the old
premodel as it is and by a new one that was not fitted on it; the new one, fitted on all of them, is packaged unless it
is shown to be worse. Give samples that the old one was not trained on: on its own it looks better than it is.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="OLD.premodel", help="the premodel to be replaced")
    parser.add_argument("store", metavar="S", help="a profile of newer samples, with its candidates")
    parser.add_argument("--out", required=True, metavar="NEW.premodel", help="the bundle to write")
    parser.add_argument("--policy", choices=tuple(TRAINERS), metavar="P", help="another policy than the old one's")
    parser.add_argument(
        "--margin", type=float, metavar="P", help="points that the accuracy may be lower at most, with 95 %% confidence"
    )
    add_seed(parser)
    parser.add_argument("--device", metavar="NAME", help="whose timings (default: this machine's, or the only ones)")
    parser.add_argument("--embed", action="store_true", help="put the model files into the bundle")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Train, compare, and package what is no worse."""
    out = output_file(args.out, "bundle")
    if args.margin is not None and not 0 <= args.margin <= 100:
        raise OptionError("wrong margin", given=args.margin, allowed="points from 0 to 100")
    old = read_bundle(Path(args.bundle))
    options = dataclasses.replace(options_of(old), seed=args.seed)
    if args.policy is not None:
        options = dataclasses.replace(options, policy=args.policy)
    with Store(args.store) as store:
        tables = load_tables(store, device=args.device)
        candidates = load_candidates(store)
    found = update(old, tables, options, margin=args.margin, tell=lambda doing: print(doing, file=sys.stderr))
    if found.refused:
        raise refusal(found)
    bundle = package(found.trained, tables, candidates, options, out, embed=args.embed, test=found.to_json())
    if args.json:
        written = {"bundle": str(out), "bytes": out.stat().st_size, "policy": bundle.policy.kind}
        summary = {"samples": len(tables), "summary": list(found.trained.summary)}
        print(json.dumps({**written, **summary, **found.to_json()}, allow_nan=False))
        return 0
    for line in (*found.trained.summary, found.sentence):
        print(line)
    print(f"wrote {out} ({out.stat().st_size:,} bytes); decisions checked on {len(tables)} samples")
    return 0
