"""Answers that were measured elsewhere, as a store: scores and costs of candidates from a CSV or Parquet table."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from premodel.domains.base import MEASURED_TASK
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, OptionError
from premodel.fields import Fields
from premodel.files import file_sha256
from premodel.profiling.datasets.parquet import open_parquet
from premodel.records import Footprint, Timing
from premodel.runtime.conditions import device_name
from premodel.store.features import StoredFamily, describe_families
from premodel.store.measurements import StoredTiming, decode_subject, features_subject, timing_row, write_timings
from premodel.store.outcomes import truth_digest
from premodel.store.runs import begin_run, end_run, register_zoo
from premodel.store.samples import NO_LABEL, Entry, Opening, register_samples, sample_row
from premodel.store.schema import FEATURES, OUTCOMES, PREDICTIONS, SAMPLES, SCORES
from premodel.store.store import Store
from premodel.store.writer import Writer
from premodel.zoo.candidate import Candidate, Model

FAMILY = "imported:1"
TEXT_FEATURES = ("characters", "words", "word_length", "lines", "digits", "punctuation", "capitals")
MIN_COST = 1e-9
"""What decoding and features are charged, which the table does not say: nothing, as near as a timing may be."""
MAX_WORDS = 4096
WORD = re.compile(r"[^\W\d_]+|\d+")
YES_NO = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class ImportOptions:
    """Which columns hold what.

    Attributes
    ----------
    sample:
        Column that names the sample; None for one sample a row.
    scores:
        Columns of scores in [0, 1] or of right and wrong, one for each candidate, whose names they are; none if each
        row is of one candidate.
    candidate, score, confidence, cost:
        Columns where each row is of one sample and one candidate; confidence and cost may be absent.
    costs:
        Cost of an answer by candidate, where it is the same for all samples.
    features:
        Columns of numbers that are known before a candidate runs.
    text:
        Column of texts whose length and signs are taken as features besides.
    words:
        Features of a bag of words of that text, into which all its words are hashed; 0 for none.
    unit:
        Of the costs; shown as ms everywhere else.
    device:
        Name under which the costs are kept; None for this machine's.
    """

    sample: str | None = None
    scores: tuple[str, ...] = ()
    candidate: str = "candidate"
    score: str = "score"
    confidence: str | None = None
    cost: str | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    text: str | None = None
    words: int = 0
    unit: str = "ms"
    device: str | None = None


@dataclass
class ImportReport:
    """What was stored."""

    samples: int
    candidates: tuple[str, ...]
    answers: int
    features: tuple[str, ...]
    unit: str


@dataclass
class _Sample:
    """One sample of the table: by candidate its score, confidence and cost; its features."""

    text: str
    row: int
    answers: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    features: tuple[float, ...] = ()


def import_table(table: Path, store: Store, options: ImportOptions) -> ImportReport:
    """Store what a table holds; a store that holds something else of the same zoo keeps it.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column, or holds a value that is none; the row is named.
    OptionError
        No cost is known of a candidate.
    """
    if not 0 <= options.words <= MAX_WORDS or (options.words and options.text is None):
        raise OptionError(
            "words must be a number of features, of a text", given=options.words, allowed=f"1 to {MAX_WORDS}",
            do="name the column of the text with --text",
        )  # fmt: skip
    rows = _read(table)
    if not rows:
        raise DatasetError("the table has no rows", where=table)
    samples = _samples(rows, table, options)
    names = tuple(dict.fromkeys(name for one in samples.values() for name in one.answers))
    digest = file_sha256(table)
    candidates = [_candidate(name, digest, table) for name in names]
    bag = tuple(f"word{place + 1}" for place in range(options.words))
    features = (*options.features, *(TEXT_FEATURES if options.text else ()), *bag)
    register_zoo(store, (), candidates, 1)
    device = options.device or device_name()
    run = _begin(store, table, options, device, candidates)
    entries = [Entry(one.row, sample, NO_LABEL, len(one.text.encode())) for sample, one in samples.items()]
    register_samples(store, [f"{table.name}#{number}" for number in range(len(rows))], entries)
    if features:
        parts = {name: (FAMILY.partition(":")[0],) for name in features}
        describe_families(store, [StoredFamily(FAMILY, features, parts)], domain_of(MEASURED_TASK).features_version)
    _write_answers(store, table, samples, entries, candidates)
    _write_costs(store, samples, candidates, device, run, bool(features))
    answers = sum(len(one.answers) for one in samples.values())
    report = ImportReport(len(samples), names, answers, features, options.unit)
    outcome = {"samples": len(samples), "answers": answers}
    end_run(store, run, {"finished": _utc(), "outcome": json.dumps(outcome)})
    return report


def _read(table: Path) -> list[dict[str, Any]]:
    if table.suffix.lower() == ".parquet":
        found: list[dict[str, Any]] = open_parquet(table).read().to_pylist()
        return found
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t" if table.suffix.lower() == ".tsv" else ","))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot be read: {error}", where=table, allowed="CSV, TSV or Parquet") from error


def _samples(rows: Sequence[Mapping[str, Any]], table: Path, options: ImportOptions) -> dict[str, _Sample]:
    """The samples by digest, in the order of their first rows; their features are those of the first row."""
    wanted = [options.sample, options.text, options.confidence, options.cost, *options.features, *options.scores]
    if not options.scores:
        wanted += [options.candidate, options.score]
    for name in wanted:
        if name is not None and name not in rows[0]:
            raise DatasetError(f"no column {name!r}", where=table, given=", ".join(map(str, rows[0])))
    found: dict[str, _Sample] = {}
    for number, row in enumerate(rows):
        where = f"{table}, row {number + 1}"
        text = str(number) if options.sample is None else str(row[options.sample])
        one = found.setdefault(hashlib.sha256(text.encode()).hexdigest(), _Sample(text, number))
        if one.row == number:
            numbers = [_number(row[name], name, where) for name in options.features]
            text_numbers = _of_text(str(row[options.text])) if options.text else ()
            bag = _bag_of_words(str(row[options.text]), options.words) if options.text and options.words else ()
            one.features = (*numbers, *text_numbers, *bag)
        pairs = [(name, row[name]) for name in options.scores] or [(str(row[options.candidate]), row[options.score])]
        for name, value in pairs:
            score = _number(value, "score", where, 0, 1)
            sure = 1.0 if options.confidence is None else _number(row[options.confidence], "confidence", where, 0, 1)
            if options.cost is not None:
                cost = _number(row[options.cost], "cost", where, 0)
            elif name in options.costs:
                cost = options.costs[name]
            else:
                raise OptionError(
                    "no cost is known", given=name, do="name a column of costs, or one cost for all samples"
                )
            one.answers.setdefault(name, (score, sure, max(cost, MIN_COST)))
    return found


def _number(value: Any, name: str, where: str, low: float = -math.inf, high: float = math.inf) -> float:
    text = str(value).strip().lower()
    try:
        number = YES_NO[text] if text in YES_NO else float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high):
        allowed = (
            "a number" if low == -math.inf else f"a number from {low:g}" + ("" if high == math.inf else f" to {high:g}")
        )
        raise DatasetError(f"{name} must be {allowed}", where=where, given=repr(value)[:80])
    return number


def _of_text(text: str) -> tuple[float, ...]:
    """Plain numbers of a text: how long it is, and what signs it is made of."""
    words = text.split()
    signs = sum(not (one.isalnum() or one.isspace()) for one in text)
    return (
        float(len(text)),
        float(len(words)),
        sum(map(len, words)) / len(words) if words else 0.0,
        float(text.count("\n") + 1),
        float(sum(one.isdigit() for one in text)),
        float(signs),
        float(sum(one.isupper() for one in text)),
    )


def _bag_of_words(text: str, size: int) -> tuple[float, ...]:
    """Logarithms of how often words of each hash occur, of length 1 together: texts of all lengths are comparable.

    The hash is the CRC-32 of the word in small letters, so that nothing is learned from the table.
    """
    counts = np.zeros(size)
    for word in WORD.findall(text.lower()):
        counts[crc32(word.encode("utf-8", "replace")) % size] += 1
    found = np.log1p(counts)
    return tuple((found / max(float(np.linalg.norm(found)), 1e-9)).tolist())


def _candidate(name: str, digest: str, table: Path) -> Candidate:
    """A candidate that nothing can open: its file is the table, its runtime that of recorded answers."""
    domain = domain_of(MEASURED_TASK)
    own = hashlib.sha256(f"{digest} {name}".encode()).hexdigest()
    spec, view = domain.read_spec(Fields({}, name)), domain.plain_view()
    model = Model(name, table.absolute(), "replay", spec, "none", sha256=own, task=MEASURED_TASK)
    return Candidate(model, view, 0)


def _begin(
    store: Store, table: Path, options: ImportOptions, device: str, candidates: Sequence[Candidate]
) -> int:  # fmt: skip
    conditions = {
        "device": device,
        "cpu": "measured elsewhere",
        "cores": 0,
        "governor": "unknown",
        "threads": 1,
        "versions": {},
        "unit": options.unit,
        "latency": {one.name: f"measured elsewhere, in {options.unit}" for one in candidates},
        "candidates": {one.name: one.model.digest for one in candidates},
        "data": {"root": str(table.absolute().parent), "form": "imported"},
    }
    return begin_run(store, {"started": _utc(), "command": "store import", "conditions": json.dumps(conditions)})


def _write_answers(
    store: Store, table: Path, samples: Mapping[str, _Sample], entries: Sequence[Entry], candidates: Sequence[Candidate]
) -> None:
    keys = {one.name: one.prediction_key for one in candidates}
    truth = truth_digest(NO_LABEL, "")
    with Writer(store) as writer:
        for entry in entries:
            one = samples[entry.sample]
            writer.add(SAMPLES, sample_row(entry, f"{table.name}#{entry.row}", Opening()))
            if one.features:
                vector = np.array(one.features, "<f4").tobytes()
                writer.add(FEATURES, {"version": FAMILY, "sample": entry.sample, "vector": vector})
            for name, (score, confidence, cost) in one.answers.items():
                key = {"prediction_key": keys[name], "sample": entry.sample}
                writer.add(PREDICTIONS, {
                    **key, "truth": NO_LABEL, "truth_rank": 0, "status": "ok", "reason": "",
                    "entropy": -math.log(max(confidence, 1e-9)), "latency_ms": cost, "labels": None,
                    "probabilities": np.array([confidence], "<f4").tobytes(),
                })  # fmt: skip
                writer.add(OUTCOMES, {**key, "outcome": ""})
                writer.add(SCORES, {**key, "criterion": "score", "truth": truth, "score": score})


def _write_costs(
    store: Store, samples: Mapping[str, _Sample], candidates: Sequence[Candidate], device: str, run: int, featured: bool
) -> None:
    def row(subject: str, values: Sequence[float]) -> dict[str, Any]:
        taken = np.asarray(values)
        mean, half = float(taken.mean()), 1.96 * float(taken.std()) / math.sqrt(len(taken))
        median, p90, p99 = (float(one) for one in np.quantile(taken, (0.5, 0.9, 0.99)))
        timing = Timing(len(taken), mean, median, p90, p99, mean - half, mean + half, True)
        return timing_row(device, subject, StoredTiming(timing, Footprint(), math.nan, math.nan, b"", run))

    answers = [one.answers for one in samples.values()]
    rows = [row(one.timing_key, [of[one.name][2] for of in answers if one.name in of]) for one in candidates]
    rows.append(row(decode_subject(1), [MIN_COST] * len(samples)))
    version, costs = domain_of(MEASURED_TASK).features_version, []
    if featured:
        rows.append(row(features_subject(version, 1), [MIN_COST] * len(samples)))
        key = {"device": device, "version": version, "threads": 1, "part": FAMILY.partition(":")[0]}
        costs.append({**key, "count": len(samples), "mean_ms": MIN_COST})
    write_timings(store, rows, costs)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
