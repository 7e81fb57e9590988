"""The answers of candidates to samples, between the store and those who make and read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, select

from premodel.errors import StoreError
from premodel.records import TOP_K
from premodel.store.damage import RESTORE, damaged, whole
from premodel.store.rows import PlainQuery, fetch_plain
from premodel.store.runs import StoredCandidate
from premodel.store.samples import MAX_LABEL, NO_LABEL, Entry
from premodel.store.schema import OUTCOMES, PREDICTIONS
from premodel.store.store import Store

MAX_SUM = 1.05
"""Of probabilities; those of quantised networks are rounded."""

_C = PREDICTIONS.c
_ANSWERS = PlainQuery(
    select(_C.sample, _C.truth, _C.truth_rank, _C.entropy, _C.labels, _C.probabilities, _C.status)
    .where(_C.prediction_key == bindparam("key"), _C.sample.between(bindparam("first"), bindparam("last")))
    .order_by(_C.sample)
)


@dataclass(frozen=True, eq=False)
class StoredAnswers:
    """One candidate's answers to all samples; `there` is False where one is missing or was about another label.

    `outcome_length` holds the characters of outcomes that are texts, -1 where there is none; None for labels.
    """

    there: NDArray[np.bool_]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    rank: NDArray[np.int32]
    outcome_length: NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Said:
    """An answer as the store keeps it: labels and probabilities, or a text and its probability; a failure has none."""

    labels: bytes | None = None
    probabilities: bytes | None = None
    outcome: str | None = None


def said_to(store: Store, prediction_key: str, samples: Sequence[str]) -> dict[str, Said]:
    """What a candidate answered to these few samples, failures left out, by sample."""
    p, o = PREDICTIONS.c, OUTCOMES.c
    of_key = and_(o.prediction_key == p.prediction_key, o.sample == p.sample)
    query = (
        select(p.sample, p.labels, p.probabilities, o.outcome)
        .join_from(PREDICTIONS, OUTCOMES, of_key, isouter=True)
        .where(p.prediction_key == prediction_key, p.status == "ok", p.sample.in_(list(samples)))
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    for sample, labels, probabilities, outcome in rows:
        given = labels if outcome is None else outcome
        if not isinstance(given, bytes | str) or not isinstance(probabilities, bytes) or len(probabilities) < 4:
            raise damaged("predictions", f"{sample} of {prediction_key}", "an answer that cannot be read", "an answer")
    return {str(sample): Said(labels, probabilities, outcome) for sample, labels, probabilities, outcome in rows}


def known_truths(store: Store, prediction_key: str) -> dict[str, int]:
    """The label that each stored answer's rank is about, by sample; failures are left out, to be tried again."""
    query = select(PREDICTIONS.c.sample, PREDICTIONS.c.truth).where(
        PREDICTIONS.c.prediction_key == prediction_key, PREDICTIONS.c.status == "ok"
    )
    with store.reading() as connection:
        return {
            str(sample): whole(truth, "predictions", f"{sample} of {prediction_key}", "truth", NO_LABEL, MAX_LABEL)
            for sample, truth in fetch_plain(connection, query)
        }


def known_ranks(store: Store, prediction_key: str, entries: Sequence[Entry]) -> dict[str, int]:
    """The rank of the truth in each stored answer about the label that the sample has, by sample."""
    p = PREDICTIONS.c
    query = select(p.sample, p.truth, p.truth_rank).where(p.prediction_key == prediction_key)
    labels = {entry.sample: entry.label for entry in entries}
    with store.reading() as connection:
        return {
            str(sample): whole(rank, "predictions", f"{sample} of {prediction_key}", "truth_rank", 0, MAX_LABEL)
            for sample, truth, rank in fetch_plain(connection, query)
            if labels.get(sample) == truth
        }


def read_answers(
    connection: Connection,
    name: str,
    candidate: StoredCandidate,
    samples: Sequence[str],
    truth: NDArray[np.int32],
    n_labels: int,
    first: str | None = None,
    last: str | None = None,
) -> StoredAnswers:
    """A candidate's answers to these samples, whose labels are `truth`; `name` is the store's.

    Parameters
    ----------
    samples:
        In the order of their digests.
    first, last:
        Ends of the range of digests that is read; None for all.

    Raises
    ------
    StoreError
        They are damaged.
    """
    n, k = len(samples), min(TOP_K, n_labels)
    found = StoredAnswers(
        np.zeros(n, np.bool_),
        np.full((n, k), -1, np.int32),
        np.zeros((n, k), np.float32),
        np.zeros(n, np.float32),
        np.full(n, n_labels, np.int32),
    )
    ends = {"first": first or "", "last": "g" if last is None else last}  # digests are hexadecimal
    stored = _ANSWERS.fetch(connection, key=candidate.prediction_key, **ends)
    if len(stored) != n or [row[0] for row in stored] != list(samples):
        position = {sample: row for row, sample in enumerate(samples)}
        stored = [row for row in stored if row[0] in position]
        rows = np.array([position[row[0]] for row in stored], np.intp)
    else:
        rows = np.arange(n)
    if not stored:
        return found
    names, truths, ranks, entropies, labels, probabilities, states = zip(*stored, strict=True)
    refuse = _Refusal(name, candidate.name, names)
    about = refuse.whole(truths, "a label", n_labels - 1)
    rank = refuse.whole(ranks, "a rank", n_labels)
    found.there[rows] = about == truth[rows]
    found.rank[rows] = rank
    answered = np.array([blob is not None for blob in labels], np.bool_)
    refuse(answered != np.array([status == "ok" for status in states]), "labels where the status is ok, and only there")
    if answered.all():
        said = rows
    else:
        failed = ~answered
        empty = np.array([one is None and other is None for one, other in zip(entropies, probabilities, strict=True)])
        refuse(failed & ~(empty & (rank == n_labels)), f"no answer and rank {n_labels} where it failed")
        keep = np.flatnonzero(answered)
        names, entropies, labels, probabilities = (
            tuple(column[row] for row in keep) for column in (names, entropies, labels, probabilities)
        )
        said, about, rank = rows[answered], about[answered], rank[answered]
        refuse = _Refusal(name, candidate.name, names)
    if not len(said):
        return found
    entropy = refuse.numbers(entropies)
    found.labels[said] = given = refuse.unpack(labels, "<i4", k, f"{k} labels")
    found.probabilities[said] = sure = refuse.unpack(probabilities, "<f4", k, f"{k} probabilities")
    found.entropy[said] = entropy
    refuse(_repeated_or_unknown(given, n_labels), f"labels below {n_labels}, each once")
    falling = (sure[:, 1:] <= sure[:, :-1]).all(axis=1)
    refuse(~(falling & (sure[:, -1] >= 0) & (sure[:, 0] <= 1 + 1e-5)), "probabilities in [0, 1] that do not rise")
    total = sure.sum(axis=1)
    refuse(~(total <= MAX_SUM), "probabilities whose sum is at most 1")
    bad = ~((entropy >= -1e-5) & (entropy <= math.log(max(1, n_labels)) + 1e-3))
    refuse(bad, f"an entropy from 0 to the logarithm of {n_labels}")
    hit = given == about[:, None]
    bad = np.where(hit.any(axis=1), rank != hit.argmax(axis=1), rank < k)
    refuse(bad | (rank >= n_labels), "a rank of the truth that agrees with the labels")
    return found


def _repeated_or_unknown(labels: NDArray[np.int32], n_labels: int) -> NDArray[np.bool_]:
    """Which rows hold a label twice, or one that there is not."""
    bad: NDArray[np.bool_] = (labels.min(axis=1) < 0) | (labels.max(axis=1) >= n_labels)
    columns = np.ascontiguousarray(labels.T)
    for apart in range(1, len(columns)):  # cheaper than sorting every row
        bad |= (columns[apart:] == columns[:-apart]).any(axis=0)
    return bad


class _Refusal:
    """Refuses answers of one candidate, naming the first wrong row."""

    def __init__(self, store: str, candidate: str, samples: Sequence[str]) -> None:
        self._store, self._candidate, self._samples = store, candidate, samples

    def __call__(self, bad: NDArray[np.bool_], must: str) -> None:
        """Raise StoreError if any row is bad."""
        if bad.any():
            raise StoreError(
                f"damaged answers of {self._candidate}",
                where=self._store,
                given=f"{int(bad.sum())} rows, the first of sample {self._samples[int(bad.argmax())]}",
                allowed=must,
                do=RESTORE,
            )

    def whole(self, values: Sequence[Any], what: str, high: int) -> NDArray[np.int64]:
        """A column of whole numbers from 0 to `high`."""
        array = _array(values)
        if array.dtype.kind != "i" or not 0 <= array.min() <= array.max() <= high:
            good = [type(value) is int and 0 <= value <= high for value in values]
            self(~np.array(good), f"{what} that is a whole number from 0 to {high}")
        return array.astype(np.int64)

    def numbers(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """A column of numbers."""
        array = _array(values)
        if array.dtype.kind not in "fi":
            good = [isinstance(value, int | float) for value in values]
            self(~np.array(good), "an entropy that is a number")
        return array.astype(np.float64)

    def unpack(self, blobs: Sequence[Any], dtype: str, width: int, must: str) -> NDArray[Any]:
        """A column of arrays of `width` numbers of four bytes each."""
        try:
            if set(map(len, blobs)) == {4 * width}:
                return np.frombuffer(b"".join(blobs), dtype).reshape(-1, width)
        except TypeError:  # null, or text
            pass
        good = [isinstance(blob, bytes) and len(blob) == 4 * width for blob in blobs]
        self(~np.array(good), must)
        return np.frombuffer(b"".join(map(bytes, blobs)), dtype).reshape(-1, width)


def _array(values: Sequence[Any]) -> NDArray[Any]:
    try:
        return np.array(values)
    except (ValueError, OverflowError):
        return np.array([None])
