"""Answers that are no labels, and graded scores of answers, between the store and those who make and read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from premodel.errors import StoreError
from premodel.records import Prediction
from premodel.store.answers import StoredAnswers
from premodel.store.rows import fetch_plain, merge
from premodel.store.runs import StoredCandidate
from premodel.store.schema import OUTCOMES, PREDICTIONS, SAMPLES, SCORES, TRUTHS
from premodel.store.store import Store


def truth_digest(label: int, truth: str) -> str:
    """What a score is about: the truth where it is no label, else the label."""
    return hashlib.sha256((truth if label < 0 else f"label {label}").encode()).hexdigest()


def read_truths(connection: Connection, samples: Sequence[str]) -> list[str]:
    """Digest of the truth of each sample, as of `truth_digest`."""
    labels = dict(fetch_plain(connection, select(SAMPLES.c.sample, SAMPLES.c.label)))
    texts = dict(fetch_plain(connection, select(TRUTHS.c.sample, TRUTHS.c.truth)))
    return [truth_digest(int(labels[sample]), texts.get(sample, "")) for sample in samples]


def known_scores(store: Store, prediction_key: str) -> dict[tuple[str, str], str]:
    """Digest of the truth that each stored score is about, by sample and criterion."""
    c = SCORES.c
    query = select(c.sample, c.criterion, c.truth).where(c.prediction_key == prediction_key)
    with store.reading() as connection:
        return {(str(sample), str(name)): str(truth) for sample, name, truth in fetch_plain(connection, query)}


def write_scores(store: Store, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store scores, each replacing the one of the same answer and criterion."""
    store.write(lambda connection: merge(connection, SCORES, rows))


def read_predictions(store: Store, prediction_key: str, samples: Iterable[str]) -> dict[str, Prediction]:
    """The stored predictions of some samples; failed ones are left out."""
    wanted, p, o = set(samples), PREDICTIONS.c, OUTCOMES.c
    query = select(p.sample, p.entropy, p.labels, p.probabilities).where(
        p.prediction_key == prediction_key, p.status == "ok"
    )
    with store.reading() as connection:
        rows = [row for row in fetch_plain(connection, query) if row[0] in wanted]
        said = dict(fetch_plain(connection, select(o.sample, o.outcome).where(o.prediction_key == prediction_key)))
    return {
        str(sample): Prediction(
            np.zeros(1, np.int32) if labels is None else np.frombuffer(labels, "<i4"),
            np.frombuffer(probabilities, "<f4"),
            float(entropy),
            said.get(sample),
        )
        for sample, entropy, labels, probabilities in rows
    }


def read_outcomes(
    connection: Connection, name: str, candidate: StoredCandidate, samples: Sequence[str]
) -> StoredAnswers:
    """A candidate's answers that are no labels: label 0 where it answered, with the probability of its outcome.

    Raises
    ------
    StoreError
        They are damaged.
    """
    c = PREDICTIONS.c
    query = select(c.sample, c.status, c.entropy, c.probabilities).where(c.prediction_key == candidate.prediction_key)
    n, position = len(samples), {sample: row for row, sample in enumerate(samples)}
    found = StoredAnswers(
        np.zeros(n, np.bool_),
        np.full((n, 1), -1, np.int32),
        np.zeros((n, 1), np.float32),
        np.zeros(n, np.float32),
        np.ones(n, np.int32),
        np.full(n, -1, np.int32),
    )
    for sample, status, entropy, probabilities in fetch_plain(connection, query):
        row = position.get(sample)
        if row is None:
            continue
        found.there[row] = True
        if status != "ok":
            continue
        value = np.frombuffer(probabilities or b"", "<f4")
        if len(value) != 1 or not 0 <= value[0] <= 1:
            raise StoreError(
                f"damaged answers of {candidate.name}", where=name, given=f"sample {sample}",
                allowed="one probability in [0, 1]", do="restore the store from a copy, or profile into a new one",
            )  # fmt: skip
        found.labels[row], found.probabilities[row], found.rank[row] = 0, value, 0
        found.entropy[row] = entropy
    o = OUTCOMES.c
    said = select(o.sample, o.outcome).where(o.prediction_key == candidate.prediction_key)
    for sample, outcome in fetch_plain(connection, said):
        row = position.get(sample)
        if row is not None and found.labels[row, 0] == 0 and found.outcome_length is not None:
            found.outcome_length[row] = len(outcome)
    return found


def read_scores(
    connection: Connection, name: str, candidate: StoredCandidate, samples: Sequence[str], truths: Sequence[str],
    criterion: str,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:  # fmt: skip
    """Scores of a candidate's answers (n,), 0 where there is none, and for which samples one is about the truth.

    Parameters
    ----------
    truths:
        Digest of each sample's present truth.

    Raises
    ------
    StoreError
        They are damaged.
    """
    c = SCORES.c
    query = select(c.sample, c.truth, c.score)
    query = query.where(c.prediction_key == candidate.prediction_key, c.criterion == criterion)
    position = {sample: row for row, sample in enumerate(samples)}
    scores, there = np.zeros(len(samples)), np.zeros(len(samples), np.bool_)
    for sample, truth, score in fetch_plain(connection, query):
        row = position.get(sample)
        if row is None or truth != truths[row]:
            continue
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise StoreError(
                f"damaged scores of {candidate.name}", where=name, given=f"{score!r}, sample {sample}",
                allowed="numbers in [0, 1]", do="restore the store from a copy, or profile into a new one",
            )  # fmt: skip
        scores[row], there[row] = score, True
    return scores, there


def read_latencies(connection: Connection, candidate: StoredCandidate, samples: Sequence[str]) -> NDArray[np.float64]:
    """float64 (n,): what each answer took in the prediction pass; NaN where it failed or is not there."""
    c = PREDICTIONS.c
    query = select(c.sample, c.latency_ms).where(c.prediction_key == candidate.prediction_key)
    took = dict(fetch_plain(connection, query))
    return np.array([np.nan if (value := took.get(sample)) is None else value for sample in samples], np.float64)


def read_corpus(connection: Connection, prediction_key: str) -> list[tuple[str, str]]:
    """(outcome, truth) of every sample that a candidate answered, in the samples' order."""
    return list(read_corpus_by_sample(connection, prediction_key).values())


def read_corpus_by_sample(connection: Connection, prediction_key: str) -> dict[str, tuple[str, str]]:
    """(outcome, truth) by the digest of the sample that a candidate answered, in the samples' order."""
    o, t = OUTCOMES.c, TRUTHS.c
    query = select(o.sample, o.outcome, t.truth).join(TRUTHS, t.sample == o.sample)
    query = query.where(o.prediction_key == prediction_key).order_by(o.sample)
    return {str(sample): (str(said), str(truth)) for sample, said, truth in fetch_plain(connection, query)}


def read_graded(
    connection: Connection, name: str, candidates: Sequence[StoredCandidate], samples: Sequence[str],
    answers: Sequence[StoredAnswers], criteria: Sequence[str],
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Scores (n, m) by graded criterion; an answer that has none about the present truth is not there."""
    if not criteria:
        return {}
    truths = read_truths(connection, samples)
    found = {criterion: np.zeros((len(samples), len(candidates))) for criterion in criteria}
    for column, (one, answer) in enumerate(zip(candidates, answers, strict=True)):
        failed = answer.labels[:, 0] < 0
        for criterion, scores in found.items():
            scores[:, column], scored = read_scores(connection, name, one, samples, truths, criterion)
            answer.there[:] &= scored | failed
    return found


def read_texts(connection: Connection, candidate: StoredCandidate) -> dict[str, str]:
    """What a candidate answered, by sample, where it is no label."""
    c = OUTCOMES.c
    query = select(c.sample, c.outcome).where(c.prediction_key == candidate.prediction_key)
    return {str(sample): str(text) for sample, text in fetch_plain(connection, query)}


def stored_criteria(connection: Connection) -> list[str]:
    """The graded criteria that answers are scored by."""
    return sorted(str(name) for name in connection.scalars(select(SCORES.c.criterion).distinct()))


def mean_scores(connection: Connection) -> dict[str, dict[str, float]]:
    """Mean score by prediction key and criterion."""
    c = SCORES.c
    query = select(c.prediction_key, c.criterion, func.avg(c.score)).group_by(c.prediction_key, c.criterion)
    found: dict[str, dict[str, float]] = {}
    for key, criterion, score in connection.execute(query):
        found.setdefault(str(key), {})[str(criterion)] = float(score)
    return found
