"""The options that `train` and `evaluate` share: what is to be trained."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

from premodel.cli.common import add_criterion, add_seed
from premodel.errors import OptionError
from premodel.store.soaks import BURST, TIMINGS
from premodel.training.class_floor import ClassFloor
from premodel.training.cost_matrix import COST, read_costs, with_costs
from premodel.training.labels import LABEL_SCHEMES
from premodel.training.model_selection import THETA
from premodel.training.objective import FLOOR_FORMS, Floor, Objective
from premodel.training.options import GUARANTEE_FORM, Guarantee, TrainOptions
from premodel.training.policies.registry import TRAINERS
from premodel.training.tables import Tables
from premodel.training.train import with_slowness

USUAL = "top1"
"""The criterion until the profile is read."""


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add the choices; the policy is added by the command, because `evaluate` takes several."""
    objective = parser.add_argument_group("objective", "default: least latency at an accuracy of best")
    objective.add_argument("--min-accuracy", metavar="A", help=f"floor: {FLOOR_FORMS}")
    objective.add_argument("--max-latency-ms", type=float, metavar="X", help="ceiling of the mean, end to end")
    objective.add_argument("--cost-weight", type=float, metavar="W", help="accuracy that one ms is worth")
    objective.add_argument(
        "--max-memory-mb", type=float, metavar="X", help="ceiling of all candidates it opens, together"
    )
    objective.add_argument(
        "--deadline-ms", type=float, metavar="X", help="most answers that are right and on time: a late one is wrong"
    )
    objective.add_argument("--max-energy-mj", type=float, metavar="X", help="ceiling of the energy of one answer")
    objective.add_argument(
        "--guarantee",
        metavar="G",
        # argparse fills in help texts, so a percent sign is doubled.
        help=f"most loss to the best single candidate, as {GUARANTEE_FORM}; half of the samples calibrate it".replace(
            "%", "%%"
        ),
    )
    for measure, meaning in (
        ("recall", "of its inputs, the share answered with it"),
        ("precision", "of answers with it"),
    ):
        objective.add_argument(
            f"--min-{measure}", action="append", default=[], metavar="CLASS=S",
            help=f"floor of one class, shown on half of the samples ({meaning}); may repeat",
        )  # fmt: skip
    add_criterion(parser)
    parser.add_argument(
        "--cost-matrix", metavar="F.csv", help="what wrong answers cost: truth,answer,cost; * for every class, abstain "
        "as an answer; the criterion is then cost, 1 less the cost by the highest one",
    )  # fmt: skip
    parser.add_argument(
        "--fallback", metavar="NAME", help="candidate that answers when none is predicted right, or: abstain"
    )
    parser.add_argument(
        "--theta",
        type=float,
        default=THETA,
        metavar="P",
        help=f"least gain of Algorithm 1 in points (default: {THETA})",
    )
    parser.add_argument("--technique", metavar="T", help="of the selector, such as knn, svm, knn.svm.decision_tree")
    parser.add_argument("--labels", choices=LABEL_SCHEMES, help="what the selector is taught (default: the policy's)")
    parser.add_argument("--features", type=int, metavar="N", help="most features to keep (default: 7)")
    add_seed(parser)
    parser.add_argument("--device", metavar="NAME", help="whose timings (default: this machine's, or the only ones)")
    add_timings(parser)


def add_timings(parser: argparse.ArgumentParser) -> None:
    """Add `--timings`."""
    parser.add_argument(
        "--timings", choices=TIMINGS, default=BURST,
        help="latencies of the timing pass (burst), of the end of profile --soak (sustained), or of single requests "
        "with pauses, profile --soak --every (idle); default: burst",
    )  # fmt: skip


def with_cost_matrix(tables: Tables, args: argparse.Namespace) -> Tables:
    """The tables with the criterion `cost`, where `--cost-matrix` asks for it.

    Raises
    ------
    OptionError
        The matrix is wrong, or a criterion is asked for too.
    """
    if not args.cost_matrix:
        return tables
    if args.criterion:
        raise OptionError(
            "--cost-matrix and --criterion exclude each other", given=args.criterion, do="leave one of them out"
        )
    return with_costs(tables, read_costs(args.cost_matrix, tables.label_names))


def judged(options: Mapping[str, TrainOptions], args: argparse.Namespace, tables: Tables) -> dict[str, TrainOptions]:
    """The options with the criterion asked for, or the usual one of these tables."""
    criterion = COST if args.cost_matrix else args.criterion or tables.criteria[0]
    return {name: with_slowness(replace(one, criterion=criterion), tables) for name, one in options.items()}


def policy_help() -> str:
    """The policies there are."""
    return ", ".join(TRAINERS)


def policies_epilog() -> str:
    """What each policy does, a line each, for the end of `--help`."""
    width = max(map(len, TRAINERS))
    return "".join(["\npolicies:\n", *(f"  {name:{width}}  {one.summary}\n" for name, one in TRAINERS.items())])


def class_floors(args: argparse.Namespace) -> tuple[ClassFloor, ...]:
    """Floors on classes, those of recall first.

    Raises
    ------
    OptionError
        One is of no known form.
    """
    recall = [ClassFloor.parse("recall", text) for text in args.min_recall]
    return (*recall, *(ClassFloor.parse("precision", text) for text in args.min_precision))


def train_options(args: argparse.Namespace, policy: str) -> TrainOptions:
    """What the options say, for one policy.

    Raises
    ------
    OptionError
        An option has a wrong value.
    """
    floor = None if args.min_accuracy is None else Floor.parse(args.min_accuracy)
    options = TrainOptions(
        policy=policy,
        criterion=args.criterion or USUAL,
        objective=Objective(
            floor,
            args.max_latency_ms,
            args.cost_weight,
            args.max_memory_mb,
            args.max_energy_mj,
            args.deadline_ms,
        ),
        theta=args.theta,
        technique=args.technique,
        labels=args.labels,
        fallback=args.fallback,
        seed=args.seed,
        guarantee=None if args.guarantee is None else Guarantee.parse(args.guarantee),
        class_floors=class_floors(args),
    )
    return options if args.features is None else options.with_features(args.features)
