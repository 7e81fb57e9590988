"""`premodel export`: a premodel as the model repository of another server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from premodel.serving.triton_export import Repository, export_repository

EXAMPLE = """example:
  premodel export edge.premodel --triton repository
  tritonserver --model-repository=repository

Writes a premodel for Triton, or for KServe with Triton: each ONNX network is a model of the repository, and the
premodel, under its bundle's name, is one in Python that asks them. The server needs premodel in the Python of its
Python backend: see docs/triton.md. (What was measured, a profile, is written out by: premodel store export.)
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel; its name is the model's name")
    parser.add_argument(
        "--triton", required=True, metavar="DIR", help="the repository to write: new, empty, or an earlier export"
    )
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Write the repository."""
    repository = export_repository(Path(args.bundle), Path(args.triton), args.zoo)
    if args.json:
        print(json.dumps(repository.to_json()))
    else:
        _show(repository)
    return 0


def _show(repository: Repository) -> None:
    """What was written, for people."""
    print(f"{repository.folder}: model {repository.model}")
    networks = sorted(set(repository.networks.values()))
    print(f"  run by Triton: {', '.join(networks) or 'none'}")
    if repository.inside:
        print(f"  run inside {repository.model}: {', '.join(repository.inside)} (premodel needs their runtimes there)")
