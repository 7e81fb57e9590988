"""Scores of stored answers by the graded criteria of a domain; no model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from premodel.errors import RunError
from premodel.profiling.datasets.base import Dataset
from premodel.store.outcomes import known_scores, read_predictions, truth_digest, write_scores
from premodel.store.samples import Entry
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate


@dataclass
class ScoreResult:
    """What the pass did: scores newly stored, and those that were stored already."""

    scores: int = 0
    kept: int = 0


def score_all(
    store: Store, candidates: Sequence[Candidate], dataset: Dataset, entries: Sequence[Entry]
) -> ScoreResult | None:
    """Store the scores that are missing: of new answers, new criteria and changed truths; None if none are graded.

    Raises
    ------
    RunError
        The domain gives a score outside [0, 1].
    StoreError
        The store cannot be written to.
    """
    domain, result = dataset.domain, ScoreResult()
    if not domain.graded:
        return None
    digests = {entry.sample: truth_digest(entry.label, entry.truth) for entry in entries}
    for key in dict.fromkeys(candidate.prediction_key for candidate in candidates):
        known = known_scores(store, key)
        lacking = [
            (entry, criterion)
            for entry in entries
            for criterion in domain.graded
            if known.get((entry.sample, criterion)) != digests[entry.sample]
        ]
        result.kept += len(entries) * len(domain.graded) - len(lacking)
        predictions = read_predictions(store, key, {entry.sample for entry, _ in lacking}) if lacking else {}
        rows = []
        for entry, criterion in lacking:
            prediction = predictions.get(entry.sample)
            if prediction is None:
                continue
            score = float(domain.score(prediction, entry.truth if entry.label < 0 else entry.label, criterion))
            if not 0 <= score <= 1:
                raise RunError("score must be in [0, 1]", where=criterion, given=score)
            truth = {"truth": digests[entry.sample], "score": score}
            rows.append({"prediction_key": key, "sample": entry.sample, "criterion": criterion, **truth})
        write_scores(store, rows)
        result.scores += len(rows)
    return result
