"""`premodel zoo ACTION`: each action is one file, `zoo_<action>.py`, with `register(parser)` and `run(args) -> int`."""

from __future__ import annotations

import argparse
from importlib import import_module

ACTIONS = {
    "check": "verify digests, open every network, compare it with the manifest, and look at its accuracy",
    "expand": "make cheaper siblings of the models: int8, half precision, other runtimes, smaller sizes",
    "init": "write a manifest for models of your own: read the files, find the preprocessing on labelled images",
    "list": "the known zoos, and which of their models are here",
    "pull": "download the models of a zoo, resumed and verified",
}
"""Action name -> one line."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, line in ACTIONS.items():
        action = actions.add_parser(name, help=line, formatter_class=argparse.RawDescriptionHelpFormatter)
        import_module(f"premodel.cli.zoo_{name}").register(action)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    code: int = import_module(f"premodel.cli.zoo_{args.action}").run(args)
    return code
