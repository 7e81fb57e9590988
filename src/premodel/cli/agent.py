"""`premodel agent`: offer a board's models for remote profiling."""

from __future__ import annotations

import argparse
import json
import os
import sys

from premodel.cli.server_options import add_server_options, listening, read_access
from premodel.cli.trust import add_trust
from premodel.domains.registry import domain_of
from premodel.errors import OptionError
from premodel.runtime.conditions import too_many_threads
from premodel.serving.limits import Limits
from premodel.zoo.manifest import read_zoo
from premodel.zoo.trust import require_trust

EXAMPLE = """example:
  on the board:        premodel agent zoo.toml --host 0.0.0.0 --token-file token
  on the workstation:  PREMODEL_OIP_TOKEN_FILE=token premodel profile board.toml images --store profile.db

Each candidate of the zoo is a model of the Open Inference Protocol v2, under its own name. A request brings the input
tensor of the network, as any client sends it, or an encoded image; the response states what decoding, preprocessing
and inference took on the board, so that the network between the two is not counted. One request runs at a time.
In board.toml the same models have runtime = "oip", url = "http://BOARD:8090" and their sha256: see docs/remote.md.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("zoo", metavar="ZOO.toml", help="manifest of the candidates on this machine")
    add_trust(parser)
    parser.add_argument("--threads", type=int, metavar="T", help="threads of every candidate (default: the manifest's)")
    parser.add_argument(
        "--memory-budget-mb", type=float, metavar="MB", help="unload models used longest ago to stay below it"
    )
    parser.add_argument(
        "--embedding",
        action="store_true",
        help="of texts: offer features with an embedding, as profile --embedding",
    )
    add_server_options(parser, 8090)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout when it listens: url, models")


def run(args: argparse.Namespace) -> int:
    """Read the zoo, listen, serve until asked to stop."""
    token = read_access(args)
    from premodel.serving.agent import make_agent
    from premodel.serving.board import Board

    zoo = read_zoo(args.zoo, require_files=True, trust_python=args.trust_python)
    require_trust(zoo.candidates, args.zoo)
    remote = [candidate.name for candidate in zoo.candidates if candidate.model.is_remote]
    if remote:
        raise OptionError("an agent offers models of its own machine", where=args.zoo, given=f"{remote[0]} is remote")
    whole = [candidate.name for candidate in zoo.candidates if candidate.model.takes_whole]
    if whole:
        raise OptionError(
            "an agent offers models that take a tensor", where=args.zoo, given=f"{whole[0]} takes the decoded input",
            do="give it an input table in the manifest, or leave it out",
        )  # fmt: skip
    if args.threads is not None and args.threads < 1:
        raise OptionError("wrong number of threads", given=args.threads, allowed="a whole number from 1")
    limits = Limits(queue=4, timeout_s=60.0, max_body_bytes=64 << 20)
    board = Board(zoo, limits, args.threads, args.memory_budget_mb, args.embedding)
    domain_of(zoo.task).set_threads(args.threads or 1)
    with listening(args, token) as server:
        if args.json:
            print(json.dumps({"url": server.url, "models": list(board.names)}), flush=True)
        said = f"premodel agent: {len(zoo.candidates)} candidates at {server.url}; Ctrl-C ends it"
        print(said, file=sys.stderr, flush=True)
        threads = {one.name: args.threads or one.threads for one in zoo.candidates}
        if note := too_many_threads(threads):
            print(f"premodel agent: {note}", file=sys.stderr, flush=True)
        server.run(make_agent(board, limits, token, server.doors), limits)
        if board.hung:  # a thread that runs on would keep the process
            print("premodel agent: stopped, although a run had not ended", file=sys.stderr, flush=True)
            os._exit(1)
    print("premodel agent: stopped", file=sys.stderr)
    return 0
