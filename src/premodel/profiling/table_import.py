"""Answers that were measured elsewhere, as a store: scores and costs of candidates from a CSV or Parquet table."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import MEASURED_TASK
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, OptionError
from premodel.fields import Fields
from premodel.files import file_sha256
from premodel.profiling.datasets.parquet import open_parquet
from premodel.profiling.table_features import RowFeatures, read_number
from premodel.records import Footprint, Timing
from premodel.runtime.conditions import device_name
from premodel.store.features import StoredFamily, describe_families, describe_groups
from premodel.store.groups import group_key
from premodel.store.measurements import StoredTiming, decode_subject, features_subject, timing_row, write_timings
from premodel.store.outcomes import truth_digest
from premodel.store.runs import begin_run, end_run, register_zoo
from premodel.store.samples import NO_LABEL, Entry, Opening, register_samples, sample_row
from premodel.store.schema import FEATURES, OUTCOMES, PREDICTIONS, SAMPLES, SCORES
from premodel.store.store import Store
from premodel.store.writer import Writer
from premodel.zoo.candidate import Candidate, Model

FAMILY = "imported:1"
MIN_COST = 1e-9
"""What decoding and features are charged, which the table does not say: nothing, as near as a timing may be."""


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
        Columns of numbers that are known before a candidate runs, or of lists of as many numbers in each row.
    text:
        Column of texts whose length and signs are taken as features besides.
    words:
        Features of a bag of words of that text, into which all its words are hashed; 0 for none.
    embedding:
        Compute an embedding of that text (`Domain.with_embedding`).
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
    embedding: bool = False
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
    features: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


def import_table(table: Path, store: Store, options: ImportOptions) -> ImportReport:
    """Store what a table holds; a store that holds something else of the same zoo keeps it.

    Raises
    ------
    DatasetError
        The table cannot be read, lacks a column, or holds a value that is none; the row is named.
    OptionError
        No cost is known of a candidate, or what is wanted of a text has no text.
    MissingExtraError
        An embedding is wanted whose package is not installed.
    """
    computed = RowFeatures(options.features, options.text, options.words, embedding=options.embedding)
    rows = _read(table)
    if not rows:
        raise DatasetError("the table has no rows", where=table)
    samples = _samples(rows, table, options, computed)
    names = tuple(dict.fromkeys(name for one in samples.values() for name in one.answers))
    digest = file_sha256(table)
    candidates = [_candidate(name, digest, table) for name in names]
    families = _families(computed)
    features = tuple(name for family in families for name in family.names)
    register_zoo(store, (), candidates, 1)
    device = options.device or device_name()
    run = _begin(store, table, options, device, candidates)
    entries = [Entry(one.row, sample, NO_LABEL, len(one.text.encode())) for sample, one in samples.items()]
    register_samples(store, [f"{table.name}#{number}" for number in range(len(rows))], entries)
    keys = [family.key for family in families]
    if families:
        describe_families(store, families, domain_of(MEASURED_TASK).features_version)
        describe_groups(store, [keys])
    _write_answers(store, table, samples, entries, candidates, keys)
    # A time that was measured here is no cost in another unit.
    embedding_ms = computed.embedding_ms if options.unit == "ms" else MIN_COST
    items = {family.key.partition(":")[0]: MIN_COST if family.key == FAMILY else embedding_ms for family in families}
    _write_costs(store, samples, candidates, device, run, items)
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


def _families(computed: RowFeatures) -> list[StoredFamily]:
    """What the features are stored as; each costs what its family does."""
    found = [(FAMILY, computed.names)] if computed.names else []
    if computed.group is not None:
        found.append((computed.group.key, computed.group.names))
    return [StoredFamily(key, names, dict.fromkeys(names, (key.partition(":")[0],))) for key, names in found]


def _samples(
    rows: Sequence[Mapping[str, Any]], table: Path, options: ImportOptions, computed: RowFeatures
) -> dict[str, _Sample]:
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
            one.features = computed.of(row, where)
        pairs = [(name, row[name]) for name in options.scores] or [(str(row[options.candidate]), row[options.score])]
        for name, value in pairs:
            score = read_number(value, "score", where, 0, 1)
            sure = (
                1.0 if options.confidence is None else read_number(row[options.confidence], "confidence", where, 0, 1)
            )
            if options.cost is not None:
                cost = read_number(row[options.cost], "cost", where, 0)
            elif name in options.costs:
                cost = options.costs[name]
            else:
                raise OptionError(
                    "no cost is known", given=name, do="name a column of costs, or one cost for all samples"
                )
            one.answers.setdefault(name, (score, sure, max(cost, MIN_COST)))
    return found


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
    store: Store, table: Path, samples: Mapping[str, _Sample], entries: Sequence[Entry],
    candidates: Sequence[Candidate], families: Sequence[str],
) -> None:  # fmt: skip
    keys = {one.name: one.prediction_key for one in candidates}
    truth = truth_digest(NO_LABEL, "")
    with Writer(store) as writer:
        for entry in entries:
            one = samples[entry.sample]
            writer.add(SAMPLES, sample_row(entry, f"{table.name}#{entry.row}", Opening()))
            if families:
                vector = one.features.astype("<f4").tobytes()
                writer.add(FEATURES, {"version": group_key(families), "sample": entry.sample, "vector": vector})
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
    store: Store, samples: Mapping[str, _Sample], candidates: Sequence[Candidate], device: str, run: int,
    items_ms: Mapping[str, float],
) -> None:  # fmt: skip
    def row(subject: str, values: Sequence[float]) -> dict[str, Any]:
        taken = np.asarray(values)
        mean, half = float(taken.mean()), 1.96 * float(taken.std()) / math.sqrt(len(taken))
        median, p90, p99 = (float(one) for one in np.quantile(taken, (0.5, 0.9, 0.99)))
        timing = Timing(len(taken), mean, median, p90, p99, mean - half, mean + half, True)
        return timing_row(device, subject, StoredTiming(timing, Footprint(), math.nan, math.nan, b"", run))

    answers = [one.answers for one in samples.values()]
    rows = [row(one.timing_key, [of[one.name][2] for of in answers if one.name in of]) for one in candidates]
    rows.append(row(decode_subject(1), [MIN_COST] * len(samples)))
    version = domain_of(MEASURED_TASK).features_version
    if items_ms:
        rows.append(row(features_subject(version, 1), [sum(items_ms.values())] * len(samples)))
    key = {"device": device, "version": version, "threads": 1, "count": len(samples)}
    costs = [{**key, "part": part, "mean_ms": mean_ms} for part, mean_ms in items_ms.items()]
    write_timings(store, rows, costs)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
