"""`premodel export`: a premodel as the model repository of another server, or its decision as C."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from premodel.errors import OptionError
from premodel.serving.c_export import CFiles, export_c
from premodel.serving.triton_export import Repository, export_repository

EXAMPLE = """examples:
  premodel export edge.premodel --triton repository
  tritonserver --model-repository=repository

  premodel export edge.premodel --c src
  cc -std=c99 -O2 src/premodel_edge_main.c src/premodel_edge.c -lm -o edge

Writes a premodel for Triton, or for KServe with Triton: each ONNX network is a model of the repository, and the
premodel, under its bundle's name, is one in Python that asks them. The server needs premodel in the Python of its
Python backend: see docs/triton.md. With --c, writes the decision alone as one C99 source and header, without any
network, and an example: see docs/c.md. (What was measured, a profile, is written out by: premodel store export.)
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel; its name is the model's name")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--triton", metavar="DIR", help="the repository to write: new, empty, or an earlier export")
    form.add_argument(
        "--c", metavar="DIR", help="the folder to write C99 files into; of others' files none is replaced"
    )
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Write the files."""
    if args.c is not None and args.zoo is not None:
        raise OptionError("--zoo does not apply to --c", given=args.zoo, do="leave it out: no model file is read")
    written: CFiles | Repository
    if args.c is not None:
        written = export_c(Path(args.bundle), Path(args.c))
        lines = _c_lines(written)
    else:
        written = export_repository(Path(args.bundle), Path(args.triton), args.zoo)
        lines = _triton_lines(written)
    print(json.dumps(written.to_json()) if args.json else "\n".join(lines))
    return 0


def _triton_lines(repository: Repository) -> list[str]:
    """What was written, for people."""
    networks = sorted(set(repository.networks.values()))
    inside = (
        [f"  run inside {repository.model}: {', '.join(repository.inside)} (premodel needs their runtimes there)"]
        if repository.inside
        else []
    )
    return [
        f"{repository.folder}: model {repository.model}",
        f"  run by Triton: {', '.join(networks) or 'none'}",
        *inside,
    ]


def _c_lines(written: CFiles) -> list[str]:
    """What was written, for people."""
    header, source, example = (written.folder / name for name in written.files)
    return [
        f"{header}, {source.name}: policy {written.policy}, names begin with {written.prefix}",
        f"  state {written.state_bytes} bytes, stack below {written.stack_bytes} bytes, "
        f"constant data {written.table_bytes} bytes",
        f"  example: cc -std=c99 -O2 {example} {source} -lm -o {written.prefix}",
    ]
