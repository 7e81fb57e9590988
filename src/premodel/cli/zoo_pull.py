"""`premodel zoo pull`: fetch a zoo, verified, into one folder."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path

from premodel.cli.data_options import next_step
from premodel.clock import now_ms
from premodel.errors import InputError, OptionError, PremodelError
from premodel.redact import redacted_url
from premodel.zoo.manifest import Zoo, read_zoo
from premodel.zoo_tools.known import CACHE_VARIABLE, cache_directory, find_manifest, folder_name, shipped_manifests
from premodel.zoo_tools.pull import DEFAULT_JOBS, MAX_JOBS, Pulled, place_manifest, pull, unreachable

EXAMPLE = f"""example:
  premodel zoo pull {next(iter(shipped_manifests()), "ZOO")}
  premodel zoo pull zoo.toml --dest models

A download that was cut goes on where it stopped when the command is given again; what is there is left alone.
exit code: 0 if every file is there and verified, 2 if the manifest or a file is wrong, 1 if a server failed."""

DRAW_EVERY_MS = 200.0
MEGABYTE = 1e6


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = "Download the models of a zoo: resumed, several at a time, verified by digest."
    parser.epilog = EXAMPLE
    parser.add_argument("zoo", help="a manifest, or a known name (see: premodel zoo list)")
    parser.add_argument(
        "--dest", type=Path, metavar="DIR",
        help=f"folder for manifest, labels and models (default: a folder of its own in {CACHE_VARIABLE}, "
        "else in the user's cache directory)",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=DEFAULT_JOBS, help=f"downloads at a time (default {DEFAULT_JOBS})")
    parser.add_argument(
        "--max-file-mb", type=int, default=2048, help="largest file that is accepted, in MiB (default 2048)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Pull and print; 2 if a manifest entry or a file is wrong, 1 if a server failed."""
    if not 1 <= args.jobs <= MAX_JOBS:
        raise OptionError("wrong --jobs", given=args.jobs, allowed=f"1 to {MAX_JOBS}")
    if args.max_file_mb < 1:
        raise OptionError("wrong --max-file-mb", given=args.max_file_mb, allowed="1 or more")
    zoo = read_zoo(find_manifest(args.zoo))
    folder = args.dest.absolute() if args.dest is not None else cache_directory() / folder_name(zoo.name)
    manifest = place_manifest(zoo, folder)
    screen = Screen()
    results: list[Pulled] = []
    try:
        for result in pull(zoo, folder, jobs=args.jobs, max_bytes=args.max_file_mb << 20, advance=screen.advance):
            results.append(result)
            screen.finished(result)
    finally:
        screen.close()
    failed = [result for result in results if result.state == "failed"]
    offline = unreachable(results)
    if offline is not None:
        print(
            f"premodel zoo: offline, {len(failed)} files are still missing: {offline}; try again with a network",
            file=sys.stderr,
        )
    else:
        for result in failed:
            print(f"premodel zoo: {result.name}: {result.error}", file=sys.stderr)
    order = {model.name: place for place, model in enumerate(candidate.model for candidate in zoo.candidates)}
    results.sort(key=lambda result: order[result.name.partition("/")[0]])
    print(json.dumps(_to_json(zoo, folder, manifest, results)) if args.json else _text(zoo, manifest, results))
    return _exit_code([result.error for result in failed if result.error is not None])


class Screen:
    """Progress on stderr: a line per finished file, and on a terminal a line of megabytes that is drawn over."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._drawn_ms = 0.0
        self._terminal = sys.stderr.isatty()

    def advance(self, name: str, size: int) -> None:
        """So many bytes of a model are at hand."""
        if not self._terminal:
            return
        with self._lock:
            self._bytes[name] = size
            if now_ms() - self._drawn_ms >= DRAW_EVERY_MS:
                self._drawn_ms = now_ms()
                parts = [f"{model} {count / MEGABYTE:.1f}" for model, count in self._bytes.items()]
                print(f"\r\033[KMB: {', '.join(parts)[:100]}", end="", file=sys.stderr, flush=True)

    def finished(self, result: Pulled) -> None:
        """A file is done; failures are reported at the end."""
        with self._lock:
            self._bytes.pop(result.name, None)
            if self._terminal:
                print("\r\033[K", end="", file=sys.stderr)
            if result.state == "downloaded":
                resumed = f", went on from {result.resumed_from}" if result.resumed_from else ""
                print(f"{result.name}: downloaded {result.size_bytes} bytes{resumed}", file=sys.stderr)

    def close(self) -> None:
        """Leave the line."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _exit_code(errors: list[PremodelError]) -> int:
    if not errors:
        return 0
    return InputError.exit_code if any(isinstance(error, InputError) for error in errors) else 1


def _to_json(zoo: Zoo, folder: Path, manifest: Path, results: list[Pulled]) -> dict[str, object]:
    states = [result.state for result in results]
    return {
        "name": zoo.name,
        "zoo": str(manifest),
        "dest": str(folder),
        "downloaded": states.count("downloaded"),
        "present": states.count("present"),
        "failed": states.count("failed"),
        "models": [
            {
                "name": result.name,
                "file": result.file,
                "url": redacted_url(result.url),
                "state": result.state,
                "size_bytes": result.size_bytes,
                "resumed_from": result.resumed_from,
                "error": str(result.error) if result.error is not None else None,
            }
            for result in results
        ],
    }


def _text(zoo: Zoo, manifest: Path, results: list[Pulled]) -> str:
    counts = {state: sum(result.state == state for result in results) for state in ("downloaded", "present", "failed")}
    line = f"{zoo.name}: {counts['downloaded']} downloaded, {counts['present']} were there"
    if counts["failed"]:
        return f"{line}, {counts['failed']} failed; the same command tries again"
    return f"{line}; {next_step(manifest)}"
