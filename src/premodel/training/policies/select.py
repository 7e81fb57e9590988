"""Training of policy `select`: the paper's premodel, and the choice by utility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Rule, Select
from premodel.runtime.selectors.base import Scores, Selector
from premodel.training.feature_selection import GreedyRemoval, Pruning, prune_correlated, remove_greedily
from premodel.training.folds import stratified_folds, stratified_subsample
from premodel.training.knn_accuracy import KnnAccuracy
from premodel.training.labels import LabelScheme, make_labels
from premodel.training.options import ABSTAIN, Trained, TrainOptions, plain
from premodel.training.policies.paper import SUBSAMPLE, PaperSettings, fit_paper
from premodel.training.selectors.knn import K
from premodel.training.selectors.registry import technique_fit
from premodel.training.tables import Tables

FOLDS = 5
"""Of the cross-validation inside the tables that features and the cost weight are chosen by."""
YES = 0.5
"""A candidate says yes when its score is above this."""
ALWAYS = -1.0
"""A threshold that every score is above."""
WEIGHTS = 64
"""Points of the grid of cost weights."""
KNN_SELECT_MS = 0.15 / (50_000 * 7)
OTHER_SELECT_MS = 0.03
"""Upper estimates of one decision, for call budgets: per training value of a neighbour search, and of the rest.

Estimates and not measurements, because equal training must give an equal bundle, byte for byte.
"""


@dataclass(frozen=True)
class KeptFeatures:
    """The features a selector reads, and how they were chosen.

    Attributes
    ----------
    columns, names:
        Of the features kept.
    pruning, removal:
        Both stages of feature selection.
    scored_on:
        Samples that the second stage scored on.
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    pruning: Pruning
    removal: GreedyRemoval
    scored_on: int

    def lines(self) -> list[str]:
        """The account in plain words, a line each."""
        found = [f"features dropped at a correlation above {self.pruning.threshold:g}"]
        found += [f"  {dropped}" for dropped in self.pruning.dropped]
        found.append(f"features removed by loss of accuracy, scored on {self.scored_on} samples")
        found += [f"  {removal}" for removal in self.removal.rounds]
        found.append(f"  stopped: {self.removal.stopped}")
        found.append(f"features kept: {', '.join(self.names)}")
        return found


def train_paper(tables: Tables, options: TrainOptions) -> Trained:
    """Train the paper's premodel (section 3): Algorithm 1, feature selection, a chain of decisions, first yes.

    Parameters
    ----------
    options:
        `technique` is "knn" by default, `labels` "optimum". The objective decides what the paper leaves to the user:
        the fallback, unless one is named, is the single candidate that meets the objective; under a ceiling of latency
        the candidates above it are left out altogether, so that every answer keeps it.

    Notes
    -----
    A floor of accuracy is met by the fallback alone, not by the chain: the paper's premodel has no knob between
    accuracy and latency, and is reported as it comes out. `multi_class` takes the class of the highest score, none
    being a class, instead of the first yes.

    Raises
    ------
    OptionError
        A cost weight is given, which only policy `select` has; the fallback or technique is unknown; or nothing can be
        trained on these tables.
    """
    options.refuse(cost_weight="use --policy select")
    technique, scheme = options.technique or "knn", options.labels or "optimum"
    tables = _within_ceiling(tables, options)
    fallback = _fallback(tables, options)
    settings = PaperSettings(options.theta, None, scheme, technique, target=options.features, seed=options.seed)
    fitted = fit_paper(tables, options.criterion, settings, fallback)
    rule: Rule = "highest-class" if technique.startswith("multi_class") else "first-yes"
    policy = _policy(tables, fitted.candidates, fitted.selector, rule, fallback, scheme)
    chain = " -> ".join(policy.chain)
    how = "the highest score, none's included, of" if rule == "highest-class" else f"the first score above {YES:g} of"
    account = [
        *_opening(tables, options),
        *fitted.account.lines(),
        _selector_line(policy, technique, scheme),
        f"decides: {how} {chain}; otherwise {policy.fallback or 'no answer'}",
    ]
    evidence = {"technique": technique, "labels": scheme, **fitted.account.to_json()}
    return Trained(policy, tuple(account), evidence)


def train_select(tables: Tables, options: TrainOptions) -> Trained:
    """Train the choice by utility: highest score - cost_weight * latency over all candidates.

    Parameters
    ----------
    options:
        `technique` is "logistic" by default, `labels` "right". The cost weight is the one of the objective, or is
        chosen for it among a grid by cross-validation inside these tables. Without a `fallback` some candidate
        always answers; with one, it answers where no score is above a half.

    Notes
    -----
    If no weight meets the objective in cross-validation, the account says so and the nearest point is trained.

    Raises
    ------
    OptionError
        The fallback or technique is unknown, or nothing can be trained on these tables.
    """
    technique, scheme = options.technique or "logistic", options.labels or "right"
    if technique.startswith("multi_class"):
        raise OptionError("policy select weighs scores of single candidates", given=technique, do="use --policy paper")
    correct, right_counts = tables.score(options.criterion), tables.right_counts(options.criterion)
    fallback = None if options.fallback is None else _fallback(tables, options)
    labels = make_labels(scheme, correct, tables.latency_ms if tables.sample_ms is None else tables.sample_ms)
    kept = _keep_features(tables, correct, labels, options)
    features = tables.features[:, list(kept.columns)]
    fit = technique_fit(technique)
    scores = np.empty(correct.shape)
    for fold in stratified_folds(tables.truth, right_counts, FOLDS, options.seed):
        selector = fit(features[fold.train], labels[fold.train], kept.names, options.seed)
        scores[fold.test] = selector.score_batch(features[fold.test])
    threshold = ALWAYS if options.fallback is None else YES
    before_ms = tables.decode_ms + tables.feature_costs.of(kept.names)
    point = _operating_point(tables, correct, scores, before_ms, fallback, threshold, options)
    selector = fit(features, labels, kept.names, options.seed)
    every = tuple(range(len(tables.candidates)))
    policy = _policy(tables, every, selector, "utility", fallback, scheme, threshold, point["cost_weight"])
    account = [
        *_opening(tables, options),
        *kept.lines(),
        _selector_line(policy, technique, scheme),
        f"cost weight {point['cost_weight']:.6g} per ms: cross-validated accuracy {100 * point['accuracy']:.2f} % at "
        f"{point['latency_ms']:.3f} ms" + ("" if point["met"] else ", which does NOT meet the objective"),
        "decides: the highest score less the cost of its latency, of all candidates"
        + ("" if options.fallback is None else f" above {YES:g}; otherwise {policy.fallback or 'no answer'}"),
    ]
    evidence = {"technique": technique, "labels": scheme, "feature_selection": plain(kept), "operating_point": point}
    return Trained(policy, tuple(account), evidence)


def _within_ceiling(tables: Tables, options: TrainOptions) -> Tables:
    """The tables with the candidates at or below the objective's ceiling."""
    ceiling_ms, end_to_end_ms = options.objective.max_latency_ms, tables.end_to_end_ms()
    if ceiling_ms is None:
        return tables
    return tables.take_candidates(np.flatnonzero(end_to_end_ms <= ceiling_ms).tolist())


def _fallback(tables: Tables, options: TrainOptions) -> int | None:
    """Column of the fallback: as named, or the single candidate that meets the objective; None abstains."""
    if options.fallback == ABSTAIN:
        return None
    if options.fallback is None:
        accuracy = tables.score(options.criterion).mean(axis=0)
        return options.objective.single(tables.candidates, accuracy, tables.end_to_end_ms())
    if options.fallback not in tables.candidates:
        names = [*tables.candidates, ABSTAIN]
        raise OptionError("unknown fallback", given=options.fallback, allowed=", ".join(names))
    return tables.candidates.index(options.fallback)


def _keep_features(
    tables: Tables, correct: NDArray[np.float64], labels: NDArray[Any], options: TrainOptions
) -> KeptFeatures:
    """Pruning by correlation, then greedy removal by what a KNN premodel of highest score would serve.

    The KNN premodel stands for every technique: it is the quickest to score many subsets with.
    """
    pruning = prune_correlated(tables.features, tables.feature_names, tables.feature_costs)
    right_counts = tables.right_counts(options.criterion)
    rows = stratified_subsample(tables.truth, right_counts, SUBSAMPLE, options.seed)
    folds = stratified_folds(tables.truth[rows], right_counts[rows], FOLDS, options.seed)
    features = tables.features[rows]
    accuracy = KnnAccuracy(features, labels[rows], correct[rows], lambda scores: scores.argmax(axis=1), folds, K)
    removal = remove_greedily(pruning.kept, tables.feature_names, accuracy, options.features)
    names = tuple(tables.feature_names[column] for column in removal.kept)
    return KeptFeatures(removal.kept, names, pruning, removal, len(rows))


def _policy(
    tables: Tables,
    chain: tuple[int, ...],
    selector: Selector,
    rule: Rule,
    fallback: int | None,
    scheme: LabelScheme,
    threshold: float = YES,
    cost_weight: float = 0.0,
) -> Select:
    """Put the parts together; `chain` and `fallback` are columns of the tables."""
    runnable = [*chain, *([] if fallback is None or fallback in chain else [fallback])]
    latency_ms = tuple(tables.latency_ms[runnable].tolist())
    features_ms = tables.feature_costs.of(selector.features)
    return Select(
        [tables.candidates[column] for column in chain],
        selector,
        rule=rule,
        costs=Costs(latency_ms, tables.decode_ms, features_ms, _select_ms(selector)),
        fallback=None if fallback is None else tables.candidates[fallback],
        threshold=threshold,
        cost_weight=cost_weight,
        meaning=scheme,
    )


def _select_ms(selector: Selector) -> float:
    """Upper estimate of one decision: a neighbour search reads every remembered row, anything else is quick."""
    remembered = sum(array.size for name, array in selector.arrays().items() if name.rpartition(".")[2] == "rows")
    return OTHER_SELECT_MS + KNN_SELECT_MS * remembered


def _operating_point(
    tables: Tables,
    correct: NDArray[np.float64],
    scores: Scores,
    before_ms: float,
    fallback: int | None,
    threshold: float,
    options: TrainOptions,
) -> dict[str, Any]:
    """The cost weight for the objective, from out-of-fold scores (n, m), and what it gives on them."""
    given, alone = options.objective.cost_weight, options.objective.weight_alone
    scale = 1.0 / max(float(np.ptp(tables.latency_ms)), 1e-9)
    grid = np.array([0.0, *np.geomspace(1e-3, 10, WEIGHTS - 1) * scale]) if alone is None else np.array([alone])
    if given is not None:
        grid = np.unique([*grid, given])
    points = [_served(tables, correct, scores, fallback, threshold, weight) for weight in grid]
    accuracy, mean_ms = np.array([share for share, _ in points]), before_ms + np.array([ms for _, ms in points])
    best = float(correct.mean(axis=0).max())
    chosen = options.objective.choose(accuracy, mean_ms, best)
    met = chosen is not None
    if chosen is None:
        chosen = options.objective.nearest(accuracy, mean_ms)
    return {
        "cost_weight": float(grid[chosen]),
        "accuracy": float(accuracy[chosen]),
        "latency_ms": float(mean_ms[chosen]),
        "met": met,
        "best_single_accuracy": best,
        "folds": FOLDS,
    }


def _served(
    tables: Tables,
    correct: NDArray[np.float64],
    scores: Scores,
    fallback: int | None,
    threshold: float,
    weight: float,
) -> tuple[float, float]:
    """Accuracy, and mean latency of the candidates run, of the rule with this weight on scores (n, m)."""
    above = scores > threshold
    choice = np.where(above, scores - weight * tables.latency_ms, -np.inf).argmax(axis=1)
    rows = np.arange(len(scores))
    right, ran_ms = correct[rows, choice], tables.latency()[rows, choice]
    none = ~above.any(axis=1)
    right = np.where(none, False if fallback is None else correct[:, fallback], right)
    ran_ms = np.where(none, 0.0 if fallback is None else tables.latency()[:, fallback], ran_ms)
    return float(right.mean()), float(ran_ms.mean())


def _opening(tables: Tables, options: TrainOptions) -> list[str]:
    return [
        f"profile: {len(tables)} samples, {len(tables.candidates)} candidates, criterion {options.criterion}",
        f"objective: {options.objective.describe()}",
    ]


def _selector_line(policy: Select, technique: str, scheme: LabelScheme) -> str:
    """What the selector is and what its features cost."""
    taught = "who is the optimum" if scheme == "optimum" else "who is right"
    return f"selector: {technique}, taught {taught}; features take {policy.costs.features_ms:.3f} ms"
