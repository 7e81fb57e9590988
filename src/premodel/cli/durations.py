"""Durations on the command line, and the options of a soak."""

from __future__ import annotations

import argparse
import math
import re

from premodel.errors import OptionError
from premodel.profiling.soak import SoakOptions

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
FORM = "a number with its unit, such as 30m, 90s, 1.5h or 500ms"
INTERRUPTED_CODE = 130
"""As of every command that Ctrl-C ended."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def duration(text: str) -> float:
    """Seconds.

    Raises
    ------
    OptionError
        It is of another form, or no time at all.

    Examples
    --------
    >>> duration("30m"), duration("500ms")
    (1800.0, 0.5)
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * UNITS[match[2]] if match else math.nan
    if not 0 < seconds < math.inf:
        raise OptionError("duration must be " + FORM, given=text)
    return seconds


def add_soak_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--soak` and `--every`."""
    parser.add_argument(
        "--soak", metavar="D", help=f"{what} for so long, such as 30m: latency over time; Ctrl-C ends it"
    )
    parser.add_argument(
        "--every", metavar="D", help="one request at a time, the next so long after it began, such as 1s: idle between"
    )


def soak_options(args: argparse.Namespace, default: str | None = None) -> SoakOptions | None:
    """What was asked for, checked; `default` is the length where only `--every` is given. None for no soak.

    Raises
    ------
    OptionError
        A duration is wrong, or `--every` is given alone where it has no length of its own.
    """
    length = args.soak or (default if args.every else None)
    if length is None:
        if args.every:
            raise OptionError("--every must go with --soak", given=f"--every {args.every}", do="add --soak 10m")
        return None
    found = SoakOptions(duration(length), duration(args.every) if args.every else 0.0)
    found.check()
    return found
