"""`premodel zoo check`: does a zoo do what its manifest states."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from premodel.cli.data_options import add_data_options, data_notes, next_step, read_data
from premodel.cli.trust import add_trust
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, InputError, OptionError
from premodel.profiling.samples import contradictions
from premodel.zoo.manifest import Zoo, read_zoo
from premodel.zoo.trust import require_trust
from premodel.zoo_tools.check import DEFAULT_LIMIT, CandidateCheck, Samples, check_zoo, coverage, draw_samples

EXAMPLE = """example:
  premodel zoo check zoo.toml
  premodel zoo check zoo.toml images --labels labels.csv
  premodel zoo check zoo.toml messages.csv

exit code: 0 if every candidate can be used (warnings or not), 2 if one cannot."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = "Verify digests, open every network, compare it with the manifest, and run it."
    parser.epilog = EXAMPLE
    parser.add_argument("zoo", help="the manifest, zoo.toml")
    parser.add_argument("data", nargs="?", help="labelled images or texts, to look at the accuracy of every candidate")
    parser.add_argument("--labels", help="labels of the images or texts, where the data set needs them")
    parser.add_argument(
        "--limit", type=int, default=DEFAULT_LIMIT, help=f"inputs to run, drawn at random (default {DEFAULT_LIMIT})"
    )
    add_trust(parser)
    parser.add_argument("--threads", type=int, default=1, help="threads of every runtime (default 1)")
    add_data_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Check and print; 2 if a candidate has an error."""
    for option in ("limit", "threads"):
        if getattr(args, option) < 1:
            raise OptionError(f"wrong --{option}", given=getattr(args, option), allowed="1 or more")
    if args.labels is not None and args.data is None:
        raise OptionError(
            "--labels without a data set", given=args.labels, do="name the data set: zoo check ZOO DATA --labels F"
        )
    zoo = read_zoo(args.zoo, trust_python=args.trust_python)
    require_trust(zoo.candidates, args.zoo)
    domain_of(zoo.task).set_threads(args.threads)
    samples = _samples(args, zoo)
    checks = []
    for check in check_zoo(zoo, samples, args.threads):
        print(f"{check.candidate}: {'failed' if check.errors else 'checked'}", file=sys.stderr)
        checks.append(check)
    print(json.dumps(_to_json(args, zoo, samples, checks)) if args.json else _text(args, zoo, samples, checks))
    return InputError.exit_code if any(check.errors for check in checks) else 0


def _samples(args: argparse.Namespace, zoo: Zoo) -> Samples | None:
    if args.data is None:
        return None
    dataset = read_data(args, args.data, args.labels, zoo.labels, zoo.task)
    for note in data_notes(dataset):
        print(f"premodel zoo: {note}", file=sys.stderr)
    samples = draw_samples(dataset.with_detail(zoo.detail), args.limit)
    if not samples.inputs:
        first = samples.unreadable[0] if samples.unreadable else "the data set is empty"
        raise DatasetError(f"no {dataset.domain.noun} could be read", where=args.data, given=first)
    samples.warnings = contradictions(dataset)
    return samples


def _to_json(
    args: argparse.Namespace, zoo: Zoo, samples: Samples | None, checks: Sequence[CandidateCheck]
) -> dict[str, object]:
    note = coverage(domain_of(zoo.task), samples, args.limit)
    return {
        "zoo": str(zoo.file),
        "name": zoo.name,
        "labels": len(zoo.labels),
        "samples": len(samples.inputs) if samples else 0,
        "unreadable": samples.unreadable if samples else [],
        "notes": [*([note] if note else []), *(samples.warnings if samples else [])],
        "errors": sum(len(check.errors) for check in checks),
        "warnings": sum(len(check.warnings) for check in checks),
        "candidates": [check.to_json() for check in checks],
    }


def _text(args: argparse.Namespace, zoo: Zoo, samples: Samples | None, checks: Sequence[CandidateCheck]) -> str:
    width = max(len(check.candidate) for check in checks)
    plural = domain_of(zoo.task).plural
    lines = [f"{zoo.name}: {len(checks)} candidates, {len(zoo.labels)} labels"]
    if samples is not None:
        lines[0] += f", {len(samples.inputs)} {plural}"
        if samples.unreadable:
            lines.append(f"  {len(samples.unreadable)} {plural} could not be read, first: {samples.unreadable[0]}")
        lines.extend(f"  warning: {text}" for text in samples.warnings)
    lines += [f"  {note}" for note in (coverage(domain_of(zoo.task), samples, args.limit),) if note]
    for check in checks:
        state = "error" if check.errors else "warning" if check.warnings else "ok"
        parts = [f"  {check.candidate.ljust(width)}  {state:7}", f"{check.runtime:7}", f"{check.input:28}"]
        if check.samples:
            parts.append(
                f"top-1 {100 * check.top1 / check.samples:5.1f} %  top-5 {100 * check.top5 / check.samples:5.1f} %"
            )
        lines.append("  ".join(parts).rstrip())
        lines.extend(f"    error: {text}" for text in check.errors)
        lines.extend(f"    warning: {text}" for text in check.warnings)
    if not any(check.errors for check in checks):
        lines.append(next_step(zoo.file, args.data, args.labels, trust=args.trust_python))
    return "\n".join(lines)
