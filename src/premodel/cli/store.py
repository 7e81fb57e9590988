"""`premodel store info|export`: show or export a profile."""

from __future__ import annotations

import argparse
import json

from premodel.cli.store_table import format_summary
from premodel.store.engines import store_name
from premodel.store.export import export
from premodel.store.store import Store
from premodel.store.summary import summarise_store

INFO_EXAMPLE = """example:
  premodel store info profile.db
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
    info.add_argument("--json", action="store_true", help="one JSON object on stdout")
    line = "write the profile to a file or another store"
    out = actions.add_parser("export", help=line, description=line, epilog=EXPORT_EXAMPLE, formatter_class=raw)
    out.add_argument("store", metavar="S", help="file, or SQLAlchemy URL")
    out.add_argument("--to", required=True, metavar="TARGET", help="FILE.parquet, FILE.csv, FILE.db or URL")
    out.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    with Store(args.store) as store:
        if args.action == "info":
            summary = summarise_store(store, args.device)
            print(json.dumps(summary.to_json()) if args.json else format_summary(summary))
        else:
            rows = export(store, args.to)
            to = store_name(args.to)
            what = {"store": store.name, "to": to, "rows": rows}
            print(json.dumps(what) if args.json else f"{rows} rows written to {to}")
    return 0
