"""What a store holds, in numbers: for `premodel store info` and the end of `premodel profile`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, case, func, inspect, select

from premodel.records import EnergyRecord
from premodel.store.damage import text, whole
from premodel.store.failures import failure_reasons
from premodel.store.features import count_vectors
from premodel.store.left_out import read_left_out
from premodel.store.measurements import KEY, StoredTiming, read_energy, read_timings
from premodel.store.outcomes import mean_scores, read_corpus
from premodel.store.runs import MAX_RUN, read_candidates, run_conditions
from premodel.store.schema import CANDIDATES, LABELS, LEFT_OUT, PREDICTIONS, RUNS, SAMPLES, SCORES, TIMINGS
from premodel.store.store import Store

SHOWN_UNREADABLE = 20


@dataclass(frozen=True)
class CandidateSummary:
    """One candidate of the zoo profiled last.

    Attributes
    ----------
    predictions, failed:
        Samples with an answer, failures included, and failures.
    top1, top5:
        Fraction of those samples that it answered rightly; None without answers, top5 also with five labels or fewer.
    latency_ms, valid, reason:
        Mean preprocess + run on the device, with its verdict; None if not timed.
    load_ms, memory_mb:
        Of its network; None if not measured.
    energy_mj, energy_ci_mj:
        Energy of one prediction, idle subtracted, and its 95 % interval; None if not measured.
    energy_valid, energy_reason:
        Its verdict.
    scores:
        Mean score by graded criterion.
    left_out:
        Why it was not profiled any further; empty if it was.
    failure:
        What most of its failures give as the reason; empty if it never failed.
    """

    name: str
    predictions: int
    failed: int
    top1: float | None
    top5: float | None
    latency_ms: float | None
    valid: bool
    reason: str
    load_ms: float | None
    memory_mb: float | None
    energy_mj: float | None
    energy_ci_mj: tuple[float, float] | None
    energy_valid: bool
    energy_reason: str
    scores: dict[str, float]
    left_out: str = ""
    failure: str = ""


@dataclass(frozen=True)
class StoreSummary:
    """A store in numbers.

    Attributes
    ----------
    samples, unreadable:
        Distinct samples that are readable as far as is known, and those that are not: (name, reason) of the first.
    features:
        Samples with all features, by version of the extractor.
    decode_ms, decode_valid:
        Mean decode of one sample on the device.
    device, devices:
        Whose timings are shown, and those there are.
    other_candidates:
        Names of candidates with rows that are not in the zoo profiled last.
    runs, unfinished_runs:
        Runs of `premodel profile`, and those of them that did not reach their end.
    resumed:
        Did a run that began after all of these reach its end.
    """

    store: str
    labels: int
    samples: int
    unreadable: int
    unreadable_first: list[dict[str, str]]
    candidates: list[CandidateSummary]
    other_candidates: list[str]
    features: dict[str, int]
    device: str | None
    devices: list[str]
    decode_ms: float | None
    decode_valid: bool
    runs: int
    unfinished_runs: int
    resumed: bool
    conditions: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


def _left_out(connection: Connection) -> int:
    found = connection.scalar(select(func.count()).select_from(SAMPLES).where(SAMPLES.c.status.in_(LEFT_OUT)))
    return int(found or 0)


def summarise_store(store: Store, device: str | None = None) -> StoreSummary:
    """Count what the store holds.

    Parameters
    ----------
    device:
        Whose timings; None for the device timed last.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    with store.reading() as connection:
        c = TIMINGS.c
        order = select(c.device).group_by(c.device).order_by(func.max(c.run).desc())
        devices = [str(name) for name in connection.scalars(order)]
        device = device or (devices[0] if devices else None)
        labels = _count(connection, LABELS)
        counts = _answers(connection)
        scores = mean_scores(connection) if inspect(connection).has_table(SCORES.name) else {}
        rows = connection.execute(
            select(CANDIDATES.c.name, CANDIDATES.c.prediction_key, CANDIDATES.c.timing_key, CANDIDATES.c.position)
        ).all()
        for row in rows:
            text(row.name, "candidates", row.name, "name")
        left = read_left_out(connection)
        failures = failure_reasons(connection)
        broken = select(SAMPLES.c.name, SAMPLES.c.reason).where(SAMPLES.c.status == "unreadable")
        unreadable = connection.execute(broken.order_by(SAMPLES.c.name)).all()
        summary = {
            "samples": _count(connection, SAMPLES) - _left_out(connection),
            "features": count_vectors(connection),
            "runs": _count(connection, RUNS),
            "unfinished_runs": int(
                connection.scalar(select(func.count()).select_from(RUNS).where(RUNS.c.finished.is_(None))) or 0
            ),
            "resumed": _last_run(connection, finished=True) > _last_run(connection, finished=False) > 0,
        }
    timings = read_timings(store, device) if device else {}
    energy = read_energy(store, device or "")
    conditions = run_conditions(store, max((record.run for record in timings.values()), default=None))
    if energy.conditions:
        conditions = {**conditions, KEY: asdict(energy.conditions)}
    decoding = _decoding(timings)
    current = sorted(
        (row for row in rows if row.position is not None),
        key=lambda row: whole(row.position, "candidates", row.name, "position", 0, MAX_RUN),
    )
    names = {row.name for row in current}
    return StoreSummary(
        store=store.name,
        labels=labels,
        unreadable=len(unreadable),
        unreadable_first=[
            {"name": text(name, "samples", name, "name"), "reason": text(reason, "samples", name, "reason")}
            for name, reason in unreadable[:SHOWN_UNREADABLE]
        ],
        candidates=[
            _candidate(
                row.name,
                counts.get(row.prediction_key),
                timings.get(row.timing_key),
                energy.records.get(row.timing_key),
                labels,
                scores.get(row.prediction_key, {}),
                left[row.prediction_key].note if row.prediction_key in left else "",
                failures.get(row.prediction_key, ""),
            )
            for row in current
        ],
        other_candidates=sorted({row.name for row in rows} - names),
        device=device,
        devices=devices,
        decode_ms=_known(decoding.timing.mean_ms) if decoding else None,
        decode_valid=bool(decoding and decoding.timing.valid),
        conditions=conditions,
        **summary,  # type: ignore[arg-type]
    )


def corpus_figures(store: Store) -> dict[str, dict[str, float]]:
    """Figures of each candidate's answers as one corpus, which are no means of scores; empty where there are none.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    found: dict[str, dict[str, float]] = {}
    with store.reading() as connection:
        for one in read_candidates(connection, store, required=False):
            domain = one.candidate().domain
            if domain.answers_labels or not (pairs := read_corpus(connection, one.prediction_key)):
                continue
            if figures := domain.corpus_scores(pairs):
                found[one.name] = dict(figures)
    return found


def _count(connection: Connection, table: Any) -> int:
    return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def _last_run(connection: Connection, finished: bool) -> int:
    """The newest run that reached its end, or that did not; 0 for none."""
    run, end = RUNS.c.run, RUNS.c.finished
    return int(connection.scalar(select(func.max(run)).where(end.is_not(None) if finished else end.is_(None))) or 0)


def _decoding(timings: Mapping[str, StoredTiming]) -> StoredTiming | None:
    """The newest record of decoding, on whatever number of threads."""
    records = [record for subject, record in timings.items() if subject.startswith("decode:")]
    return max(records, key=lambda record: record.run, default=None)


def _answers(connection: Connection) -> dict[str, tuple[int, int, int, int]]:
    """Answers, failures, top-1 and top-5 hits by prediction key; only answers about the sample's present label."""
    p = PREDICTIONS.c
    query = (
        select(
            p.prediction_key,
            func.count(),
            func.sum(case((p.status == "failed", 1), else_=0)),
            func.sum(case((p.truth_rank < 1, 1), else_=0)),
            func.sum(case((p.truth_rank < 5, 1), else_=0)),
        )
        .join(SAMPLES, (SAMPLES.c.sample == p.sample) & (SAMPLES.c.label == p.truth))
        .group_by(p.prediction_key)
    )
    return {
        str(key): (int(n), int(failed), int(one), int(five)) for key, n, failed, one, five in connection.execute(query)
    }


def _candidate(
    name: str,
    counts: tuple[int, int, int, int] | None,
    record: StoredTiming | None,
    energy: EnergyRecord | None,
    labels: int,
    scores: dict[str, float],
    left_out: str,
    failure: str,
) -> CandidateSummary:
    n, failed, top1, top5 = counts or (0, 0, 0, 0)
    timing = record.timing if record else None
    energy_mj = _known(record.energy_mj) if record else None
    interval = None
    if energy_mj is not None and energy and energy.ci_low_mj is not None and energy.ci_high_mj is not None:
        interval = (energy.ci_low_mj, energy.ci_high_mj)
    return CandidateSummary(
        name=name,
        predictions=n,
        failed=failed,
        top1=top1 / n if n and labels else None,
        top5=top5 / n if n and labels > 5 else None,
        latency_ms=_known(timing.mean_ms) if timing else None,
        valid=bool(timing and timing.valid),
        reason=timing.reason if timing else "not timed",
        load_ms=_known(record.footprint.load_ms) if record else None,
        memory_mb=_known(record.footprint.memory_mb) if record else None,
        energy_mj=energy_mj,
        energy_ci_mj=interval,
        energy_valid=bool(energy_mj is not None and energy and energy.valid),
        energy_reason=energy.reason if energy else "not measured",
        scores=scores,
        left_out=left_out,
        failure=failure,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
