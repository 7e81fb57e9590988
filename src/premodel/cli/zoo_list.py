"""`premodel zoo list`: the known zoos, and what of them is here."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from premodel.errors import ZooError
from premodel.redact import redacted_url
from premodel.zoo.manifest import read_zoo
from premodel.zoo_tools.known import KnownZoo, ModelState, cache_directory, known_zoos, model_states

EXAMPLE = """example:
  premodel zoo list

Zoos that come with the package, and those pulled into the cache. A model that is present was verified just now."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = "Show the known zoos, where they lie, and which of their models are here."
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Print; a manifest in the cache that cannot be read is reported and does not end the list."""
    cache = cache_directory()
    rows: list[tuple[KnownZoo, list[ModelState], int]] = []
    for known in known_zoos(cache):
        try:
            zoo = read_zoo(known.manifest)
        except ZooError as error:
            print(f"premodel zoo: {error}", file=sys.stderr)
        else:
            rows.append((known, model_states(zoo, known.folder), len(zoo.labels)))
    if args.json:
        print(json.dumps({"cache": str(cache), "zoos": [_to_json(*row) for row in rows]}))
    else:
        print(f"cache: {cache}")
        for row in rows:
            print(_text(*row))
    return 0


def _to_json(known: KnownZoo, states: list[ModelState], n_labels: int) -> dict[str, Any]:
    return {
        "name": known.name,
        "zoo": str(known.manifest),
        "dest": str(known.folder),
        "shipped": known.shipped,
        "pulled": known.pulled,
        "labels": n_labels,
        "present": sum(state.state == "present" for state in states),
        "models": [
            {
                "name": state.model.name,
                "file": str(state.model.file),
                "state": state.state,
                "size_bytes": state.size_bytes,
                "license": state.model.license or None,
                "url": redacted_url(state.model.source) or None,
            }
            for state in states
        ],
    }


def _text(known: KnownZoo, states: list[ModelState], n_labels: int) -> str:
    present = sum(state.state == "present" for state in states)
    origin = "comes with the package" if known.shipped else "pulled"
    lines = [f"{known.name}: {present} of {len(states)} models present, {n_labels} labels, {origin}"]
    lines.append(f"  in {known.folder}")
    width = max(len(state.model.name) for state in states)
    for state in states:
        size = f"{state.size_bytes / 1e6:8.1f} MB" if state.size_bytes is not None else f"{'-':>8}   "
        licence = state.model.license or "licence not stated"
        lines.append(f"  {state.model.name.ljust(width)}  {state.state:12}  {size}  {licence}")
    if present < len(states) and (known.shipped or known.pulled):
        lines.append(f"  get the rest with: premodel zoo pull {known.name if known.shipped else known.manifest}")
    return "\n".join(lines)
