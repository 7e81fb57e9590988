"""From a store to tables: one read, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.domains.base import Domain
from premodel.errors import OptionError, StoreError
from premodel.fields import shown
from premodel.profiling.options import PASSES
from premodel.profiling.sustained import judge_soak
from premodel.records import Footprint, Timing
from premodel.runtime.conditions import device_name
from premodel.store.answers import StoredAnswers, read_answers
from premodel.store.damage import damaged
from premodel.store.failures import failure_reasons
from premodel.store.features import StoredExtractor, read_extractor, read_features
from premodel.store.left_out import LEFT_OUT_OF_RACE, LeftOut, left_out_names
from premodel.store.measurements import (
    KEY,
    StoredTiming,
    decode_subject,
    features_subject,
    read_energy,
    read_item_costs,
    read_timings,
    timed_devices,
    unpack_runs,
)
from premodel.store.outcomes import read_graded, read_latencies, read_outcomes
from premodel.store.runs import (
    SOAK,
    StoredCandidate,
    otherwise,
    profile_command,
    read_candidates,
    read_labels,
    read_opencv_threads,
    run_conditions,
    unrepeatable,
)
from premodel.store.samples import read_samples
from premodel.store.soaks import BURST, IDLE, TIMINGS, Curve, read_soaks
from premodel.store.store import Store
from premodel.training.tables import FeatureCosts, Tables
from premodel.zoo.candidate import Candidate


def load_tables(
    store: str | Path | Store,
    *,
    device: str | None = None,
    candidates: Sequence[str] | None = None,
    passes: Sequence[str] = PASSES,
    partial: bool = False,
    timings: str = BURST,
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
    timings:
        Whose latencies: "burst" of the timing pass, "sustained" of a soak's end, "idle" of single requests.

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
        return _load(store, device, candidates, passes, partial, timings)
    with Store(store) as opened:
        return _load(opened, device, candidates, passes, partial, timings)


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
        chosen = read_candidates(connection, store, names)
    return tuple(one.candidate() for one in chosen)


SLOWNESS_VALUES = 200
_UNTIMED = StoredTiming(
    Timing(0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, False, "not timed"),
    Footprint(),
    math.nan,
    math.nan,
    b"",
    0,
)


def _load(
    store: Store,
    device: str | None,
    names: Sequence[str] | None,
    passes: Sequence[str],
    partial: bool,
    which: str,
) -> Tables:
    if which not in TIMINGS:
        raise OptionError("unknown timings", given=which, allowed=", ".join(TIMINGS))
    with store.reading() as connection:
        chosen = read_candidates(connection, store, names)
        left = {} if names is not None else left_out_names(connection)
        label_names = read_labels(connection)
        samples, truth = read_samples(connection, len(label_names))
        first = chosen[0].candidate()
        domain = first.domain
        if domain.answers_labels:
            answers = [read_answers(connection, store.name, one, samples, truth, len(label_names)) for one in chosen]
        else:
            answers = [read_outcomes(connection, store.name, one, samples) for one in chosen]
        graded = read_graded(connection, store.name, chosen, samples, answers, domain.graded)
        took_ms = [read_latencies(connection, one, samples) for one in chosen] if domain.latency_varies else []
        extractor = read_extractor(connection, domain.features_version)
        version = extractor.version
        domain = domain.with_features(version)
        features, featured = read_features(connection, extractor.families, samples)
        opencv_threads = read_opencv_threads(connection)
        device = _device(timed_devices(connection), store, device, "timings" in passes)
    featuring = "features" in passes and bool(domain.feature_groups)
    _refuse_other_features(domain, extractor)
    rows = _complete_rows(store, chosen, answers, featured if featuring else None, partial)
    timings, soaks = read_timings(store, device), read_soaks(store, device)
    with store.reading() as connection:
        cost_items_ms = read_item_costs(connection, device, version, opencv_threads)
        reasons = failure_reasons(connection)
    if which != BURST and "timings" in passes:
        chosen_subjects = [one.timing_key for one in chosen]
        chosen_subjects += [decode_subject(opencv_threads, first.model.detail)]
        chosen_subjects += [features_subject(version, opencv_threads)] if featuring and extractor.families else []
        curve = soak_of(store, soaks, which, chosen_subjects)
        timings |= {key: replace(timings.get(key, _UNTIMED), timing=one) for key, one in curve.timing.items()}
        cost_items_ms = curve.parts_ms.get(features_subject(version, opencv_threads), cost_items_ms)
    energy = read_energy(store, device).conditions
    if "timings" in passes:
        subjects = {one.name: one.timing_key for one in chosen} | {
            "decode": decode_subject(opencv_threads, first.model.detail)
        }
        if "features" in passes and extractor.families:
            subjects["features"] = features_subject(version, opencv_threads)
            timed = timings.get(features_subject(version, opencv_threads))
            _refuse_unknown_items(store, extractor, cost_items_ms, timed)
        _refuse_untimed(store, device, subjects, timings)
    records = [timings.get(one.timing_key, _UNTIMED) for one in chosen]
    decoding = timings.get(decode_subject(opencv_threads, first.model.detail), _UNTIMED)
    mean_ms = np.array([record.timing.mean_ms for record in records])
    sample_ms = _sample_latencies(np.stack(took_ms, axis=1)[rows], mean_ms) if took_ms else None
    return Tables(
        samples=tuple(samples[row] for row in rows),
        truth=truth[rows],
        label_names=label_names,
        candidates=tuple(one.name for one in chosen),
        networks=tuple(one.candidate().network_key for one in chosen),
        top_labels=np.stack([one.labels[rows] for one in answers], axis=1),
        top_probabilities=np.stack([one.probabilities[rows] for one in answers], axis=1),
        entropy=np.stack([one.entropy[rows] for one in answers], axis=1),
        rank=np.stack([one.rank[rows] for one in answers], axis=1),
        latency_ms=mean_ms,
        decode_ms=decoding.timing.mean_ms,
        timings=tuple(record.timing for record in records),
        features=features[rows],
        feature_names=extractor.names,
        feature_costs=FeatureCosts(cost_items_ms, extractor.needs),
        memory_mb=np.array([record.footprint.memory_mb for record in records]),
        load_ms=np.array([record.footprint.load_ms for record in records]),
        energy_mj=np.array([record.energy_mj for record in records]),
        conditions={
            **run_conditions(store, max((record.run for record in records), default=0) or None),
            **({KEY: asdict(energy)} if energy else {}),
            "extractor": version,
            "decode_valid": decoding.timing.valid,
            "left_out_samples": int(len(samples) - len(rows)),
            **({} if which == BURST else {"timings": which}),
            **({SOAK: {kind: judge_soak(one).to_json() for kind, one in soaks.items()}} if soaks else {}),
            **_notes(store, device, chosen, left),
        },
        task=first.model.task,
        graded={criterion: scores[rows] for criterion, scores in graded.items()},
        sample_ms=sample_ms,
        outcome_length=_outcome_lengths(answers, rows),
        slowness=_slowness(records),
        failures={one.name: reasons[one.prediction_key] for one in chosen if one.prediction_key in reasons},
    )


def _outcome_lengths(answers: Sequence[StoredAnswers], rows: NDArray[np.intp]) -> NDArray[np.int32] | None:
    """See `Tables.outcome_length`; None where no candidate's outcomes are kept."""
    lengths = [one.outcome_length[rows] for one in answers if one.outcome_length is not None]
    if len(lengths) < len(answers) or not any((one >= 0).any() for one in lengths):
        return None
    return np.stack(lengths, axis=1)


def _slowness(records: Sequence[StoredTiming]) -> tuple[float, ...]:
    """See `Tables.slowness`."""
    levels = (np.arange(SLOWNESS_VALUES) + 0.5) / SLOWNESS_VALUES
    runs = [np.asarray(unpack_runs(record.runs_ms)) for record in records if record.runs_ms]
    relative = [np.quantile(one / one.mean(), levels) for one in runs if one.mean() > 0]
    return tuple(np.mean(relative, axis=0).tolist()) if relative else ()


def soak_of(store: Store, soaks: Mapping[str, Curve], kind: str, subjects: Sequence[str]) -> Curve:
    """The curve of a kind, which must hold all these subjects.

    Raises
    ------
    StoreError
        There is none, or a subject was not measured in it.
    """
    curve = soaks.get(kind)
    missing = [one for one in subjects if curve is None or not curve.timing.get(one, _UNTIMED.timing).count]
    if curve is None or missing:
        every = " --every 1s" if kind == IDLE else ""
        raise StoreError(
            f"the store holds no {kind} latencies" + ("" if curve is None else f" of {len(missing)} of its subjects"),
            where=store.name, do=f"{profile_command(store)} --soak 30m{every}",
        )  # fmt: skip
    return curve


def _sample_latencies(took_ms: NDArray[np.float64], mean_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 (n, m): latency of each candidate on each sample, of the mean that was timed.

    The prediction pass runs each sample once, perhaps beside other workers: how its times compare is taken from there,
    how long they are from the timing pass. A prediction that failed counts with the mean.
    """
    own = np.nanmean(took_ms, axis=0)
    scaled = took_ms * np.where(np.isfinite(mean_ms), mean_ms / own, 1.0)
    return np.where(np.isnan(scaled), np.nanmean(scaled, axis=0), scaled)


def _notes(store: Store, device: str, chosen: Sequence[StoredCandidate], left: Mapping[str, LeftOut]) -> dict[str, Any]:
    """Who does not repeat itself, or answers otherwise there, what was made from others, who was left out; if any."""
    out: dict[str, Any] = {LEFT_OUT_OF_RACE: {name: one.samples for name, one in left.items()}} if left else {}
    for condition, counts in (("unrepeatable", unrepeatable(store)), ("otherwise", otherwise(store, device))):
        differ = {one.name: list(counts[one.prediction_key]) for one in chosen if one.prediction_key in counts}
        out |= {condition: differ} if differ else {}
    origins = {one.name: model.origin.kind for one in chosen if (model := one.candidate().model).origin is not None}
    return ({"siblings": origins} if origins else {}) | out


def _complete_rows(
    store: Store,
    candidates: Sequence[StoredCandidate],
    answers: Sequence[StoredAnswers],
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
        raise StoreError(
            "the store holds no complete sample", where=store.name, do=profile_command(store, "predictions")
        )
    return rows


def _device(devices: Sequence[str], store: Store, wanted: str | None, needed: bool) -> str:
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


def _refuse_missing(store: Store, name: str, what: str, missing: NDArray[np.bool_], partial: bool) -> None:
    count = int(missing.sum())
    if count and not partial:
        raise StoreError(
            "the profile is not complete",
            where=store.name,
            given=f"{count} of {len(missing)} samples lack {what}",
            do=profile_command(store, name),
        )


def _refuse_other_features(domain: Domain, extractor: StoredExtractor) -> None:
    """Refuse families that are described otherwise than this release computes them under the same key."""
    own = {group.key: group for group in domain.feature_groups}
    for family in extractor.families:
        group = own.get(family.key)
        if group is None:
            continue
        needs = {name: tuple(parts) for name, parts in family.needs.items()}
        if family.names != group.names or needs != {name: tuple(parts) for name, parts in group.needs.items()}:
            raise damaged("extractors", family.key, shown(family.names), shown(group.names))


def _refuse_unknown_items(
    store: Store, extractor: StoredExtractor, cost_items_ms: Mapping[str, float], timed: StoredTiming | None
) -> None:
    """Of what was timed; where that was broken off, the same pass ends it."""
    needed = {part for parts in extractor.needs.values() for part in parts}
    lacking = sorted(needed - set(cost_items_ms))
    if timed is None or not lacking:
        return
    do = profile_command(store, "timings")
    if timed.unfinished:
        raise StoreError("timing of the features was broken off", where=store.name, do=do)
    raise StoreError(
        "cost items of the features have no cost", where=store.name,
        given=f"{len(lacking)} of {len(needed)} have none, such as {lacking[0]}", do=f"{do} --retime all",
    )  # fmt: skip


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
                do=profile_command(store, "timings"),
            )
