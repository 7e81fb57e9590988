"""What candidates say, as arrays that fusion and stopping are fitted on: `runtime.fusion` for many samples at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.records import Criterion
from premodel.runtime.fusion import log_scores
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.latency_curve import LatencyCurves
from premodel.training.latency_curves import learn_latency_curves, lengths_of
from premodel.training.tables import Tables

COLUMNS = 28
"""Labels kept per sample, the most probable ones; the others count as labels that nobody lists."""
CHUNK = 4096
"""Samples looked at together, at most."""
PLACES = 8_000_000
"""The same, times labels."""

Rows = NDArray[np.intp]


class SampleLatencies:
    """What tables of n samples and m candidates have in common: what each candidate takes on each sample."""

    names: tuple[str, ...]
    latency_ms: NDArray[np.float64]
    sample_ms: NDArray[np.float64] | None
    curves: LatencyCurves | None
    predicted_ms: NDArray[np.float64] | None

    def __len__(self) -> int:
        raise NotImplementedError

    def latency(self) -> NDArray[np.float64]:
        """float64 (n, m), not to be written to: preprocess + run of each candidate on each sample."""
        if self.sample_ms is not None:
            return self.sample_ms
        return np.broadcast_to(self.latency_ms, (len(self), len(self.names)))

    def saved_ms(self) -> NDArray[np.float64] | None:
        """float64 (n, m): how much less than on average each candidate is expected to take on each sample."""
        return None if self.predicted_ms is None else self.latency_ms - self.predicted_ms

    def latencies_on(self, rows: Rows) -> dict[str, Any]:
        """The attributes that depend on the sample, on some of them."""
        return {
            "sample_ms": None if self.sample_ms is None else self.sample_ms[rows],
            "predicted_ms": None if self.predicted_ms is None else self.predicted_ms[rows],
        }

    def latencies_of(self, columns: list[int]) -> dict[str, Any]:
        """The attributes of some candidates, in this order."""
        return {
            "names": tuple(self.names[column] for column in columns),
            "latency_ms": self.latency_ms[columns],
            "sample_ms": None if self.sample_ms is None else self.sample_ms[:, columns],
            "curves": None if self.curves is None else self.curves.take(columns),
            "predicted_ms": None if self.predicted_ms is None else self.predicted_ms[:, columns],
        }


@dataclass(frozen=True, eq=False)
class LogScoreTable(SampleLatencies):
    """n samples, m candidates, up to K labels per sample in columns, and one column for all other labels.

    Attributes
    ----------
    log_scores:
        float32 (m, n, K), `log_scores` of what each candidate gives to each column's label.
    log_count:
        float32 (n, K + 1), logarithm of how many labels a column stands for: 0, -inf for an empty column, and for
        the last column the logarithm of the number of labels that have none of their own.
    truth:
        intp (n,), the truth's column; K if it has none of its own.
    truth_class:
        int32 (n,), the true label itself.
    own:
        intp (n, m, N), columns of each candidate's N top labels; K where it failed, or where a label has no column.
    correct:
        bool (n, m) by the criterion.
    answered:
        bool (n, m), False where a candidate failed.
    names, latency_ms:
        The candidates, and preprocess + run of each, (m,).
    before_ms:
        What an answer costs besides.
    n_labels, top_n:
        Labels there are; an answer is its N = `top_n` top labels.
    sample_ms:
        float64 (n, m), preprocess + run on each sample; None where a candidate takes the same for all.
    curves:
        What each candidate takes by the length of an input; None where that makes no difference.
    predicted_ms:
        float64 (n, m), what they state of each sample.
    """

    log_scores: NDArray[np.float32]
    log_count: NDArray[np.float32]
    truth: NDArray[np.intp]
    truth_class: NDArray[np.int32]
    own: NDArray[np.intp]
    correct: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    names: tuple[str, ...]
    latency_ms: NDArray[np.float64]
    before_ms: float
    n_labels: int
    top_n: int
    sample_ms: NDArray[np.float64] | None = None
    curves: LatencyCurves | None = None
    predicted_ms: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def costs(self) -> Costs:
        """The same for a policy over these candidates."""
        return Costs(tuple(self.latency_ms.tolist()), self.before_ms, by_length=self.curves)

    def take(self, rows: Rows) -> LogScoreTable:
        """The same on some samples."""
        return replace(
            self,
            log_scores=self.log_scores[:, rows],
            log_count=self.log_count[rows],
            truth=self.truth[rows],
            truth_class=self.truth_class[rows],
            own=self.own[rows],
            correct=self.correct[rows],
            answered=self.answered[rows],
            **self.latencies_on(rows),
        )

    def take_candidates(self, columns: Sequence[int]) -> LogScoreTable:
        """The same with some candidates, in this order; the labels' columns stay."""
        chosen = list(columns)
        return replace(
            self,
            log_scores=self.log_scores[chosen],
            own=self.own[:, chosen],
            correct=self.correct[:, chosen],
            answered=self.answered[:, chosen],
            **self.latencies_of(chosen),
        )


def log_score_table(tables: Tables, criterion: Criterion, before_ms: float, columns: int = COLUMNS) -> LogScoreTable:
    """The log scores of a whole profile.

    Parameters
    ----------
    before_ms:
        Decode and decision.
    columns:
        K, at most.

    Raises
    ------
    OptionError
        The criterion is unknown, or always met.
    """
    correct = tables.correct(criterion)
    depth = tables.depth(criterion)
    size = min(CHUNK, max(1, PLACES // (len(tables.label_names) + 1)))
    chunks = [
        _columns_of(tables, np.arange(start, min(start + size, len(tables))), depth, columns)
        for start in range(0, len(tables), size)
    ]
    scores, log_count, truth, own = zip(*chunks, strict=True)
    curves = learn_latency_curves(tables)
    lengths = None if curves is None else lengths_of(tables, curves.measure)
    return LogScoreTable(
        np.concatenate(scores, axis=1),
        np.concatenate(log_count),
        np.concatenate(truth),
        tables.truth,
        np.concatenate(own),
        correct,
        tables.answered,
        tables.candidates,
        tables.latency_ms,
        before_ms,
        len(tables.label_names),
        depth,
        tables.sample_ms,
        curves,
        None if curves is None or lengths is None else curves.of(lengths),
    )


def _columns_of(
    tables: Tables, rows: Rows, depth: int, columns: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], Rows, Rows]:
    """Log scores, logarithmic counts, truth and own top labels of some samples."""
    labels, probabilities = tables.top_labels[rows], tables.top_probabilities[rows]
    kept = _most_probable(labels, probabilities, depth, min(columns, len(tables.label_names)))
    width, m, k = kept.shape[1], labels.shape[1], labels.shape[2]
    gained = log_scores(probabilities)
    kept_scores = np.zeros((m, len(rows), width + 1), dtype=np.float32)
    own = np.full((len(rows), m, min(depth, k)), width, dtype=np.intp)
    place = _places(kept, len(tables.label_names))
    samples = np.arange(len(rows))[:, None]
    for candidate in range(m):
        at = place[samples, labels[:, candidate]]
        # The last first: of a label that is listed twice, its first entry counts. A label without a column writes
        # into one that is cut off.
        for entry in range(k - 1, -1, -1):
            kept_scores[candidate, samples[:, 0], at[:, entry]] = gained[:, candidate, entry]
        own[:, candidate] = at[:, :depth]
    kept_scores = np.ascontiguousarray(kept_scores[:, :, :width])
    used = kept >= 0
    rest = len(tables.label_names) - used.sum(axis=1)
    log_count = np.full((len(rows), width + 1), -np.inf, dtype=np.float32)
    log_count[:, :width][used] = 0
    log_count[:, width] = np.log(np.maximum(rest, 1e-30))
    hit = kept == tables.truth[rows, None]
    return kept_scores, log_count, np.where(hit.any(axis=1), hit.argmax(axis=1), width), own


def _places(kept: NDArray[np.int64], n_labels: int) -> NDArray[np.int16]:
    """int16 (n, labels + 1): the column of every label on every sample, K where it has none, as label -1 has."""
    n, width = kept.shape
    place = np.full((n, n_labels + 1), width, np.int16)
    samples, columns = np.nonzero(kept >= 0)
    place[samples, kept[samples, columns]] = columns
    return place


def _most_probable(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], depth: int, columns: int
) -> NDArray[np.int64]:
    """int64 (n, K): distinct labels that candidates list, ascending, -1 for none.

    Those with the highest probability of any candidate are kept; labels among some candidate's first `depth` go before
    all others.
    """
    n = len(labels)
    worth = probabilities.astype(np.float64)
    worth[:, :, :depth] += 1.0
    flat, worth = labels.reshape(n, -1), np.minimum(worth.reshape(n, -1), 2.0)
    # One key per entry: by label, then by falling worth; the first entry of a label carries its highest worth.
    order = np.argsort(flat - worth / 4, axis=1, kind="stable")
    by_label = np.take_along_axis(flat, order, axis=1).astype(np.int64)
    worth = np.take_along_axis(worth, order, axis=1)
    first = np.ones(by_label.shape, dtype=np.bool_)
    first[:, 1:] = by_label[:, 1:] != by_label[:, :-1]
    worth[~first | (by_label < 0)] = -1.0
    width = min(columns, by_label.shape[1])
    chosen = np.argsort(-worth, axis=1, kind="stable")[:, :width]
    kept = np.where(np.take_along_axis(worth, chosen, axis=1) > 0, np.take_along_axis(by_label, chosen, axis=1), -1)
    kept.sort(axis=1)
    return kept
