"""Records of a server as a profile: every candidate of a premodel is run on them, labelled or not."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import ModelError, OptionError, PremodelError, RunError, SampleError
from premodel.records import TOP_K, Timing
from premodel.runtime.candidate import OpenedCandidate
from premodel.runtime.engine import Premodel
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Record
from premodel.training.tables import FeatureCosts, Tables

LIMIT = 1_000
"""Records without a label that are run by default, the newest; those with one all are."""
UNKNOWN = -2
"""The truth of a record that has no label."""
SKETCH = "features"
"""The one cost item of a bundle's features: what they cost together."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Recorded:
    """n records, answered by m candidates.

    Attributes
    ----------
    tables:
        As of a profile; the truth of records without a label is UNKNOWN, and no answer is right there.
    labelled:
        bool (n,).
    weight:
        (n,), mean 1: one record stands for so many inputs of the stream.
    label_weight:
        (n,), the same of those labelled, for the whole stream; 0 of the others.
    unreadable:
        Records that could not be decoded, or answered by any candidate.
    """

    tables: Tables
    labelled: NDArray[np.bool_]
    weight: Floats
    label_weight: Floats
    unreadable: int

    @property
    def rows(self) -> NDArray[np.intp]:
        """Of those labelled."""
        return np.flatnonzero(self.labelled)


def read_recorded(
    premodel: Premodel, store: RecordStore, limit: int = LIMIT, tell: Callable[[str], None] | None = None
) -> Recorded:
    """Run a premodel's candidates on the records of a store.

    Parameters
    ----------
    premodel:
        Its candidates are run, and those that only its profile had if their files are here.
    limit:
        Records without a label, the newest.
    tell:
        Called with what is being done.

    Raises
    ------
    OptionError
        The records are of other labels, none is labelled, or answers are no labels.
    """
    bundle = premodel.bundle
    if not bundle.domain.answers_labels:
        raise OptionError(
            "only premodels whose answers are labels are updated from records", given=bundle.domain.task,
            do="profile the labelled inputs, and give that store",
        )  # fmt: skip
    if store.labels != bundle.label_names:
        raise OptionError("the records must be of the premodel's labels", given=f"{len(store.labels)} labels")
    labelled = list(store.records(labelled=True))
    others = [one for one, _ in zip(store.records(labelled=False), range(limit), strict=False)]
    if not labelled:
        raise OptionError(
            "no record has a label", where=store.path, do="premodel label STORE --next 50 --out FOLDER, then add them"
        )
    opened = _opened(premodel)
    if tell is not None:
        tell(f"running {len(opened)} candidates on {len(labelled)} labelled records and {len(others)} others")
    return _answered(premodel, opened, labelled, others)


def _opened(premodel: Premodel) -> list[OpenedCandidate]:
    """The policy's candidates, and others of the profile that can be opened."""
    found = [premodel.open_candidate(name) for name in premodel.candidates]
    known = _singles(premodel)
    for candidate in premodel.bundle.candidates:
        if candidate.name not in premodel.candidates and candidate.name in known:
            try:
                found.append(premodel.open_candidate(candidate.name))
            except (ModelError, RunError):
                continue
    return found


def _singles(premodel: Premodel) -> dict[str, float]:
    """Latency, end to end, of each candidate of the profile."""
    rows = premodel.bundle.training_record.get("singles")
    found = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("latency_ms"), int | float):
            found[str(row.get("name"))] = float(row["latency_ms"])
    return found


def _answered(
    premodel: Premodel, opened: Sequence[OpenedCandidate], labelled: Sequence[Record], others: Sequence[Record]
) -> Recorded:
    bundle, domain = premodel.bundle, premodel.bundle.domain
    policy, n_labels = premodel.policy, len(bundle.label_names)
    extractor = domain.extractor(policy.features) if policy.features else None
    k, m = min(TOP_K, n_labels), len(opened)
    kept: list[Record] = []
    columns: dict[str, list[Any]] = {name: [] for name in ("labels", "probabilities", "entropy", "rank", "features")}
    for record in (*labelled, *others):
        try:
            sample = domain.decode(record.data)
        except SampleError:
            continue
        rows = _predict_all(opened, domain, sample, k, n_labels, record.truth)
        if (rows["labels"][:, 0] < 0).all():
            continue
        rows["features"] = np.zeros(0, np.float32) if extractor is None else extractor.extract(sample)
        kept.append(record)
        for name, value in rows.items():
            columns[name].append(value)
    if not any(one.truth is not None for one in kept):
        raise OptionError("no labelled record can be answered", given=f"{len(labelled)} labelled records")
    known = np.array([one.truth is not None for one in kept])
    weight, label_weight = weights_of(kept)
    latency_ms = _latency_ms(premodel, opened)
    memory, load = bundle.memory_mb(), bundle.load_ms()
    names = tuple(one.name for one in opened)
    tables = Tables(
        samples=tuple(hashlib.sha256(b"%d " % one.record + one.data).hexdigest() for one in kept),
        truth=np.array([UNKNOWN if one.truth is None else int(one.truth) for one in kept], np.int32),
        label_names=bundle.label_names,
        candidates=names,
        networks=tuple(one.candidate.network_key for one in opened),
        top_labels=np.array(columns["labels"], np.int32).reshape(len(kept), m, k),
        top_probabilities=np.array(columns["probabilities"], np.float32).reshape(len(kept), m, k),
        entropy=np.array(columns["entropy"], np.float32),
        rank=np.array(columns["rank"], np.int32),
        latency_ms=latency_ms,
        decode_ms=policy.costs.decode_ms,
        timings=tuple(Timing(0, one, one, one, one, one, one, True) for one in latency_ms.tolist()),
        features=np.array(columns["features"], np.float32).reshape(len(kept), len(policy.features)),
        feature_names=tuple(policy.features),
        feature_costs=FeatureCosts({SKETCH: policy.costs.features_ms}, dict.fromkeys(policy.features, (SKETCH,))),
        memory_mb=np.array([memory.get(name, math.nan) for name in names]),
        energy_mj=np.full(m, np.nan),
        conditions={**bundle.conditions, "extractor": bundle.extractor_version},
        task=domain.task,
        load_ms=np.array([load.get(name, math.nan) for name in names]),
    )
    return Recorded(tables, known, weight, label_weight, len(labelled) + len(others) - len(kept))


def weights_of(records: Sequence[Record]) -> tuple[Floats, Floats]:
    """What each record counts for the stream, mean 1, and what each labelled one does, mean 1 over those.

    A record stands for 1 / its probability of having been kept; one that was drawn to be labelled, for that by the
    probability of the draw. Those that were labelled without having been drawn count as a draw among the others.
    """
    weight = np.array([1 / one.kept for one in records])
    undrawn = [one for one in records if one.drawn is None]
    share = sum(one.truth is not None for one in undrawn) / max(len(undrawn), 1)
    drawn = np.array([one.drawn if one.drawn is not None else share for one in records])
    known = np.array([one.truth is not None for one in records])
    label_weight = np.where(known, weight / np.maximum(drawn, 1e-12), 0.0)
    total = label_weight.sum()
    return weight / weight.mean(), label_weight * (known.sum() / total) if total else label_weight


def _predict_all(
    opened: Sequence[OpenedCandidate], domain: Any, sample: Any, k: int, n_labels: int, truth: int | str | None
) -> dict[str, NDArray[Any]]:
    m = len(opened)
    labels, probabilities = np.full((m, k), -1, np.int32), np.zeros((m, k), np.float32)
    entropy, rank = np.zeros(m, np.float32), np.full(m, n_labels, np.int32)
    shared = domain.shared(sample)
    for column, one in enumerate(opened):
        try:
            prediction = one.predict(sample, shared)
        except PremodelError:
            continue
        labels[column], probabilities[column] = prediction.labels, prediction.probabilities
        entropy[column] = prediction.entropy
        listed = prediction.labels.tolist()
        if truth in listed:
            rank[column] = listed.index(truth)
    return {"labels": labels, "probabilities": probabilities, "entropy": entropy, "rank": rank}


def _latency_ms(premodel: Premodel, opened: Sequence[OpenedCandidate]) -> Floats:
    """As the profile measured them: of the policy's candidates from its costs, of the others from the bundle."""
    costs, alone = premodel.policy.costs, _singles(premodel)
    own = dict(zip(premodel.candidates, costs.latency_ms, strict=False))
    return np.array([own.get(one.name, max(alone.get(one.name, 0.0) - costs.decode_ms, 0.0)) for one in opened])
