"""`premodel reproduce`: the paper's study on a profile of one's own, each result beside the paper's number."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from premodel.cli.common import TerminalProgress, add_seed
from premodel.errors import OptionError
from premodel.evaluation.report.page import require_report_packages
from premodel.evaluation.report.stored import StoredImages
from premodel.paper.corpus import load_corpus
from premodel.paper.reproduce import plan_of, reproduce
from premodel.paper.studies import STUDIES, USUAL
from premodel.paper.write import DATA, PAGE, TABLES, check_folder, write_files
from premodel.store.engines import store_name
from premodel.store.store import Store
from premodel.training.greedy_removal import TARGET
from premodel.training.load import load_tables
from premodel.training.penultimate import load_penultimate

STUDY_LINES = "\n".join(
    f"{plan.name} ({plan.publication}): {', '.join(plan.experiments)}." for plan in STUDIES.values()
)
EXAMPLE = f"""example:
  premodel reproduce profile.db --out reproduction

Runs every experiment of a published study on the profile, cross-validated, without running a network.
{STUDY_LINES}
Writes {DATA}, {PAGE} (one file, opens offline) and {TABLES}/*.csv into the folder. Files there of another origin
are never overwritten.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("store", metavar="S", help="the profile")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to; made if absent")
    parser.add_argument(
        "--study", metavar="NAME", choices=tuple(STUDIES), default=USUAL,
        help=f"lctes18, the paper's, for labels; tecs19, its follow-up's of translation (default: {USUAL})",
    )  # fmt: skip
    parser.add_argument(
        "--criterion", metavar="C", choices=[one for plan in STUDIES.values() for one in plan.criteria],
        help="what a good answer is: top1 or top5; of translations bleu, rouge or f1 (default: the first)",
    )  # fmt: skip
    parser.add_argument(
        "--features", type=int, metavar="N",
        help=f"features to keep (default: {TARGET}; tecs19: all that their correlation leaves)",
    )  # fmt: skip
    parser.add_argument("--folds", type=int, default=10, metavar="K", help="default: 10")
    add_seed(parser)
    parser.add_argument("--device", metavar="NAME", help="whose timings (default: this machine's, or the only ones)")
    parser.add_argument("--title", metavar="T", help="heading of the page (default: the store's name)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Reproduce, write, say the verdict first."""
    if args.folds < 2:
        raise OptionError("too few folds", given=args.folds, allowed="2 or more")
    if args.features is not None and args.features < 1:
        raise OptionError("wrong number of features to keep", given=args.features, allowed="1 or more")
    require_report_packages()
    out = Path(args.out)
    with Store(args.store) as store:
        tables = load_tables(store, device=args.device)
        plan = plan_of(args.study)
        plan.refuse(tables, args.criterion or plan.criteria[0])
        corpus = load_corpus(store, tables) if plan.task is not None else None
        penultimate = load_penultimate(store, tables)
        find = StoredImages(store)
    check_folder(out)
    progress = TerminalProgress()
    progress.begin("reproduce", len(plan.experiments), "experiment")
    begun = [False]

    def show(experiment: str, word: str) -> None:
        if not word and begun[0]:
            progress.advance()
        begun[0] = True
        progress.describe(f"{experiment}: {word}" if word else experiment)

    try:
        found = reproduce(
            tables,
            study=plan.name,
            criterion=args.criterion,
            folds=args.folds,
            seed=args.seed,
            features=args.features,
            penultimate=penultimate,
            corpus=corpus,
            progress=show,
        )
        progress.advance()
    finally:
        progress.end()
    title = args.title or f"Reproduction: {Path(store_name(args.store)).name}"
    files = write_files(found, out, title, find)
    if args.json:
        print(json.dumps(json.loads((out / DATA).read_text(encoding="utf-8"))))
        return 0
    print(found.verdict)
    for result in found.results:
        print(f"{result.title}: {result.finding}")
    print(f"wrote {out / PAGE} ({(out / PAGE).stat().st_size:,} bytes), {DATA} and {len(files) - 2} tables")
    return 0
