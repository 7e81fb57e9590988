"""Where a command may write its file: asked before the work begins, which may take minutes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from premodel.errors import OptionError
from premodel.evaluation.evaluate import Evaluation
from premodel.evaluation.rows import Row, invalid_reasons
from premodel.records import MAX_SEED
from premodel.verdict import interval, points


def output_file(text: str, what: str) -> Path:
    """The path of a file to be written.

    Raises
    ------
    OptionError
        It is a folder, its folder is not there, or this user may not write to it.
    """
    path = Path(text)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise OptionError(f"the {what} cannot be written there", given=text, allowed="a file in an existing folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"the {what} cannot be written there, for want of permission", given=text, allowed="a folder of yours"
        )
    return path


def add_seed(parser: argparse.ArgumentParser, of: str = "of every random draw") -> None:
    """Add it."""
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help=f"{of} (default: 0)")


def add_criterion(parser: argparse.ArgumentParser) -> None:
    """Add it; None means the usual one of the profile."""
    parser.add_argument(
        "--criterion", metavar="C", help="what a good answer is: top1, top5, or a criterion of the domain, such as "
        "chrf or 'chrf>=0.6' (default: the domain's first, top1 of labels)",
    )  # fmt: skip


def seed(text: str) -> int:
    """The number; ArgumentTypeError if it is none that every generator takes."""
    if not (text.isascii() and text.isdecimal()) or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(f"wrong seed; given: {text}; allowed: whole numbers from 0 to {MAX_SEED}")
    return int(text)


def guarantee_lines(evaluation: Evaluation, guarantee: str | None) -> list[str]:
    """For each premodel in how many folds it was given, in words; nothing without a guarantee."""
    if guarantee is None:
        return []
    return [
        f"guarantee {guarantee}, {name}: given in {evaluation.folds - count} of {evaluation.folds} folds"
        + (", the others are served by their best single candidate alone" if count else "")
        for name, count in _unguaranteed(evaluation).items()
    ]


def guarantee_json(evaluation: Evaluation, guarantee: str | None) -> dict[str, Any]:
    """The same for machines; nothing without a guarantee."""
    if guarantee is None:
        return {}
    return {"guarantee": {"text": guarantee, "folds_served_by_best_single": _unguaranteed(evaluation)}}


def _unguaranteed(evaluation: Evaluation) -> dict[str, int]:
    """For each premodel, the folds in which its guarantee could not be given."""
    premodels = [outcome for outcome in evaluation.outcomes if outcome.method.kind == "premodel"]
    return {outcome.method.name: len(outcome.unguaranteed) for outcome in premodels}


HEADER = ("", "accuracy, %", "latency, ms", "p99, ms", "speed-up", "accuracy difference, points", "verdict")


def format_rows(rows: Sequence[Row]) -> str:
    """A plain text table: singles by latency, then baselines, then premodels; below it why which is INVALID."""
    order = {"single": 0, "baseline": 1, "premodel": 2}
    ranked = sorted(rows, key=lambda row: (order[row.kind], row.latency_ms))
    lines = [HEADER, *(_cells(row) for row in ranked)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    text = []
    previous = None
    for position, line in enumerate(lines):
        kind = ranked[position - 1].kind if position else None
        if position and kind != previous:
            text.append("-" * (sum(widths[:-1]) + 2 * len(widths) + 8))
        previous = kind
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
        ]
        text.append("  ".join([*cells, line[-1]]).rstrip())
    return "\n".join([*text, *invalid_reasons(ranked)])


def _cells(row: Row) -> tuple[str, ...]:
    low, high = (100 * bound for bound in row.accuracy_ci)
    return (
        row.name,
        f"{100 * row.accuracy:.1f} [{low:.1f}, {high:.1f}]",
        f"{row.latency_ms:.2f}",
        "-" if row.latency_p99_ms is None else f"{row.latency_p99_ms:.2f}",
        f"{row.speedup_vs_best:.2f}x",
        f"{points(row.gain_points_vs_best)} {interval(row.gain_ci)}",
        row.shown_verdict + (f" (coverage {100 * row.coverage:.1f} %)" if row.coverage < 1 else ""),
    )


SECONDS = "{l_bar}{bar}| {n_fmt}/{total_fmt} s{postfix}"
"""Of a bar whose unit is time itself, which has no rate."""


class TerminalProgress:
    """Shows one bar per pass, and notes between them; a pipe or a file gets a line now and then."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def begin(self, what: str, total: int, unit: str) -> None:
        """Show a new bar."""
        self.end()
        quiet = not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            file=sys.stderr,
            dynamic_ncols=True,
            smoothing=0.1,
            mininterval=10.0 if quiet else 0.2,
            ascii=quiet,
            bar_format=SECONDS if unit == "s" else None,
        )

    def advance(self, count: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(count)

    def describe(self, what: str) -> None:
        """Say behind the bar what is being done."""
        if self._bar is not None:
            self._bar.set_postfix_str(what, refresh=False)

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Write a line to stderr, clear of the bar."""
        tqdm.write(message, file=sys.stderr)
