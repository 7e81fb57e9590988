"""From a store to tables: one read, no network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from premodel.errors import OptionError, StoreError
from premodel.profiling.energy_records import KEY, read_energy
from premodel.profiling.footprint import Footprint
from premodel.profiling.profile import PASSES
from premodel.profiling.runs import run_conditions
from premodel.profiling.timing_records import StoredTiming, decode_subject, features_subject, read_timings
from premodel.records import TOP_K, Timing
from premodel.runtime.conditions import device_name
from premodel.store.schema import (
    CANDIDATES,
    EXTRACTORS,
    FEATURE_COSTS,
    FEATURES,
    LABELS,
    PENULTIMATE,
    PREDICTIONS,
    SAMPLES,
    STORE,
    TIMINGS,
)
from premodel.store.store import Store
from premodel.training.tables import FeatureCosts, Tables
from premodel.zoo.candidate_json import candidate_from_json
from premodel.zoo.manifest import Candidate


@dataclass(frozen=True)
class StoredCandidate:
    """A candidate of the zoo profiled last."""

    name: str
    prediction_key: str
    timing_key: str
    manifest: str


def load_tables(
    store: str | Path | Store,
    *,
    device: str | None = None,
    candidates: Sequence[str] | None = None,
    passes: Sequence[str] = PASSES,
    partial: bool = False,
) -> Tables:
    """Read a profile as arrays; samples are in the order of their digests.

    Parameters
    ----------
    store:
        A file of SQLite, an SQLAlchemy URL, or an opened store.
    device:
        Whose timings; None for this machine's, or for those of the only device there is.
    candidates:
        Names of those wanted, in this order; None for all of the zoo profiled last, in its order.
    passes:
        Passes that must be there: without "timings" latencies may be NaN, without "features" there may be none.
    partial:
        Leave out samples that lack an answer, instead of refusing the profile.

    Raises
    ------
    StoreError
        The store cannot be read, or a pass is missing or incomplete; the message names the command that brings it.
    OptionError
        A candidate or device is unknown.

    Examples
    --------
    >>> tables = load_tables("profile.db")
    >>> tables.candidates, tables.correct("top1").shape
    (('small', 'large'), (60, 2))
    """
    if isinstance(store, Store):
        return _load(store, device, candidates, passes, partial)
    with Store(store) as opened:
        return _load(opened, device, candidates, passes, partial)


def load_candidates(store: str | Path | Store, names: Sequence[str] | None = None) -> tuple[Candidate, ...]:
    """The candidates of the zoo profiled last, ready to be opened; their files are where they were profiled.

    Raises
    ------
    StoreError
        The store cannot be read, or holds no candidates.
    OptionError
        A candidate is unknown.
    """
    if not isinstance(store, Store):
        with Store(store) as opened:
            return load_candidates(opened, names)
    with store.reading() as connection:
        chosen = _candidates(connection, store, names)
    return tuple(_candidate(one) for one in chosen)


@dataclass(frozen=True, eq=False)
class _Answers:
    """One candidate's answers to all samples; `there` is False where one is missing or was about another label."""

    there: NDArray[np.bool_]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    rank: NDArray[np.int32]


_UNTIMED = StoredTiming(
    Timing(0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, False, "not timed"),
    Footprint(),
    math.nan,
    math.nan,
    b"",
    0,
)


def _load(
    store: Store, device: str | None, names: Sequence[str] | None, passes: Sequence[str], partial: bool
) -> Tables:
    with store.reading() as connection:
        chosen = _candidates(connection, store, names)
        label_names = tuple(connection.scalars(select(LABELS.c.name).order_by(LABELS.c.label)))
        samples, truth = _samples(connection)
        answers = [_answers(connection, store, one, samples, truth, len(label_names)) for one in chosen]
        version, feature_names, needs = _extractor(connection)
        features, featured = _features(connection, version, samples, len(feature_names))
        opencv_threads = _opencv_threads(connection)
        device = _device(connection, store, device, "timings" in passes)
        parts_ms = _parts_ms(connection, device, version, opencv_threads)
    rows = _complete_rows(store, chosen, answers, featured if "features" in passes else None, partial)
    timings = read_timings(store, device)
    energy = read_energy(store, device).conditions
    if "timings" in passes:
        subjects = {one.name: one.timing_key for one in chosen} | {"decode": decode_subject(opencv_threads)}
        if "features" in passes:
            subjects["features"] = features_subject(version, opencv_threads)
        _refuse_untimed(store, device, subjects, timings)
    records = [timings.get(one.timing_key, _UNTIMED) for one in chosen]
    decoding = timings.get(decode_subject(opencv_threads), _UNTIMED)
    return Tables(
        samples=tuple(samples[row] for row in rows),
        truth=truth[rows],
        label_names=label_names,
        candidates=tuple(one.name for one in chosen),
        networks=tuple(_candidate(one).network_key for one in chosen),
        top_labels=np.stack([one.labels[rows] for one in answers], axis=1),
        top_probabilities=np.stack([one.probabilities[rows] for one in answers], axis=1),
        entropy=np.stack([one.entropy[rows] for one in answers], axis=1),
        rank=np.stack([one.rank[rows] for one in answers], axis=1),
        latency_ms=np.array([record.timing.mean_ms for record in records]),
        decode_ms=decoding.timing.mean_ms,
        timings=tuple(record.timing for record in records),
        features=features[rows],
        feature_names=feature_names,
        feature_costs=FeatureCosts(parts_ms, needs),
        memory_mb=np.array([record.footprint.memory_mb for record in records]),
        energy_mj=np.array([record.energy_mj for record in records]),
        conditions={
            **run_conditions(store, max((record.run for record in records), default=0) or None),
            **({KEY: asdict(energy)} if energy else {}),
            "extractor": version,
            "decode_valid": decoding.timing.valid,
            "left_out_samples": int(len(samples) - len(rows)),
        },
    )


def _complete_rows(
    store: Store,
    candidates: Sequence[StoredCandidate],
    answers: Sequence[_Answers],
    featured: NDArray[np.bool_] | None,
    partial: bool,
) -> NDArray[np.intp]:
    """Samples that have every answer, and features if they are asked for."""
    complete = np.logical_and.reduce([one.there for one in answers])
    for one, found in zip(candidates, answers, strict=True):
        _refuse_missing(store, "predictions", f"an answer of {one.name}", ~found.there, partial)
    if featured is not None:
        _refuse_missing(store, "features", "their features", complete & ~featured, partial)
        complete &= featured
    rows = np.flatnonzero(complete)
    if not len(rows):
        raise StoreError("the store holds no complete sample", where=store.name, do=_command(store, "predictions"))
    return rows


def _candidates(connection: Connection, store: Store, names: Sequence[str] | None) -> list[StoredCandidate]:
    c = CANDIDATES.c
    query = select(c.name, c.prediction_key, c.timing_key, c.manifest)
    found = [
        StoredCandidate(*row) for row in connection.execute(query.where(c.position.is_not(None)).order_by(c.position))
    ]
    if not found:
        raise StoreError("the store holds no candidates", where=store.name, do=_command(store))
    if names is None:
        return found
    by_name = {one.name: one for one in found}
    for name in names:
        if name not in by_name:
            raise OptionError("unknown candidate", where=store.name, given=name, allowed=", ".join(by_name))
    return [by_name[name] for name in names]


def _candidate(stored: StoredCandidate) -> Candidate:
    return candidate_from_json(json.loads(stored.manifest), Path("/"), StoreError)


def _samples(connection: Connection) -> tuple[list[str], NDArray[np.int32]]:
    c = SAMPLES.c
    rows = connection.execute(select(c.sample, c.label).where(c.status != "unreadable").order_by(c.sample)).all()
    return [str(sample) for sample, _ in rows], np.array([label for _, label in rows], np.int32)


def _answers(
    connection: Connection,
    store: Store,
    candidate: StoredCandidate,
    samples: Sequence[str],
    truth: NDArray[np.int32],
    n_labels: int,
) -> _Answers:
    c = PREDICTIONS.c
    query = select(c.sample, c.truth, c.truth_rank, c.entropy, c.labels, c.probabilities)
    query = query.where(c.prediction_key == candidate.prediction_key)
    position = {sample: row for row, sample in enumerate(samples)}
    n, k = len(samples), min(TOP_K, n_labels)
    found = _Answers(
        np.zeros(n, np.bool_),
        np.full((n, k), -1, np.int32),
        np.zeros((n, k), np.float32),
        np.zeros(n, np.float32),
        np.full(n, n_labels, np.int32),
    )
    stored = [(position[row[0]], *row[1:]) for row in connection.execute(query) if row[0] in position]
    if not stored:
        return found
    at, labels_of, ranks, entropies, labels, probabilities = zip(*stored, strict=True)
    rows = np.array(at, np.intp)
    found.there[rows] = np.array(labels_of, np.int32) == truth[rows]
    found.rank[rows] = ranks
    answered = np.array([blob is not None for blob in labels], np.bool_)  # not failed
    try:
        found.labels[rows[answered]] = np.frombuffer(b"".join(filter(None, labels)), "<i4").reshape(-1, k)
        found.probabilities[rows[answered]] = np.frombuffer(b"".join(filter(None, probabilities)), "<f4").reshape(-1, k)
    except ValueError as error:
        raise StoreError(f"damaged answers of {candidate.name} ({error})", where=store.name) from error
    found.entropy[rows[answered]] = [entropy for entropy in entropies if entropy is not None]
    return found


def _extractor(connection: Connection) -> tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The extractor whose features the store holds; the newest if there are several."""
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names, c.needs).where(~c.version.startswith(PENULTIMATE))).all()
    if not rows:
        return "", (), {}
    version, names, needs = max(rows, key=lambda row: row[0].zfill(16) if row[0].isdigit() else row[0])
    return version, tuple(json.loads(names)), {name: tuple(parts) for name, parts in json.loads(needs).items()}


def _features(
    connection: Connection, version: str, samples: Sequence[str], width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of all samples, and which of them are there."""
    c = FEATURES.c
    stored = {
        str(sample): bytes(vector)
        for sample, vector in connection.execute(select(c.sample, c.vector).where(c.version == version))
        if len(vector) == 4 * width
    }
    there = np.array([sample in stored for sample in samples], np.bool_)
    features = np.zeros((len(samples), width), np.float32)
    flat = np.frombuffer(b"".join(stored[sample] for sample in samples if sample in stored), "<f4")
    features[there] = flat.reshape(-1, width) if width else 0
    return features, there


def _opencv_threads(connection: Connection) -> int:
    value = connection.scalar(select(STORE.c.value).where(STORE.c.name == "opencv_threads"))
    return int(value) if value else 1


def _device(connection: Connection, store: Store, wanted: str | None, needed: bool) -> str:
    devices = sorted(str(name) for name in connection.scalars(select(TIMINGS.c.device).distinct()))
    if wanted is not None:
        if needed and wanted not in devices:
            raise OptionError("no timings of this device", where=store.name, given=wanted, allowed=", ".join(devices))
        return wanted
    here = device_name()
    if here in devices or not devices:
        return here
    if len(devices) > 1:
        raise OptionError("timings of several devices", where=store.name, allowed=", ".join(devices), do="name one")
    return devices[0]


def _parts_ms(connection: Connection, device: str, version: str, opencv_threads: int) -> Mapping[str, float]:
    c = FEATURE_COSTS.c
    query = select(c.part, c.mean_ms).where(c.device == device, c.version == version, c.threads == opencv_threads)
    return {str(part): float(mean_ms) for part, mean_ms in connection.execute(query)}


def _refuse_missing(store: Store, name: str, what: str, missing: NDArray[np.bool_], partial: bool) -> None:
    count = int(missing.sum())
    if count and not partial:
        raise StoreError(
            "the profile is not complete",
            where=store.name,
            given=f"{count} of {len(missing)} samples lack {what}",
            do=_command(store, name),
        )


def _refuse_untimed(
    store: Store, device: str, subjects: Mapping[str, str], timings: Mapping[str, StoredTiming]
) -> None:
    for name, key in subjects.items():
        record = timings.get(key)
        if record is None or record.timing.count == 0:
            raise StoreError(
                f"{name} has no timings on this device" + (f" ({record.timing.reason})" if record else ""),
                where=store.name,
                given=device,
                do=_command(store, "timings"),
            )


def _command(store: Store, name: str = "") -> str:
    only = f" --only {name}" if name else ""
    return f"run: premodel profile ZOO.toml DATA --store {store.name}{only}"
