"""`premodel zoo init`: write a manifest for models of one's own."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from premodel.cli.data_options import add_data_options, data_notes, next_step, read_data
from premodel.domains.base import IMAGE_TASK
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, InputError, OptionError
from premodel.zoo.label_files import read_label_file
from premodel.zoo_tools.init.draft import Draft, findings
from premodel.zoo_tools.init.images import TrialImages
from premodel.zoo_tools.init.init import (
    DEFAULT_LIMIT,
    choose_labels,
    draft_models,
    refuse_overwriting,
    settle_labels,
    write_manifest,
)

EXAMPLE = """example:
  premodel zoo init big.onnx small.tflite --labels names.txt --out zoo.toml
  premodel zoo init big.onnx small.tflite --labels names.txt --data images --data-labels truth.csv --out zoo.toml

The files say runtime, input, quantisation and outputs. Labelled images say the rest: channels, mean and std, crop and
interpolation, and which output is which label are tried, and the most accurate is written, with the others that could
not be ruled out beside it.
exit code: 0 if the manifest was written, 2 if it could not be, or with --strict if anything is not clear."""
PYTHON_SUFFIXES = (".py", ".pickle", ".pkl", ".joblib")
"""Of what a callable is, or reads."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = "Write a manifest for model files: read what they say, and find their preprocessing."
    parser.epilog = EXAMPLE
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model files: .onnx, .tflite, .xml")
    parser.add_argument("--out", type=Path, required=True, help="the manifest to write")
    parser.add_argument(
        "--labels", type=Path, help="names of the labels, one per line, in the order of the outputs (default: those "
        "that a model file names, else the folders of --data)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="labelled images, to find the preprocessing with")
    parser.add_argument("--data-labels", help="labels of the images, where the data set needs them")
    parser.add_argument("--offset", type=int, help="outputs before the first label (default: outputs - labels)")
    parser.add_argument("--size", help="HxW, for files that leave the size of their input open")
    parser.add_argument(
        "--output", metavar="NAME", help="which output to read of files that have several (default: the one with as "
        "many numbers as there are labels)",
    )  # fmt: skip
    parser.add_argument("--license", help="licence of the models (default: unknown)")
    parser.add_argument("--name", help="name of the zoo (default: the manifest's, or its folder's)")
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, help=f"images to try on, drawn at random (default {DEFAULT_LIMIT})"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every runtime (default 1)")
    parser.add_argument("--force", action="store_true", help="replace the manifest if it is there")
    add_data_options(parser)
    parser.add_argument("--strict", action="store_true", help="exit code 2 if anything was guessed or is not clear")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Draft every model, write the manifest, print what was found."""
    # Here, so that the other actions do without what draws it.
    from premodel.cli.common import TerminalProgress

    for option in ("limit", "threads"):
        if getattr(args, option) < 1:
            raise OptionError(f"wrong --{option}", given=getattr(args, option), allowed="1 or more")
    scripts = [str(file) for file in args.models if Path(file).suffix in PYTHON_SUFFIXES]
    if scripts:
        raise OptionError(
            "zoo init describes files of networks, and not Python code", given=", ".join(scripts),
            do='write their entries yourself, runtime = "python": docs/python.md',
        )  # fmt: skip
    if args.data is None and args.data_labels is not None:
        raise OptionError("--data-labels without --data", given=args.data_labels, do="name the images with --data")
    refuse_overwriting(args.out, args.force)
    domain_of(IMAGE_TASK).set_threads(args.threads)
    data = None if args.data is None else Path(args.data, args.split or "")
    given = None if args.labels is None else read_label_file(args.labels)
    choice = choose_labels(args.models, given, data)
    labels = choice.labels
    for note in choice.notes:
        print(f"premodel zoo: {note}", file=sys.stderr)
    progress = TerminalProgress()
    drafts: list[Draft] = []
    drafting = draft_models(
        args.models, len(labels), _images(args, labels), offset=args.offset, size=_size(args.size),
        output=args.output, license_=args.license, threads=args.threads, progress=progress,
        orders=choice.orders, fixed_labels=choice.fixed,
    )  # fmt: skip
    try:
        drafts.extend(drafting)
        labels, drafts = settle_labels(choice, drafts)
        write_manifest(args.out, _name(args), args.labels if args.labels is not None else labels, drafts, args.force)
    finally:
        progress.end()
    print(json.dumps(_to_json(args, drafts, len(labels))) if args.json else _text(args, drafts))
    unclear = [draft.name for draft in drafts if not draft.clear]
    if unclear:
        print(f"premodel zoo: not clear, see the comments in {args.out}: {', '.join(unclear)}", file=sys.stderr)
    return InputError.exit_code if unclear and args.strict else 0


def _images(args: argparse.Namespace, labels: tuple[str, ...]) -> TrialImages | None:
    if args.data is None:
        return None
    dataset = read_data(args, args.data, args.data_labels, labels)
    if not len(dataset):
        raise DatasetError("the data set is empty", where=args.data)
    for note in data_notes(dataset):
        print(f"premodel zoo: {note}", file=sys.stderr)
    images = TrialImages(dataset, args.limit, label_names=labels)
    for reason in images.unreadable[:3]:
        print(f"premodel zoo: left out: {reason}", file=sys.stderr)
    return images


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})(?:[xX](\d{1,5}))?", text)
    if found is None:
        raise OptionError("wrong --size", given=text, allowed="HxW in pixels, such as 224x224")
    return int(found[1]), int(found[2] or found[1])


def _name(args: argparse.Namespace) -> str:
    if args.name is not None:
        return str(args.name)
    stem = args.out.stem
    return str(args.out.absolute().parent.name if stem == "zoo" else stem) or "zoo"


def _to_json(args: argparse.Namespace, drafts: list[Draft], n_labels: int) -> dict[str, object]:
    return {
        "zoo": str(args.out),
        "labels": n_labels,
        "clear": all(draft.clear for draft in drafts),
        "models": [draft.to_json() for draft in drafts],
    }


def _text(args: argparse.Namespace, drafts: list[Draft]) -> str:
    lines = []
    for draft in drafts:
        lines.append(f"{draft.name} (label_offset {draft.offset})")
        lines.extend(f"  {line}" for line in findings(draft))
    return "\n".join([*lines, f"written: {args.out}; {next_step(args.out, args.data, args.data_labels)}"])
