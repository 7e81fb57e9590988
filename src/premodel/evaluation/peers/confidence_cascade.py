"""Run candidates by rising latency until the confidence reaches one threshold; serve the last, or all that ran.

The plain cascade of one threshold, and its committee ("Wisdom of Committees", Wang et al. 2022), which serves, and
takes the confidence of, the mean distribution of all candidates run so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.peers.choice import Bools, Setting
from premodel.evaluation.peers.points import Floats
from premodel.records import Criterion
from premodel.stats import upper_hull
from premodel.training.tables import Tables, top_n

THRESHOLDS = 41
SMALL_POOL = 8
"""Up to so many candidates every chain of three is tried; above, those of two."""
AT_ONCE = 1000
"""Samples whose whole distributions are held at a time."""

Chain = tuple[int, ...]


def confidence_cascades(tables: Tables, criterion: Criterion, *, committee: bool) -> Iterator[Setting]:
    """Every chain of two (of three, in small pools), and the hull of the single candidates, at each of 41 thresholds.

    A failed prediction has no confidence, and is wrong.
    """
    known: dict[Chain, tuple[Floats, Bools]] = {}

    def stage(ran: Chain) -> tuple[Floats, Bools]:
        if ran not in known:
            known[ran] = together(tables, criterion, ran) if len(ran) > 1 else alone(tables, criterion, ran[0])
        return known[ran]

    for chain in chains(tables, criterion):
        stages = [stage(chain[: k + 1] if committee else chain[k : k + 1]) for k in range(len(chain))]
        for _, setting in stop_when_confident(
            np.stack([confidence for confidence, _ in stages], axis=1),
            np.stack([right for _, right in stages], axis=1),
            tables.decode_ms + np.cumsum(chain_ms(tables, chain), axis=-1),
        ):
            yield setting


def chain_ms(tables: Tables, chain: Chain) -> Floats:
    """(stages,), what each stage takes; or (n, stages), on each sample."""
    found = tables.latency_ms[list(chain)] if tables.sample_ms is None else tables.sample_ms[:, list(chain)]
    return np.asarray(found, dtype=np.float64)


def chains(tables: Tables, criterion: Criterion) -> list[Chain]:
    """The chains that are tried, each by rising latency."""
    order = np.argsort(tables.latency_ms, kind="stable").tolist()
    largest = 3 if len(order) <= SMALL_POOL else 2
    found = [chain for size in range(1, largest + 1) for chain in combinations(order, size)]
    found.append(tuple(upper_hull(tables.latency_ms, tables.score(criterion).mean(axis=0)).tolist()))
    return list(dict.fromkeys(found))


def alone(tables: Tables, criterion: Criterion, column: int) -> tuple[Floats, Bools]:
    """Confidence and correctness of one candidate's answers; of a graded criterion, their score."""
    confidence = tables.top_probabilities[:, column, : tables.depth(criterion)].sum(axis=1)
    scores: NDArray[Any] = tables.graded[criterion] if criterion in tables.graded else tables.correct(criterion)
    return confidence.astype(np.float64), scores[:, column]


def together(tables: Tables, criterion: Criterion, members: Chain) -> tuple[Floats, Bools]:
    """Confidence and correctness of the mean distribution of several candidates; where all failed, none and wrong."""
    n, columns = top_n(criterion, len(tables.label_names)), list(members)
    confidence, right = np.empty(len(tables)), np.empty(len(tables), dtype=np.bool_)
    for start in range(0, len(tables), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        labels, probabilities = tables.top_labels[rows, columns], tables.top_probabilities[rows, columns]
        mean = dense_probabilities(labels, probabilities, len(tables.label_names)).mean(axis=1)
        top = np.argpartition(-mean, n - 1, axis=1)[:, :n]
        confidence[rows] = np.take_along_axis(mean, top, axis=1).sum(axis=1)
        answered = (labels[:, :, 0] >= 0).any(axis=1)
        right[rows] = answered & (top == tables.truth[rows, None]).any(axis=1)
    return confidence, right


def stop_when_confident(confidence: Floats, right: Bools, spent_ms: Floats) -> Iterator[tuple[float, Setting]]:
    """Each threshold of a chain, with correctness and latency at it; a chain of one stage has the threshold 0.

    Parameters
    ----------
    confidence, right:
        (n, stages): confidence and correctness of what each stage would serve.
    spent_ms:
        (stages,): end-to-end latency when it stops there; or (n, stages), on each sample.
    """
    rows = np.arange(len(confidence))
    spent_ms = np.broadcast_to(spent_ms, confidence.shape)
    if confidence.shape[1] == 1:
        yield 0.0, (right[:, 0], spent_ms[:, 0])
        return
    for threshold in np.unique(np.quantile(confidence[:, :-1], np.linspace(0, 1, THRESHOLDS))):
        stops = confidence >= threshold
        stops[:, -1] = True
        level = stops.argmax(axis=1)
        yield float(threshold), (right[rows, level], spent_ms[rows, level])


def dense_probabilities(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], n_labels: int
) -> NDArray[np.float32]:
    """float32 (n, m, labels): the stored top probabilities (n, m, k), 0 elsewhere."""
    dense = np.zeros((*labels.shape[:2], n_labels + 1), dtype=np.float32)
    np.put_along_axis(dense, labels.astype(np.intp), probabilities, axis=2)  # padding, -1, goes to the last column
    return dense[:, :, :n_labels]
