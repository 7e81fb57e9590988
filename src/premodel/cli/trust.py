"""The option of every command that runs candidates: may Python code that they name run."""

from __future__ import annotations

import argparse


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add it, to every command that runs candidates."""
    parser.add_argument(
        "--trust-python", action="store_true", help="import and run the Python code that candidates of runtime python "
        "name: it can do all that you can",
    )  # fmt: skip
