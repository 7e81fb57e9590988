"""`premodel profile`: measure every candidate on every labelled image."""

from __future__ import annotations

import argparse
import json
import shlex
import sys

from premodel.cli.common import TerminalProgress, add_seed
from premodel.cli.data_options import add_data_options, read_data
from premodel.cli.durations import INTERRUPTED_CODE, add_soak_options, soak_options
from premodel.cli.store_table import format_summary
from premodel.cli.trust import add_trust
from premodel.profiling.meters.meters import AUTO
from premodel.profiling.profile import PASSES, ProfileOptions, ProfileReport, profile
from premodel.redact import redacted_url
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.zoo.manifest import read_zoo
from premodel.zoo.trust import require_trust

SHOWN_UNREADABLE = 5
EXAMPLE = """example:
  premodel profile zoo.toml images --labels labels.csv --store profile.db

The same command resumes a run that was broken off, and does only what is missing: predictions, timings and features
are kept by the content of models and images. DATA is a folder per class, a CSV or Parquet table with path,label, a
folder with --labels, or Hugging Face style Parquet. A label is an index into the zoo's list, a name in it, or the
WordNet id at the start of its line. STORE is a file of SQLite, or an SQLAlchemy URL.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("zoo", metavar="ZOO.toml", help="manifest of the candidates")
    parser.add_argument("data", metavar="DATA", help="labelled images or texts")
    parser.add_argument("--labels", metavar="F", help="table with path,label, or text file of: name label")
    parser.add_argument("--store", required=True, metavar="S", help="where the profile is kept")
    add_trust(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="so many images, drawn at random, the same every time")
    parser.add_argument(
        "--threads", type=int, metavar="T", help="threads of every candidate (default: the manifest's, 1)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, metavar="N", help="processes for predictions and features")
    where.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="do predictions and features on all cores of a Ray cluster: local, auto, or HOST:PORT of its head; "
        "timings are always taken here",
    )
    parser.add_argument("--only", choices=PASSES, help="one of the four passes")
    parser.add_argument(
        "--retime",
        nargs="?",
        const="invalid",
        default="",
        choices=["invalid", "all"],
        help="measure INVALID timings again, or all",
    )
    parser.add_argument(
        "--max-timing-seconds",
        type=float,
        default=120.0,
        metavar="X",
        help="cap on the timing pass, and on the energy pass after its first five rounds (default: 120)",
    )
    parser.add_argument(
        "--energy",
        default=AUTO,
        metavar="auto|off|METER",
        help="energy meter: hwmon:CHIP[/RAIL+RAIL], rapl, rapl:psys, nvml, nvml:N, zeus; several with commas "
        "(default: auto, the first that proves itself)",
    )
    parser.add_argument(
        "--penultimate",
        metavar="CANDIDATE",
        help="keep besides what the last layer of this ONNX candidate is fed with: `reproduce` makes the paper's CNN "
        "premodel of it",
    )
    parser.add_argument(
        "--embedding",
        action="store_true",
        help="of texts: add the 256 numbers of an embedding to the features (extra embeddings)",
    )
    add_soak_options(parser, "then run every candidate")
    parser.add_argument(
        "--full",
        action="store_true",
        help="every candidate on every image: with 10 candidates or more and 400 images or more, those that others "
        "stand in for are left out otherwise, and named",
    )
    parser.add_argument("--device", metavar="NAME", help="name under which timings are kept (default: this machine's)")
    add_data_options(parser)
    add_seed(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Profile, then show what the store holds."""
    options = ProfileOptions(
        passes=(args.only,) if args.only else PASSES,
        limit=args.limit,
        threads=args.threads,
        workers=args.workers,
        ray=args.ray,
        retime=args.retime,
        max_timing_seconds=args.max_timing_seconds,
        energy=args.energy,
        device=args.device,
        penultimate=args.penultimate,
        embedding=args.embedding,
        soak=soak_options(args),
        full=args.full,
        seed=args.seed,
        command=shlex.join(["premodel", *map(redacted_url, sys.argv[1:])]),
    )
    options.check()
    zoo = read_zoo(args.zoo, require_files=True, trust_python=args.trust_python)
    require_trust(zoo.candidates, args.zoo)
    dataset = read_data(args, args.data, args.labels, zoo.labels, zoo.task)
    progress = TerminalProgress()
    try:
        report = profile(zoo, dataset, args.store, options, progress)
        with Store(args.store) as store:
            summary = summarise_store(store, report.device if report.timings else None)
    finally:
        progress.end()
    _say_unreadable(report, dataset.domain.plural)
    if args.json:
        rows = {"candidates": summary.to_json()["candidates"], "decode_ms": summary.decode_ms}
        print(json.dumps({**report.to_json(), "store": summary.store, **rows}))
    else:
        print(format_summary(summary))
        print("".join(f"{line}\n" for line in (report.soak.lines if report.soak else ())), end="")
    return INTERRUPTED_CODE if report.soak is not None and report.soak.ended else 0


def _say_unreadable(report: ProfileReport, plural: str) -> None:
    unreadable = report.unreadable
    if not unreadable:
        return
    print(f"{len(unreadable)} of {report.rows} {plural} could not be read:", file=sys.stderr)
    for name, reason in list(unreadable.items())[:SHOWN_UNREADABLE]:
        print(f"  {name}: {reason}", file=sys.stderr)
    if len(unreadable) > SHOWN_UNREADABLE:
        print(f"  and {len(unreadable) - SHOWN_UNREADABLE} more, listed by: premodel profile --json", file=sys.stderr)
