"""`premodel update`: a premodel from newer samples or from a server's records, packaged if it is no worse."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from premodel.cli.common import add_seed, output_file
from premodel.cli.trust import add_trust
from premodel.errors import OptionError
from premodel.evaluation.recorded import LIMIT, read_recorded
from premodel.evaluation.update import Update, options_of, refusal, update
from premodel.evaluation.update_records import labelled_tables, update_from_records
from premodel.runtime.bundle import Bundle, read_bundle
from premodel.runtime.engine import Premodel
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import is_record_store
from premodel.store.soaks import BURST
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.training.options import TrainOptions
from premodel.training.package import package
from premodel.training.policies.registry import TRAINERS

EXAMPLE = """example:
  premodel profile zoo.toml new-photos --labels new-photos/labels.csv --store new.db
  premodel update edge.premodel new.db --out edge2.premodel
  premodel compare edge.premodel edge2.premodel later-photos --labels later-photos/labels.csv
  premodel update edge.premodel records.db --out edge2.premodel   # what serve --record kept, fifty of it labelled

The policy, objective and criterion are those that the old premodel was trained by. Every sample is answered by the old
premodel as it is and by a new one that was not fitted on it; the new one, fitted on all of them, is packaged unless it
is shown to be worse. Give samples that the old one was not trained on: on its own it looks better than it is.

From records (serve --record) a cascade is recalibrated, or trained anew where that is better on held-out labels: its
candidates are run on the records here, labelled or not, and latencies stay those of the old profile.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="OLD.premodel", help="the premodel to be replaced")
    parser.add_argument("store", metavar="S", help="a profile of newer samples with its candidates, or a record store")
    parser.add_argument("--out", required=True, metavar="NEW.premodel", help="the bundle to write")
    parser.add_argument("--policy", choices=tuple(TRAINERS), metavar="P", help="another policy than the old one's")
    parser.add_argument(
        "--margin", type=float, metavar="P", help="points that the accuracy may be lower at most, with 95 %% confidence"
    )
    add_seed(parser)
    records = parser.add_argument_group("of records")
    records.add_argument("--limit", type=int, metavar="N", help="newest records without a label (default: 1000)")
    records.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    add_trust(parser)
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
    if is_record_store(args.store):
        return _from_records(args, old, options, out)
    if args.limit is not None or args.zoo is not None:
        raise OptionError("--limit and --zoo are for records", given=args.store, allowed="a record store")
    with Store(args.store) as store:
        tables = load_tables(store, device=args.device, timings=str(old.conditions.get("timings", BURST)))
        candidates = load_candidates(store)
    found = update(old, tables, options, margin=args.margin, tell=lambda doing: print(doing, file=sys.stderr))
    if found.refused:
        raise refusal(found)
    bundle = package(found.trained, tables, candidates, options, out, embed=args.embed, test=found.to_json())
    return _report(args, found, bundle, out, len(tables), len(tables))


def _from_records(args: argparse.Namespace, old: Bundle, options: TrainOptions, out: Path) -> int:
    """Run the candidates on the records, adapt, compare, and package what is no worse."""
    if args.limit is not None and args.limit < 0:
        raise OptionError("wrong limit", given=args.limit, allowed="records, 0 or more")

    def tell(doing: str) -> None:
        print(doing, file=sys.stderr)

    with (
        RecordStore(args.store) as store,
        Premodel(args.bundle, zoo=args.zoo, trust_python=args.trust_python) as premodel,
    ):
        recorded = read_recorded(premodel, store, LIMIT if args.limit is None else args.limit, tell)
        if recorded.unreadable:
            tell(f"{recorded.unreadable} records left out: no candidate can answer them")
        found = update_from_records(old, recorded, options, margin=args.margin, tell=tell)
        if found.refused:
            raise refusal(found)
        bundle = package(
            found.trained, labelled_tables(recorded), premodel.candidates_here(), options, out,
            embed=args.embed or bool(old.embedded), test=found.to_json(), stream=recorded.tables,
        )  # fmt: skip
    return _report(args, found, bundle, out, len(recorded.tables), len(recorded.rows))


def _report(args: argparse.Namespace, found: Update, bundle: Bundle, out: Path, samples: int, labelled: int) -> int:
    """What was done, for people or machines."""
    if args.json:
        written = {"bundle": str(out), "bytes": out.stat().st_size, "policy": bundle.policy.kind}
        summary = {"samples": samples, "labelled": labelled, "summary": list(found.trained.summary)}
        print(json.dumps({**written, **summary, **found.to_json()}, allow_nan=False))
        return 0
    for line in (*found.trained.summary, found.sentence):
        print(line)
    print(f"wrote {out} ({out.stat().st_size:,} bytes); decisions checked on {samples} samples")
    return 0
