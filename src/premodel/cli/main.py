"""The `premodel` command: finds the command's file, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

from premodel.errors import PremodelError, install_hint
from premodel.redact import redacted
from premodel.version import __version__

COMMANDS = {
    "demo": "the whole job on embedded scenes and networks, in minutes",
    "zoo": "check, list, pull and make manifests of candidates",
    "profile": "measure every candidate on every labelled image or text",
    "doctor": "before training: what can be won on a profile, and by which policy",
    "train": "make a premodel from a profile",
    "evaluate": "cross-validate premodels and baselines on a profile",
    "reproduce": "the paper's study on a profile: every table and figure beside the paper's numbers",
    "report": "one HTML page about a profile: what was won, lost, and on which pictures",
    "predict": "answer images or texts with a premodel",
    "serve": "answer images or texts over HTTP: Open Inference Protocol, metrics and a page",
    "export": "write a premodel as a model repository of Triton or KServe, or its decision as C99",
    "agent": "offer a board's models for remote profiling",
    "bench": "run a premodel and every single candidate end to end on real images or texts",
    "label": "what to label of a server's records, and the truths of them",
    "update": "train a premodel anew on newer samples, and package it if it is no worse",
    "compare": "two premodels on the same images or texts: accuracy and latency, paired, with intervals",
    "store": "show or export a profile",
}
"""Command name -> one line. A command is one file of this package with `register(parser)` and `run(args) -> int`."""
STORING = ("demo", "zoo pull", "zoo expand", "profile", "serve", "label", "update", "store import", "store export")
"""Commands that keep what they did before they were broken off."""


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The command line; only the chosen command's file is imported, the others are just named."""
    parser = argparse.ArgumentParser(
        prog="premodel", description="Answer every input with the cheapest of your models that will get it right."
    )
    parser.add_argument("--version", action="version", version=f"premodel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == chosen:
            import_module(f"premodel.cli.{name}").register(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 the input is wrong, 1 anything else."""
    # What OpenCV logs about a damaged image is raised as an error and reported once; read when OpenCV is imported.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    words = list(sys.argv[1:] if argv is None else argv)
    with _without_secrets(words):
        return _main(words)


def _main(words: list[str]) -> int:
    chosen = next((word for word in words if not word.startswith("-")), None)
    said = f"premodel {chosen}" if chosen else "premodel"
    args = argparse.Namespace()
    try:
        with _terminable():
            args = build_parser(chosen).parse_args(words)
            code: int = import_module(f"premodel.cli.{args.command}").run(args)
    except PremodelError as error:
        print(f"{said}: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "premodel" or find_spec(package) is not None:
            raise
        error_line = f"{package} is not installed; {install_hint('lab')}"
        print(f"{said}: {error_line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as end:
        terminated = isinstance(end, _Terminated)
        print(f"\n{said}: {'terminated' if terminated else 'interrupted'}{_kept(args)}", file=sys.stderr)
        return 143 if terminated else 130
    except MemoryError as error:
        what = f"out of memory ({error})" if str(error) else "out of memory"
        print(f"{said}: {what}; free some, or give it less to do", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of stdout went away (`| head`): not an error of ours; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _kept(args: argparse.Namespace) -> str:
    """What becomes of the work of a command that is broken off."""
    command = " ".join(getattr(args, name) for name in ("command", "action") if hasattr(args, name))
    if command == "profile" and "://" not in args.store and not Path(args.store).exists():
        return "; nothing was stored yet"
    return "; what was stored is kept" if command in STORING else ""


class _Redacting:
    """A stream that hides the secrets of URLs in what is written to it, see `redact`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write."""
        for line in lines:
            self.write(line)


@contextmanager
def _without_secrets(words: Sequence[str]) -> Iterator[None]:
    """Hide secrets in whatever is shown meanwhile; answers of `predict` are left as they are."""
    out, err = sys.stdout, sys.stderr
    sys.stderr = cast(TextIO, _Redacting(err))
    if "predict" not in words[:1]:
        sys.stdout = cast(TextIO, _Redacting(out))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: the command ends as on Ctrl-C."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a command in order, so that what it gathered is stored and its processes end with it."""

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # only there can signals be taken
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
