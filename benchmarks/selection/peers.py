"""Peers that are simple enough to be written here, as families of settings scored on the whole profile at once.

A family gives correctness and latency of every setting on every sample. Which setting is served is decided in the
training folds alone. Decisions are charged nothing, which favours the peers: ours are charged what they take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from points import Points
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from premodel.metrics import upper_hull
from premodel.records import Criterion
from premodel.training.folds import Fold, stratified_folds
from premodel.training.objective import Objective
from premodel.training.tables import Tables, top_n

THRESHOLDS = 41
SMALL_POOL = 8
"""Up to so many candidates every chain of three and every first tier of three is tried; above, those of two."""
SHARES = np.linspace(0, 1, 21)
INNER_FOLDS = 5

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Family:
    """Every setting of a method on every sample.

    Attributes
    ----------
    right:
        bool (s, n).
    latency_ms:
        float32 (s, n), end to end.
    """

    right: Bools
    latency_ms: NDArray[np.float32]

    @staticmethod
    def of(rows: Sequence[tuple[Bools, Floats]]) -> Family:
        """From (correctness, latency) of each setting."""
        return Family(np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=np.float32))


def chain_family(tables: Tables, criterion: Criterion, *, committee: bool) -> Family:
    """Run candidates by rising latency until the confidence reaches one threshold; serve the last.

    Every chain of two (of three, in small pools), and the hull of the single candidates, at each of 41 thresholds.

    Parameters
    ----------
    committee:
        Serve, and take the confidence of, the mean distribution of all candidates run so far ("Wisdom of Committees",
        Wang et al. 2022) instead of the last one's.
    """
    order = np.argsort(tables.latency_ms, kind="stable").tolist()
    largest = 3 if len(order) <= SMALL_POOL else 2
    chains = [chain for size in range(1, largest + 1) for chain in combinations(order, size)]
    chains.append(tuple(upper_hull(tables.latency_ms, tables.correct(criterion).mean(axis=0)).tolist()))
    dense = dense_probabilities(tables) if committee else None
    known: dict[tuple[int, ...], tuple[Floats, Bools]] = {}

    def stage(prefix: tuple[int, ...]) -> tuple[Floats, Bools]:
        if prefix not in known:
            known[prefix] = _stage(tables, criterion, prefix, dense)
        return known[prefix]

    rows: list[tuple[Bools, Floats]] = []
    for chain in dict.fromkeys(chains):
        stages = [stage(chain[: k + 1] if committee else chain[k : k + 1]) for k in range(len(chain))]
        rows += stop_when_sure(
            np.stack([sure for sure, _ in stages], axis=1),
            np.stack([right for _, right in stages], axis=1),
            tables.decode_ms + np.cumsum(tables.latency_ms[list(chain)]),
        )
    return Family.of(rows)


def _stage(
    tables: Tables, criterion: Criterion, prefix: tuple[int, ...], dense: NDArray[np.float32] | None
) -> tuple[Floats, Bools]:
    """Confidence and correctness of what a stage serves."""
    n = top_n(criterion, len(tables.label_names))
    if dense is None or len(prefix) == 1:
        column = prefix[-1]
        mass = tables.top_probabilities[:, column, :n].sum(axis=1)
        return mass.astype(np.float64), tables.correct(criterion)[:, column]
    mean = dense[:, list(prefix)].mean(axis=1)
    top = np.argpartition(-mean, n - 1, axis=1)[:, :n]
    mass = np.take_along_axis(mean, top, axis=1).sum(axis=1)
    return mass.astype(np.float64), (top == tables.truth[:, None]).any(axis=1)


def stop_when_sure(sure: Floats, right: Bools, spent_ms: Floats) -> list[tuple[Bools, Floats]]:
    """Correctness and latency of a chain at each threshold.

    Parameters
    ----------
    sure, right:
        (n, stages): confidence and correctness of what each stage would serve.
    spent_ms:
        (stages,): end-to-end latency when it stops there.
    """
    if sure.shape[1] == 1:
        return [(right[:, 0], np.full(len(right), spent_ms[0]))]
    rows = np.arange(len(sure))
    found = []
    for threshold in np.unique(np.quantile(sure[:, :-1], np.linspace(0, 1, THRESHOLDS))):
        stops = sure >= threshold
        stops[:, -1] = True
        level = stops.argmax(axis=1)
        found.append((right[rows, level], spent_ms[level]))
    return found


def dense_probabilities(tables: Tables) -> NDArray[np.float32]:
    """float32 (n, m, labels): the stored top probabilities, 0 elsewhere."""
    n, m, _ = tables.top_labels.shape
    dense = np.zeros((n, m, len(tables.label_names)), dtype=np.float32)
    np.put_along_axis(dense, tables.top_labels.astype(np.intp), tables.top_probabilities, axis=2)
    return dense


def agreement_family(tables: Tables, criterion: Criterion) -> Family:
    """Agreement-based cascade (ABC, Kolawole et al. 2024): a cheap ensemble answers where it agrees, else another runs.

    First tiers: every pair and, in small pools, every triple (all agree, or two of three); last tier: every other
    candidate. In larger pools first tiers are pairs. The whole first tier is charged, and the last where it runs.
    """
    m = len(tables.candidates)
    order = np.argsort(tables.latency_ms, kind="stable").tolist()
    right, said = tables.correct(criterion), tables.top_labels[:, :, 0]
    rows: list[tuple[Bools, Floats]] = []
    for size in (2, 3) if m <= SMALL_POOL else (2,):
        for tier in combinations(order, size):
            for needed in range(2, size + 1):
                agreed, speaker = votes(said[:, list(tier)], needed)
                answer = right[np.arange(len(said)), np.asarray(tier)[speaker]]
                spent_ms = tables.decode_ms + float(tables.latency_ms[list(tier)].sum())
                rows += [
                    (
                        np.where(agreed, answer, right[:, last]),
                        np.where(agreed, spent_ms, spent_ms + tables.latency_ms[last]),
                    )
                    for last in order
                    if last not in tier
                ]
    if not rows:  # two candidates: no ensemble and a last tier
        rows = [(right[:, i], np.full(len(said), tables.decode_ms + tables.latency_ms[i])) for i in order]
    return Family.of(rows)


def votes(said: NDArray[np.int32], needed: int) -> tuple[Bools, NDArray[np.intp]]:
    """Do at least `needed` members say the same, and the last member who is of the largest party: (n,), (n,)."""
    party = (said[:, :, None] == said[:, None, :]).sum(axis=2)
    last_first = party[:, ::-1]
    speaker = said.shape[1] - 1 - last_first.argmax(axis=1)
    return party.max(axis=1) >= needed, speaker


def threshold_families(tables: Tables, criterion: Criterion, fold: Fold, seed: int) -> tuple[Family, Family]:
    """Two candidates, one score from the image features, one threshold (RouteLLM's form): training and test rows.

    The score is a logistic estimate that the strong candidate wins (it is right, the weak one is wrong). Pairs are
    those of the upper hull of the training rows; thresholds are quantiles of the scores. On training rows the scores
    are cross-fitted, so that the choice among settings is not made on rows that the score was fitted on. All image
    features are charged.
    """
    train, test = tables.take(fold.train), tables.take(fold.test)
    correct = train.correct(criterion)
    hull = upper_hull(train.latency_ms, correct.mean(axis=0)).tolist()
    inner = stratified_folds(train.truth, correct.sum(axis=1), INNER_FOLDS, seed)
    before_ms = tables.decode_ms + tables.feature_costs.of(tables.feature_names)
    seen: list[tuple[Bools, Floats]] = []
    unseen: list[tuple[Bools, Floats]] = []
    for weak, strong in combinations(hull, 2):
        wins = correct[:, strong] & ~correct[:, weak]
        score = np.empty(len(train))
        for part in inner:
            fitted = logistic(train.features[part.train], wins[part.train])
            score[part.test] = fitted(train.features[part.test])
        later = logistic(train.features, wins)(test.features)
        for threshold in np.quantile(score, SHARES):
            for rows, data, scores in ((seen, train, score), (unseen, test, later)):
                right, send = data.correct(criterion), scores >= threshold
                latency = before_ms + np.where(send, tables.latency_ms[strong], tables.latency_ms[weak])
                rows.append((np.where(send, right[:, strong], right[:, weak]), latency))
    if not seen:  # one candidate is best in every way
        for rows, data in ((seen, train), (unseen, test)):
            rows.append(
                (data.correct(criterion)[:, hull[0]], np.full(len(data), before_ms + tables.latency_ms[hull[0]]))
            )
    return Family.of(seen), Family.of(unseen)


def logistic(features: NDArray[np.float32], target: Bools) -> Callable[[NDArray[np.float32]], Floats]:
    """Logistic regression on standardised features, as a function; a constant target gives that constant."""
    if target.all() or not target.any():
        constant = float(target[0])
        return lambda unseen: np.full(len(unseen), constant)
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(max_iter=200).fit(scaler.transform(features), target)
    return lambda unseen: np.asarray(model.predict_proba(scaler.transform(unseen))[:, 1])


def choose_by_folds(
    family: Family, folds: Sequence[Fold], objectives: Sequence[tuple[str, Objective]], best_of: Callable[[Fold], float]
) -> Points:
    """Serve each test fold at the setting that the objective picks on the training folds.

    Parameters
    ----------
    best_of:
        Accuracy of the best single candidate on a fold's training rows.
    """
    totals = family.right.sum(axis=1), family.latency_ms.sum(axis=1, dtype=np.float64)
    n = family.right.shape[1]
    right, latency = np.empty((len(objectives), n)), np.empty((len(objectives), n))
    for fold in folds:
        size = len(fold.train)
        accuracy = (totals[0] - family.right[:, fold.test].sum(axis=1)) / size
        mean_ms = (totals[1] - family.latency_ms[:, fold.test].sum(axis=1, dtype=np.float64)) / size
        for position, (_, objective) in enumerate(objectives):
            pick = pick_setting(objective, accuracy, mean_ms, best_of(fold))
            right[position, fold.test] = family.right[pick, fold.test]
            latency[position, fold.test] = family.latency_ms[pick, fold.test]
    return Points(right, latency, tuple(name for name, _ in objectives))


def pick_setting(objective: Objective, accuracy: Floats, latency_ms: Floats, best: float) -> int:
    """The setting that meets the objective, or the nearest to it."""
    found = objective.choose(accuracy, latency_ms, best)
    return objective.nearest(accuracy, latency_ms) if found is None else found


def thresholds_by_folds(
    tables: Tables,
    criterion: Criterion,
    folds: Sequence[Fold],
    objectives: Sequence[tuple[str, Objective]],
    best_of: Callable[[Fold], float],
    seed: int,
) -> Points:
    """As `choose_by_folds`, for the two-candidate threshold, whose score is fitted in each fold."""
    right, latency = np.empty((len(objectives), len(tables))), np.empty((len(objectives), len(tables)))
    for fold in folds:
        seen, unseen = threshold_families(tables, criterion, fold, seed)
        accuracy, mean_ms = seen.right.mean(axis=1), seen.latency_ms.mean(axis=1, dtype=np.float64)
        for position, (_, objective) in enumerate(objectives):
            pick = pick_setting(objective, accuracy, mean_ms, best_of(fold))
            right[position, fold.test] = unseen.right[pick]
            latency[position, fold.test] = unseen.latency_ms[pick]
    return Points(right, latency, tuple(name for name, _ in objectives))
