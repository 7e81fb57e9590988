"""The answers of candidates to samples, between the store and those who make and read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from premodel.errors import StoreError
from premodel.records import TOP_K
from premodel.store.rows import fetch_plain
from premodel.store.runs import StoredCandidate
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store


@dataclass(frozen=True, eq=False)
class StoredAnswers:
    """One candidate's answers to all samples; `there` is False where one is missing or was about another label."""

    there: NDArray[np.bool_]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    entropy: NDArray[np.float32]
    rank: NDArray[np.int32]


def known_truths(store: Store, prediction_key: str) -> dict[str, int]:
    """The label that each stored answer's rank is about, by sample; failures are left out, to be tried again."""
    query = select(PREDICTIONS.c.sample, PREDICTIONS.c.truth).where(
        PREDICTIONS.c.prediction_key == prediction_key, PREDICTIONS.c.status == "ok"
    )
    with store.reading() as connection:
        return {str(sample): int(truth) for sample, truth in connection.execute(query)}


def read_answers(
    connection: Connection,
    name: str,
    candidate: StoredCandidate,
    samples: Sequence[str],
    truth: NDArray[np.int32],
    n_labels: int,
) -> StoredAnswers:
    """A candidate's answers to these samples, whose labels are `truth`; `name` is the store's.

    Raises
    ------
    StoreError
        They are damaged.
    """
    c = PREDICTIONS.c
    query = select(c.sample, c.truth, c.truth_rank, c.entropy, c.labels, c.probabilities)
    query = query.where(c.prediction_key == candidate.prediction_key).order_by(c.sample)
    n, k = len(samples), min(TOP_K, n_labels)
    found = StoredAnswers(
        np.zeros(n, np.bool_),
        np.full((n, k), -1, np.int32),
        np.zeros((n, k), np.float32),
        np.zeros(n, np.float32),
        np.full(n, n_labels, np.int32),
    )
    stored = fetch_plain(connection, query)
    if len(stored) != n or [row[0] for row in stored] != list(samples):
        position = {sample: row for row, sample in enumerate(samples)}
        stored = [row for row in stored if row[0] in position]
        rows = np.array([position[row[0]] for row in stored], np.intp)
    else:
        rows = np.arange(n)
    if not stored:
        return found
    names, labels_of, ranks, entropies, labels, probabilities = zip(*stored, strict=True)
    try:
        numbers = np.array([labels_of, ranks], np.float64)
        entropy = np.array([math.nan if one is None else one for one in entropies], np.float64)
    except (TypeError, ValueError) as error:
        raise StoreError(f"damaged answers of {candidate.name} ({error})", where=name) from error
    bad = (numbers != np.floor(numbers)).any(axis=0) | (numbers[1] < 0) | (numbers[1] > n_labels)
    _refuse(name, candidate, names, bad, f"a label and a rank that are whole numbers from 0 to {n_labels}")
    found.there[rows] = np.array(labels_of, np.int32) == truth[rows]
    found.rank[rows] = ranks
    answered = np.array([blob is not None for blob in labels], np.bool_)  # not failed
    try:
        found.labels[rows[answered]] = np.frombuffer(b"".join(filter(None, labels)), "<i4").reshape(-1, k)
        found.probabilities[rows[answered]] = np.frombuffer(b"".join(filter(None, probabilities)), "<f4").reshape(-1, k)
    except ValueError as error:
        raise StoreError(f"damaged answers of {candidate.name} ({error})", where=name) from error
    found.entropy[rows[answered]] = entropy[answered]
    said = [sample for sample, one in zip(names, answered, strict=True) if one]
    _check(name, candidate, said, found, rows[answered], numbers[:, answered].astype(np.int64), n_labels)
    return found


def _check(
    name: str,
    candidate: StoredCandidate,
    samples: Sequence[str],
    found: StoredAnswers,
    rows: NDArray[np.intp],
    numbers: NDArray[np.int64],
    n_labels: int,
) -> None:
    """Refuse answers that no prediction can have given; `numbers` are the label and the rank of each."""
    labels, probabilities, entropy = found.labels[rows], found.probabilities[rows], found.entropy[rows]
    k = labels.shape[1]
    ordered = np.sort(labels, axis=1)
    bad = (ordered[:, 0] < 0) | (ordered[:, -1] >= n_labels) | (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    _refuse(name, candidate, samples, bad, f"labels below {n_labels}, each once")
    falling = (probabilities[:, 1:] <= probabilities[:, :-1]).all(axis=1)
    bad = ~(falling & (probabilities[:, -1] >= 0) & (probabilities[:, 0] <= 1 + 1e-5))
    _refuse(name, candidate, samples, bad, "probabilities in [0, 1] that do not rise")
    bad = ~((entropy >= -1e-5) & (entropy <= math.log(max(1, n_labels)) + 1e-3))
    _refuse(name, candidate, samples, bad, f"an entropy from 0 to the logarithm of {n_labels}")
    hit = labels == numbers[0][:, None]
    bad = np.where(hit.any(axis=1), numbers[1] != hit.argmax(axis=1), numbers[1] < k)
    _refuse(name, candidate, samples, bad, "a rank of the truth that agrees with the labels")


def _refuse(name: str, candidate: StoredCandidate, samples: Sequence[str], bad: NDArray[np.bool_], must: str) -> None:
    if bad.any():
        raise StoreError(
            f"damaged answers of {candidate.name}",
            where=name,
            given=f"{int(bad.sum())} rows, the first of sample {samples[int(bad.argmax())]}",
            allowed=must,
            do="restore the store from a copy, or profile into a new one",
        )
