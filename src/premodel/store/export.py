"""Exporting a profile: as one table for analysis elsewhere, or whole into another store."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from premodel.errors import MissingExtraError, OptionError, StoreError
from premodel.files import replacing
from premodel.store.answers import read_answers
from premodel.store.damage import number, whole
from premodel.store.features import StoredExtractor, read_extractor, read_features
from premodel.store.measurements import MAX_STORED
from premodel.store.outcomes import (
    read_latencies,
    read_outcomes,
    read_scores,
    read_texts,
    read_truths,
    stored_criteria,
)
from premodel.store.rows import fetch_plain, merge
from premodel.store.runs import StoredCandidate, read_candidates, read_labels
from premodel.store.samples import read_samples
from premodel.store.schema import (
    LABELS,
    LEFT_OUT,
    METADATA,
    PREDICTIONS,
    SAMPLES,
    STORE,
    TRUTHS,
)
from premodel.store.store import Store
from premodel.store.summary import summarise_store

BATCH_ROWS = 1_000
FIRST_OF = {"labels": "label", "probabilities": "probability"}
STORE_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def export(store: Store, to: str) -> int:
    """Write what the store holds; gives the number of samples, or of rows when copied to a store.

    Parameters
    ----------
    to:
        A `.parquet` or `.csv` file, which is replaced if it is there; or a `.db` file or an SQLAlchemy URL, to which
        everything is copied, rows of the same key being replaced.

    Notes
    -----
    The table has one row per sample: `sample, name, label, label_name`, one column per feature, and per candidate
    `<candidate>.rank` (of the truth, from 0), `.entropy`, `.latency_ms` (of this one run), `.labels` and
    `.probabilities` (the top 20, lists; in CSV `.label` and `.probability`, the first of them). Where answers are texts
    it has `sample, name, truth`, and per candidate `.outcome`, `.probability`, `.latency_ms` and its scores. What is
    missing is null (empty in CSV). The timing records and conditions are in the Parquet file's metadata under
    `premodel`.

    Raises
    ------
    OptionError
        The target is of no known kind.
    StoreError
        It cannot be written, or is a store of another list of labels.
    """
    suffix = Path(to).suffix.lower()
    file = Path(to)
    if "://" in to or (suffix in STORE_SUFFIXES and file.exists()):
        with Store(to, create=True) as target:
            return copy_store(store, target)
    if suffix not in (".parquet", ".csv", *STORE_SUFFIXES):
        raise OptionError(
            "unknown kind of export", given=to, allowed=".parquet, .csv, " + ", ".join(STORE_SUFFIXES) + ", or a URL"
        )
    try:
        with replacing(file) as part:
            if suffix in STORE_SUFFIXES:
                part.unlink(missing_ok=True)
                with Store(part, create=True) as target:
                    return copy_store(store, target)
            return _write_parquet(store, part) if suffix == ".parquet" else _write_csv(store, part)
    except OSError as error:
        raise StoreError(f"the export cannot be written: {os.strerror(error.errno or 0)}", where=file) from error


def copy_store(store: Store, target: Store) -> int:
    """Copy every row, in one transaction; gives their number.

    Raises
    ------
    StoreError
        The target belongs to another list of labels, or is the store itself.
    """
    if store.url == target.url:
        raise StoreError("a store cannot be exported to itself", where=store.name)
    labels = select(LABELS.c.name).order_by(LABELS.c.label)
    with store.reading() as connection, target.reading() as other:
        theirs = other.scalars(labels).all()
        if theirs and theirs != connection.scalars(labels).all():
            raise StoreError("the target belongs to another list of labels", where=target.name)

    def copy(other: Connection) -> int:
        count = 0
        with store.reading() as connection:
            for table in METADATA.sorted_tables:
                rows = connection.execution_options(yield_per=BATCH_ROWS).execute(select(table)).mappings()
                for batch in rows.partitions():
                    values = [dict(row) for row in batch]
                    if table is STORE:
                        values = [row for row in values if row["name"] == "opencv_threads"]
                    merge(other, table, values)
                    count += len(values)
        return count

    return target.write(copy)


def _write_csv(store: Store, file: Path) -> int:
    count = 0
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        for batch in _batches(store):
            flat = [dict(_flat(name, value) for name, value in row.items()) for row in batch]
            if not count and flat:
                writer.writerow(flat[0])
            writer.writerows(row.values() for row in flat)
            count += len(flat)
    return count


def _flat(name: str, value: Any) -> tuple[str, Any]:
    """A column of the CSV table, which holds no lists: the first of a list stands for it."""
    stem, _, field = name.rpartition(".")
    if field not in FIRST_OF:
        return name, value
    return f"{stem}.{FIRST_OF[field]}", value[0] if value else None


def _write_parquet(store: Store, file: Path) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    schema = pa.schema(
        [(name, _arrow_type(pa, name, kind)) for name, kind in _columns(store)],
        metadata={"premodel": json.dumps(asdict(summarise_store(store)))},
    )
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(store):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def _arrow_type(pa: Any, name: str, kind: str) -> Any:
    simple = {"text": pa.string(), "int": pa.int32(), "float": pa.float32()}
    if name.endswith(".labels"):
        return pa.list_(pa.int32())
    if name.endswith(".probabilities"):
        return pa.list_(pa.float32())
    return simple[kind]


FIXED = (("sample", "text"), ("name", "text"), ("label", "int"), ("label_name", "text"))
OF_CANDIDATE = (
    ("rank", "int"),
    ("entropy", "float"),
    ("latency_ms", "float"),
    ("labels", "int"),
    ("probabilities", "float"),
)


FIXED_WITHOUT_LABELS = (("sample", "text"), ("name", "text"), ("truth", "text"))
OF_CANDIDATE_WITHOUT_LABELS = (("outcome", "text"), ("probability", "float"), ("latency_ms", "float"))


def _columns(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        if not read_labels(connection):
            return _columns_without_labels(connection, store)
        candidates = read_candidates(connection, store, required=False)
        features = read_extractor(connection).names
    of_candidates = [(f"{one.name}.{field}", kind) for one in candidates for field, kind in OF_CANDIDATE]
    return [*FIXED, *((name, "float") for name in features), *of_candidates]


def _columns_without_labels(connection: Connection, store: Store) -> list[tuple[str, str]]:
    fields = [*OF_CANDIDATE_WITHOUT_LABELS, *((criterion, "float") for criterion in stored_criteria(connection))]
    candidates = read_candidates(connection, store, required=False)
    of_candidates = [(f"{one.name}.{field}", kind) for one in candidates for field, kind in fields]
    features = [(name, "float") for name in read_extractor(connection).names]
    return [*FIXED_WITHOUT_LABELS, *features, *of_candidates]


def _rows_without_labels(connection: Connection, store: Store) -> list[dict[str, Any]]:
    """Rows of the table where answers are texts: the truth, and each candidate's answer with its scores."""
    samples, _ = read_samples(connection, 0)
    names = dict(fetch_plain(connection, select(SAMPLES.c.sample, SAMPLES.c.name)))
    texts = dict(fetch_plain(connection, select(TRUTHS.c.sample, TRUTHS.c.truth)))
    rows: dict[str, dict[str, Any]] = {
        sample: {"sample": sample, "name": names[sample], "truth": texts.get(sample)} for sample in samples
    }
    if rows:
        _add_features(connection, rows, read_extractor(connection), samples[0], samples[-1])
    truths, criteria = read_truths(connection, samples), stored_criteria(connection)
    for one in read_candidates(connection, store, required=False):
        answers, said = read_outcomes(connection, store.name, one, samples), read_texts(connection, one)
        took_ms = read_latencies(connection, one, samples)
        scores = {name: read_scores(connection, store.name, one, samples, truths, name) for name in criteria}
        for index, (sample, row) in enumerate(rows.items()):
            there = bool(answers.there[index] and answers.labels[index, 0] >= 0)
            row[f"{one.name}.outcome"] = said.get(sample) if there else None
            row[f"{one.name}.probability"] = float(answers.probabilities[index, 0]) if there else None
            row[f"{one.name}.latency_ms"] = float(took_ms[index]) if there else None
            for name, (values, scored) in scores.items():
                row[f"{one.name}.{name}"] = float(values[index]) if scored[index] else None
    return list(rows.values())


def _batches(store: Store) -> Iterator[list[dict[str, Any]]]:
    """Rows of the table, as many samples at a time as a query may name."""
    with store.reading() as connection:
        labels = read_labels(connection)
        if not labels:
            rows_of_all = _rows_without_labels(connection, store)
            yield from (rows_of_all[start : start + BATCH_ROWS] for start in range(0, len(rows_of_all), BATCH_ROWS))
            return
        candidates = read_candidates(connection, store, required=False)
        extractor = read_extractor(connection)
        c = SAMPLES.c
        query = select(c.sample, c.name, c.label).where(*(c.status != status for status in LEFT_OUT)).order_by(c.sample)
        samples = connection.execute(query).all()
        for start in range(0, len(samples), BATCH_ROWS):
            chunk = samples[start : start + BATCH_ROWS]
            first, last = chunk[0].sample, chunk[-1].sample
            rows = {
                row.sample: {
                    "sample": row.sample,
                    "name": row.name,
                    "label": row.label,
                    "label_name": labels[whole(row.label, "samples", row.sample, "label", 0, len(labels) - 1)],
                }
                for row in chunk
            }
            _add_features(connection, rows, extractor, first, last)
            for one in candidates:
                _add_answers(connection, store, rows, one, len(labels), first, last)
            yield list(rows.values())


def _add_features(
    connection: Connection, rows: dict[str, dict[str, Any]], extractor: StoredExtractor, first: str, last: str
) -> None:
    names = extractor.names
    vectors, there = read_features(connection, extractor.families, list(rows), first, last)
    for row, vector, known in zip(rows.values(), vectors.tolist(), there, strict=True):
        row.update(zip(names, vector if known else [None] * len(names), strict=True))


def _add_answers(
    connection: Connection,
    store: Store,
    rows: dict[str, dict[str, Any]],
    candidate: StoredCandidate,
    n_labels: int,
    first: str,
    last: str,
) -> None:
    truth = np.array([row["label"] for row in rows.values()], np.int32)
    answers = read_answers(connection, store.name, candidate, list(rows), truth, n_labels, first, last)
    c = PREDICTIONS.c
    query = select(c.sample, c.latency_ms).where(
        c.prediction_key == candidate.prediction_key, c.sample.between(first, last), c.status == "ok"
    )
    took = {
        sample: number(spent, "predictions", f"{sample} of {candidate.name}", "latency_ms", 0, MAX_STORED)
        for sample, spent in fetch_plain(connection, query)
    }
    name = candidate.name
    for index, (sample, row) in enumerate(rows.items()):
        there = bool(answers.there[index]) and sample in took
        row[f"{name}.rank"] = int(answers.rank[index]) if there else None
        row[f"{name}.entropy"] = float(answers.entropy[index]) if there else None
        row[f"{name}.latency_ms"] = took[sample] if there else None
        row[f"{name}.labels"] = answers.labels[index].tolist() if there else None
        row[f"{name}.probabilities"] = answers.probabilities[index].tolist() if there else None
