"""`premodel store info|export|import`: show or export a profile, or make one of answers measured elsewhere."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path

from premodel.cli.store_table import format_summary
from premodel.errors import OptionError, printable
from premodel.store.engines import store_name
from premodel.store.export import export
from premodel.store.store import Store
from premodel.store.summary import corpus_figures, summarise_store

INFO_EXAMPLE = """example:
  premodel store info profile.db
"""
IMPORT_EXAMPLE = """examples:
  premodel store import answers.csv --store table.db --sample id --cost latency_ms
  premodel store import answers.parquet --store table.db --sample prompt --text prompt --scores weak,strong \\
      --cost weak=1 --cost strong=30 --unit cents

A table has a row per sample and candidate (sample, candidate, score, cost), or a row per sample with a column of scores
for each candidate. Then doctor, train, evaluate and report work on the store; costs are shown as ms whatever their
unit. Nothing can be run.
"""
EXPORT_EXAMPLE = """examples:
  premodel store export profile.db --to profile.parquet
  premodel store export profile.db --to postgresql+psycopg://user@host/profiles

A .parquet or .csv file gets one row per sample; a .db file or an SQLAlchemy URL becomes a copy of the whole store.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    raw = argparse.RawDescriptionHelpFormatter
    line = "counts, accuracies, timings and conditions"
    info = actions.add_parser("info", help=line, description=line, epilog=INFO_EXAMPLE, formatter_class=raw)
    info.add_argument("store", metavar="S", help="file, or SQLAlchemy URL")
    info.add_argument("--device", metavar="NAME", help="whose timings (default: those measured last)")
    info.add_argument(
        "--corpus", action="store_true", help="of translations also BLEU and chrF of the corpus, which are no means"
    )
    info.add_argument("--json", action="store_true", help="one JSON object on stdout")
    line = "write the profile to a file or another store"
    out = actions.add_parser("export", help=line, description=line, epilog=EXPORT_EXAMPLE, formatter_class=raw)
    out.add_argument("store", metavar="S", help="file, or SQLAlchemy URL")
    out.add_argument("--to", required=True, metavar="TARGET", help="FILE.parquet, FILE.csv, FILE.db or URL")
    out.add_argument("--json", action="store_true", help="one JSON object on stdout")
    line = "make a profile of answers that were measured elsewhere"
    into = actions.add_parser("import", help=line, description=line, epilog=IMPORT_EXAMPLE, formatter_class=raw)
    into.add_argument("table", metavar="TABLE", type=Path, help="CSV, TSV or Parquet")
    into.add_argument("--store", required=True, metavar="S", help="file, or SQLAlchemy URL")
    into.add_argument("--sample", metavar="COLUMN", help="what names the sample (default: each row is one)")
    into.add_argument(
        "--scores", metavar="COLUMNS", help="columns of scores in [0, 1] or of true and false, one per candidate"
    )
    into.add_argument(
        "--candidate", default="candidate", metavar="COLUMN", help="without --scores: names the candidate"
    )
    into.add_argument("--score", default="score", metavar="COLUMN", help="without --scores: its score")
    into.add_argument("--confidence", metavar="COLUMN", help="without --scores: its own confidence, in [0, 1]")
    into.add_argument(
        "--cost", action="append", metavar="C", help="COLUMN of the cost of an answer; or NAME=NUMBER, may repeat"
    )
    into.add_argument("--unit", default="ms", metavar="U", help="of the costs: ms, mJ, cents, tokens (default: ms)")
    into.add_argument(
        "--features", metavar="COLUMNS", help="numbers, or lists of numbers, that are known before a candidate runs"
    )
    into.add_argument("--text", metavar="COLUMN", help="text of the sample, of which plain features are taken")
    into.add_argument("--words", type=int, default=0, metavar="N", help="N features of a bag of words of that text")
    into.add_argument(
        "--embedding", action="store_true", help="256 numbers of an embedding of that text (extra embeddings)"
    )
    into.add_argument("--device", metavar="NAME", help="name that the costs are kept under (default: this machine)")
    into.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    if args.action == "import":
        return _import(args)
    with Store(args.store) as store:
        if args.action == "info":
            summary = summarise_store(store, args.device)
            corpus = corpus_figures(store) if args.corpus else {}
            about = {**summary.to_json(), **({"corpus": corpus} if args.corpus else {})}
            lines = [
                f"corpus {name} of {one}: {value:.4f}" for one, own in corpus.items() for name, value in own.items()
            ]
            print(json.dumps(about) if args.json else "\n".join([format_summary(summary), *map(printable, lines)]))
        else:
            rows = export(store, args.to)
            to = store_name(args.to)
            what = {"store": store.name, "to": to, "rows": rows}
            print(json.dumps(what) if args.json else f"{rows} rows written to {to}")
    return 0


def _import(args: argparse.Namespace) -> int:
    # Here, so that the other actions do without what reads data sets.
    from premodel.profiling.table_import import ImportOptions, import_table

    columns = [one for one in args.cost or () if "=" not in one]
    if len(columns) > 1:
        raise OptionError("one column of costs", given=", ".join(columns), allowed="COLUMN, or NAME=NUMBER for each")
    options = ImportOptions(
        sample=args.sample,
        scores=_names(args.scores),
        candidate=args.candidate,
        score=args.score,
        confidence=args.confidence,
        cost=columns[0] if columns else None,
        costs=dict(_cost(one) for one in args.cost or () if "=" in one),
        features=_names(args.features),
        text=args.text,
        words=args.words,
        embedding=args.embedding,
        unit=args.unit,
        device=args.device,
    )
    with Store(args.store, create=True) as store:
        report = import_table(args.table, store, options)
    if args.json:
        print(json.dumps(asdict(report)))
    else:
        print(f"{report.answers} answers of {len(report.candidates)} candidates to {report.samples} samples imported")
    return 0


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(one.strip() for one in (text or "").split(",") if one.strip())


def _cost(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        cost = float(number)
    except ValueError:
        cost = math.nan
    if not (math.isfinite(cost) and cost > 0):
        raise OptionError("wrong cost", given=text, allowed="NAME=NUMBER, above 0")
    return name, cost
