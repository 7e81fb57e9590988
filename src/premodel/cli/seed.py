"""The option `--seed`, the same for every command that draws at random."""

from __future__ import annotations

import argparse

from premodel.records import MOST_SEED


def add_seed(parser: argparse.ArgumentParser, of: str = "of every random draw") -> None:
    """Add it."""
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help=f"{of} (default: 0)")


def seed(text: str) -> int:
    """The number; ArgumentTypeError if it is none that every generator takes."""
    if not (text.isascii() and text.isdecimal()) or int(text) > MOST_SEED:
        raise argparse.ArgumentTypeError(f"wrong seed; given: {text}; allowed: whole numbers from 0 to {MOST_SEED}")
    return int(text)
