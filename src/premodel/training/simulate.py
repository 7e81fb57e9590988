"""A policy served from the profile: the device's own loop over recorded predictions. No network runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError, RunError
from premodel.records import Criterion, Prediction
from premodel.runtime.policies.base import FUSED, TRAINED, AnswersSoFar, CallOptions, Policy
from premodel.runtime.policies.loop import Trace, serve
from premodel.runtime.selectors.base import Features, Scores
from premodel.training.latency_curves import lengths_of
from premodel.training.tables import Tables

NOBODY = -2
"""Source of an abstention; FUSED is -1."""
TIMED_SAMPLES = 256
"""Samples served one by one, as on the device, to measure what a decision costs."""


@dataclass(frozen=True, eq=False)
class Simulation:
    """How a policy served n samples; p is the number of candidates the policy may run.

    Attributes
    ----------
    candidates:
        Their names, p: the columns of `ran` and what `order` and `source` count.
    ran:
        bool (n, p), candidates that gave a prediction.
    order:
        int16 (n, p), candidates in the order they were tried, failed ones too; padded with -1.
    source:
        int16 (n,), candidate whose prediction was served, FUSED (-1) or NOBODY (-2).
    labels, probabilities:
        int32 and float32 (n, k) as served, padded with -1 and 0; an abstention is all padding.
    abstained:
        bool (n,), no answer was served: by choice, or because every candidate failed.
    confidence:
        float64 (n,), estimated probability that the answer is right; NaN where the policy estimates none.
    failed:
        bool (n,), the abstention is one of failed candidates only.
    features_used:
        bool (n,), features were extracted for this sample.
    select_ms:
        Mean time of the decisions of one sample, measured one sample at a time on this machine.
    latency_ms:
        float64 (n,), end to end by the profile: decode + features + every candidate tried + select.
    """

    candidates: tuple[str, ...]
    ran: NDArray[np.bool_]
    order: NDArray[np.int16]
    source: NDArray[np.int16]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    abstained: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    failed: NDArray[np.bool_]
    features_used: NDArray[np.bool_]
    select_ms: float
    latency_ms: NDArray[np.float64]

    def same_decisions(self, other: Simulation) -> NDArray[np.bool_]:
        """Bool (n,): the two served a sample alike: same candidates in the same order, same answer, same source."""
        return np.asarray(
            (self.order == other.order).all(axis=1)
            & (self.source == other.source)
            & (self.labels == other.labels).all(axis=1)
            & (self.probabilities == other.probabilities).all(axis=1)
        )


def simulate(policy: Policy, tables: Tables, options: CallOptions = TRAINED, *, one_by_one: bool = False) -> Simulation:
    """Serve every sample of a profile by a policy.

    Parameters
    ----------
    policy:
        Its candidates and features are found in the tables by name.
    options:
        As of a call: a budget or a cost weight.
    one_by_one:
        Score each sample alone, as the device does, instead of all at once. Slower; the decisions must be the same,
        which packaging checks.

    Raises
    ------
    OptionError
        A candidate or feature of the policy is not in the profile, or the budget cannot be met.
    """
    columns = _columns("candidate", policy.candidates, tables.candidates)
    features = tables.features[:, _columns("feature", policy.features, tables.feature_names)]
    features_ms = tables.feature_costs.of(policy.features) if policy.features else 0.0
    served = _empty(policy, tables)
    known = _Known.of(policy, tables, features)
    scores = policy.score_batch(features) if policy.features and not one_by_one else None
    for row in range(len(tables)):
        so_far = known.so_far(row, None if scores is None else scores[row])
        _record(served, row, *_serve_row(policy, tables, columns, row, so_far, options))
    used = np.full(len(tables), bool(policy.features))
    select_ms = _select_ms(policy, tables, columns, known, options)
    latency_ms = tried_ms(tables, served)
    latency_ms += tables.decode_ms + select_ms + np.where(used, features_ms, 0.0)
    return replace(served, features_used=used, select_ms=select_ms, latency_ms=latency_ms)


def tried_ms(tables: Tables, served: Simulation) -> NDArray[np.float64]:
    """float64 (n,): what the candidates tried take, by the latencies of each sample."""
    columns = _columns("candidate", served.candidates, tables.candidates)[served.order]
    spent_ms = np.take_along_axis(tables.latency(), columns, axis=1)
    return np.asarray(np.where(served.order >= 0, spent_ms, 0.0).sum(axis=1))


def served_score(tables: Tables, criterion: Criterion, served: Simulation) -> NDArray[np.float64]:
    """float64 (n,) in [0, 1]: how good the answers served are by a criterion.

    An abstention scores what the tables state, see `Tables.unanswered`.

    Raises
    ------
    OptionError
        The criterion is unknown, or graded where answers were fused.
    """
    if criterion not in tables.graded:
        depth = tables.depth(criterion)
        right = (served.labels[:, :depth] == tables.truth[:, None]).any(axis=1)
        return np.asarray(~served.abstained & right, dtype=np.float64)
    if (served.source == FUSED).any():
        raise OptionError("fused answers have no graded score", given=criterion, allowed="answers of one candidate")
    columns = _columns("candidate", served.candidates, tables.candidates)
    score = tables.unanswered(criterion).copy()
    rows = np.flatnonzero(served.source >= 0)
    score[rows] = tables.score(criterion)[rows, columns[served.source[rows]]]
    return score


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of n samples before the first step.

    Attributes
    ----------
    features:
        (n, F); None if the policy asks for none.
    predicted_ms:
        float64 (n, p), what its candidates are expected to take for inputs of these lengths; None for their means.
    lengths:
        float64 (n,), in the measure that it asks for; None if it asks for none.
    """

    features: Features | None
    predicted_ms: NDArray[np.float64] | None
    lengths: NDArray[np.float64] | None

    @classmethod
    def of(cls, policy: Policy, tables: Tables, features: Features) -> _Known:
        """Of all samples of the tables."""
        curves, measure = policy.latency_curves, policy.length_measure
        by = None if curves is None else lengths_of(tables, curves.measure)
        return cls(
            features if policy.features else None,
            None if curves is None or by is None else curves.of(by),
            None if measure is None else lengths_of(tables, measure),
        )

    def so_far(self, row: int, scores: Scores | None = None) -> AnswersSoFar:
        """Of one sample; policies write to it, so scores are not shared."""
        return AnswersSoFar(
            features=None if self.features is None else self.features[row],
            scores=scores,
            latency_ms=None if self.predicted_ms is None else self.predicted_ms[row],
            length=None if self.lengths is None else float(self.lengths[row]),
        )


def _serve_row(
    policy: Policy, tables: Tables, columns: NDArray[np.intp], row: int, so_far: AnswersSoFar, options: CallOptions
) -> tuple[list[int], Trace | None]:
    """The candidates tried, in order, and the trace; None if every candidate failed."""
    tried: list[int] = []

    def run(candidate: int) -> Prediction:
        tried.append(candidate)
        prediction = tables.prediction(row, int(columns[candidate]))
        if prediction is None:
            raise RunError("no prediction in the profile")
        return prediction

    try:
        return tried, serve(policy, run, so_far, options)
    except RunError:
        return tried, None


def _record(served: Simulation, row: int, tried: list[int], trace: Trace | None) -> None:
    """Write one sample into the arrays."""
    served.order[row, : len(tried)] = tried
    if trace is None:
        served.failed[row] = True
        return
    served.ran[row, list(trace.ran)] = True
    stop = trace.stop
    if stop.prediction is None:
        return
    k = len(stop.prediction.labels)
    served.labels[row, :k] = stop.prediction.labels
    served.probabilities[row, :k] = stop.prediction.probabilities
    served.abstained[row] = False
    served.confidence[row] = stop.confidence
    served.source[row] = FUSED if stop.source is None else stop.source


def _empty(policy: Policy, tables: Tables) -> Simulation:
    """Nothing served yet: every sample an abstention."""
    n, p, k = len(tables), len(policy.candidates), tables.top_labels.shape[2]
    return Simulation(
        candidates=policy.candidates,
        ran=np.zeros((n, p), dtype=np.bool_),
        order=np.full((n, p), -1, dtype=np.int16),
        source=np.full(n, NOBODY, dtype=np.int16),
        labels=np.full((n, k), -1, dtype=np.int32),
        probabilities=np.zeros((n, k), dtype=np.float32),
        abstained=np.ones(n, dtype=np.bool_),
        confidence=np.full(n, np.nan),
        failed=np.zeros(n, dtype=np.bool_),
        features_used=np.zeros(n, dtype=np.bool_),
        select_ms=0.0,
        latency_ms=np.zeros(n),
    )


def _select_ms(
    policy: Policy,
    tables: Tables,
    columns: NDArray[np.intp],
    known: _Known,
    options: CallOptions,
) -> float:
    """Mean time of all decisions of a sample, over some samples spread evenly, the first served twice to warm up.

    Samples for which equally many candidates ran took equally many decisions and count with the median of their times:
    a decision that the system interrupted shows nothing of the policy, and could cost more than all others together.
    """
    n = len(tables)
    if n == 0:
        return 0.0
    rows = np.unique(np.linspace(0, n - 1, min(n, TIMED_SAMPLES)).astype(np.intp))
    times_ms: dict[int, list[float]] = {}
    for position, row in enumerate((rows[0], *rows)):
        _, trace = _serve_row(policy, tables, columns, int(row), known.so_far(int(row)), options)
        if trace is not None and position:
            times_ms.setdefault(len(trace.ran), []).append(trace.select_ms)
    served = sum(map(len, times_ms.values()))
    return sum(len(alike) * float(np.median(alike)) for alike in times_ms.values()) / served if served else 0.0


def _columns(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.intp]:
    """Positions of names among the known ones."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise OptionError(f"{what} is not in the profile", given=", ".join(unknown), allowed=", ".join(known))
    return np.asarray([known.index(name) for name in names], dtype=np.intp)
