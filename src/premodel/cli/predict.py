"""`premodel predict`: answer images or texts with a premodel."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from premodel.cli.trust import add_trust
from premodel.domains.base import Domain
from premodel.errors import OptionError, RunError, SampleError, printable
from premodel.files import is_regular
from premodel.runtime.answer import Answer, scores_by_name
from premodel.runtime.engine import Premodel
from premodel.runtime.policies.base import CallOptions, Run

EXAMPLE = """example:
  premodel predict edge.premodel cat.jpg dog.jpg
  premodel predict edge.premodel cat.jpg --max-latency-ms 4 --explain --json
  premodel predict language.premodel --text "Guten Tag" --text "good morning"
  cut -f 2 messages.tsv | premodel predict language.premodel - --json

An input that cannot be read, or on which every candidate fails, is named on stderr (a line of stdin by its number) and
the others are answered. The exit code is 0 if any input was answered; else 1 if every candidate failed on one, and 2 if
none could be read.
"""
STDIN = "-"
SHOWN = 5
MIN_SHOWN = 0.0005
"""A label of a lower probability would read 0.0 %; it is left out, unless it is the answer."""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("bundle", metavar="F.premodel", help="the premodel")
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="*", help="files of one image or text each; - for texts on stdin, one a line"
    )
    parser.add_argument("--text", metavar="TEXT", action="append", default=[], help="a text; may be given repeatedly")
    parser.add_argument(
        "--max-latency-ms", type=float, metavar="X", help="budget of each answer, end to end, by the profiled latencies"
    )
    parser.add_argument("--cost-weight", type=float, metavar="W", help="accuracy that one ms is worth")
    parser.add_argument("--explain", action="store_true", help="say which candidates ran and why")
    parser.add_argument("--threads", type=int, metavar="T", help="threads of every candidate (default: as profiled)")
    parser.add_argument(
        "--memory-budget-mb", type=float, metavar="MB", help="unload models used longest ago to stay below it"
    )
    add_trust(parser)
    parser.add_argument("--zoo", metavar="ZOO", help="folder or manifest where the models are, if they were moved")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Answer every input that can be read."""
    CallOptions(args.max_latency_ms, args.cost_weight)  # refused before anything is loaded
    if not args.inputs and not args.text:
        raise OptionError("an input must be given", do="name files, or give --text TEXT, or - for texts on stdin")
    answers: list[dict[str, Any]] = []
    refused: dict[str, list[dict[str, str]]] = {"unreadable": [], "failed": []}
    opened: set[str] = set()
    with Premodel(args.bundle, args.threads, args.zoo, args.memory_budget_mb, args.trust_python) as premodel:
        for name, reason in premodel.unavailable.items():
            print(f"premodel predict: {name} is left out: {reason}", file=sys.stderr)
        for path, given in _inputs(args, premodel.bundle.domain):
            try:
                answer = premodel.predict(given, max_latency_ms=args.max_latency_ms, cost_weight=args.cost_weight)
            except (SampleError, RunError) as error:
                print(f"premodel predict: {_named(path, given, error, premodel.bundle.domain)}", file=sys.stderr)
                kind = "unreadable" if isinstance(error, SampleError) else "failed"
                refused[kind].append({"path": path, "reason": str(error)})
                continue
            if hint := _table_hint(given, premodel.bundle.domain):
                print(f"premodel predict: {path} is answered as one text; {hint}", file=sys.stderr)
            first = [name for name in answer.ran if name not in opened]
            opened.update(answer.ran)
            answers.append(answer.to_json(path, explain=args.explain) | ({"opened": first} if args.explain else {}))
            if not args.json:
                took = {name: premodel.opening_ms[name] for name in first if name in premodel.opening_ms}
                known = premodel.unavailable  # stated on stderr, here or by the log
                _show(path, answer, premodel.candidates, took, known, explain=args.explain)
    if args.json:
        print(json.dumps({"answers": answers, **{kind: e for kind, e in refused.items() if e}}, allow_nan=False))
    if answers:
        return 0
    return RunError.exit_code if refused["failed"] else SampleError.exit_code


def _inputs(args: argparse.Namespace, domain: Domain) -> Iterator[tuple[str, Any]]:
    """Each input with the name that it is shown by: files, the lines of stdin, and the texts of the command line."""
    as_texts = bool(domain.inline)
    if not as_texts and (args.text or STDIN in args.inputs):
        given = "--text" if args.text else STDIN
        raise OptionError(f"this premodel answers {domain.plural}", given=given, allowed="files")
    for path in args.inputs:
        if path == STDIN:
            for number, line in enumerate(sys.stdin.buffer, 1):
                yield f"line {number}", line
        else:
            yield path, Path(path) if as_texts else path
    for number, text in enumerate(args.text, 1):
        yield f"text {number}", text


def _named(path: str, given: Any, error: SampleError | RunError, domain: Domain) -> str:
    """The message on an input that got no answer, with its name and what may have been meant."""
    said = str(error)
    if path not in said or path != str(given):
        said = f"{path}: {said}"
    if isinstance(given, Path) and not given.exists():
        return f"{said}; a text itself is given by --text"
    hint = _table_hint(given, domain)
    return f"{said}; {hint}" if hint else said


def _table_hint(given: Any, domain: Domain) -> str:
    """What to do about a file that looks like a table of inputs; empty for any other input."""
    if not isinstance(given, Path) or given.suffix.lower() in ("", *domain.suffixes) or not is_regular(given):
        return ""
    from premodel.profiling.datasets.registry import TABLE_SUFFIXES  # here and below: few inputs come this far
    from premodel.profiling.datasets.rows import form_of

    if form_of(given) not in TABLE_SUFFIXES:
        return ""
    plural = domain.plural
    return f"if it is a table of {plural}, give them one a line with {STDIN}, or run premodel bench on it"


def _show(
    path: str,
    answer: Answer,
    candidates: tuple[str, ...],
    opening_ms: Mapping[str, float],
    known: Mapping[str, str],
    *,
    explain: bool,
) -> None:
    """An answer for people.

    `opening_ms` is what opening the candidates took that were opened for it; `known` why some are left out, which is
    not said again.
    """
    by = f"{' + '.join(answer.ran) or 'nothing ran'}, {answer.latency_ms['total']:.2f} ms"
    by += "".join(f"; opening {name} took {spent_ms:.2f} ms" for name, spent_ms in opening_ms.items())
    if answer.abstained:
        print(f"{path}: no answer ({by})")
    else:
        said = answer.class_name if answer.outcome is None else printable(answer.outcome)
        print(f"{path}: {said} ({100 * (answer.probability or 0):.1f} %; {by})")
    for name, reason in answer.failed.items():
        is_known = known.get(name) == reason
        print(f"  {name} is left out, as stated on stderr" if is_known else f"  {name} failed: {reason}")
    if not explain:
        return
    for step in answer.steps:
        scores = ", ".join(f"{name} {score:.3f}" for name, score in scores_by_name(step, candidates).items())
        what = f"run {candidates[step.candidate]}" if isinstance(step, Run) else "stop"
        print(f"  {what}: {step.reason}" + (f" (scores: {scores})" if scores else ""))
    if math.isfinite(answer.confidence):
        means = "as calibrated: how often such an answer is right"
        if answer.outcome is not None:
            means = "the score that is expected of this answer"
        print(f"  {100 * answer.confidence:5.1f} %  confidence, {means}")
    for rank, line in enumerate(answer.probabilities[:SHOWN]):
        if rank and line.probability < MIN_SHOWN:
            break
        print(f"  {100 * line.probability:5.1f} %  {line.class_name}")
    cold = f" (a cold call: it opened {', '.join(opening_ms)}, later calls are faster)" if opening_ms else ""
    print("  " + ", ".join(f"{stage} {ms:.3f} ms" for stage, ms in answer.latency_ms.items()) + cold)
