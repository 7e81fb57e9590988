"""What the experiments share in one fold: chosen candidates, order of the features, selectors. Each is fitted once."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.paper.fit_rules import OF_IMAGES, FitRules
from premodel.paper.readings import BEST_SCORE, judged, study_labels
from premodel.records import Criterion
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.select import Rule, Select
from premodel.runtime.selectors.base import Selector
from premodel.runtime.selectors.chain import ChainSelector
from premodel.training.feature_selection import FeatureSelection, SelectionSettings, select_features
from premodel.training.greedy_removal import TARGET, GreedyRemoval, SubsetAccuracy, remove_greedily
from premodel.training.model_selection import ModelSelection, select_models
from premodel.training.objective import Objective
from premodel.training.policies.paper import first_yes
from premodel.training.selectors.registry import OF_THE_PAPER, technique_fit, technique_of
from premodel.training.tables import Tables


@dataclass(frozen=True)
class Recipe:
    """One way of making the paper's premodel.

    Attributes
    ----------
    technique:
        As `technique_fit` takes it.
    labels:
        What the selector is taught, as `study_labels` takes it.
    levels:
        Number of candidates, in the order of Algorithm 1 without its threshold; None for those within the threshold.
    at_most:
        Most of the candidates within the threshold; None for all.
    features:
        Number of features to keep; None for the paper's seven.
    fallback:
        Does the most accurate single candidate of the training rows answer when none predicts yes; else it is skipped.
    permuted:
        On features of other samples: with zero information.
    cnn:
        On all penultimate features of a candidate that has run (`Study.penultimate`), in place of image features.
    """

    technique: str = OF_THE_PAPER
    labels: str = BEST_SCORE
    levels: int | None = None
    at_most: int | None = None
    features: int | None = None
    fallback: bool = True
    permuted: bool = False
    cnn: bool = False

    @property
    def name(self) -> str:
        """What distinguishes it, in words."""
        words = [f"CNN {self.technique}" if self.cnn else self.technique]
        words += [f"labels {self.labels}"] if self.labels != BEST_SCORE else []
        words += [f"{self.levels} levels"] if self.levels is not None else []
        words += [f"first {self.at_most} levels"] if self.at_most is not None else []
        words += [f"{self.features} features"] if self.features is not None else []
        words += [] if self.fallback else ["skips"]
        words += ["permuted features"] if self.permuted else []
        return ", ".join(words)


@dataclass(frozen=True, eq=False)
class FoldFits:
    """What is fitted on the training rows of one fold.

    Attributes
    ----------
    tables:
        The training rows.
    models:
        Algorithm 1 with the paper's threshold.
    order:
        Columns in the order of Algorithm 1 without a threshold, as long as anything is gained.
    fallback:
        Column of the most accurate single candidate; ties by latency.
    selection:
        Both stages of feature selection, down to the target.
    tail:
        Greedy removal from there down to one feature.
    fit_s:
        Wall clock of model selection and feature selection, in seconds.
    """

    tables: Tables
    models: ModelSelection
    order: tuple[int, ...]
    fallback: int
    selection: FeatureSelection
    tail: GreedyRemoval
    fit_s: float
    _groups: dict[tuple[object, ...], Selector] = field(default_factory=dict)

    def chosen(self, recipe: Recipe) -> tuple[int, ...]:
        """Columns of the candidates of a recipe."""
        if recipe.levels is not None:
            return self.order[: recipe.levels]
        return self.models.chosen[: recipe.at_most]

    def columns(self, count: int | None = None) -> tuple[int, ...]:
        """Columns of the best `count` features by greedy removal, in list order; as many as there are at most."""
        if count is None:
            return self.selection.columns
        kept = list(self.selection.pruning.kept)
        for one in (*self.selection.removal.rounds, *self.tail.rounds):
            if len(kept) <= count:
                break
            kept.remove(self.tables.feature_names.index(one.feature))
        return tuple(kept)

    def selector(self, recipe: Recipe, correct: NDArray[Any], seed: int, reads: Tables | None = None) -> Selector:
        """Fit the selector of a recipe; levels of one technique are one group, fitted once for all chains.

        With `reads`, the training rows with features of another kind, it is fitted on all of those instead.
        """
        chosen = list(self.chosen(recipe))
        labels = study_labels(recipe.labels, correct[:, chosen], self.tables.latency_ms[chosen])
        if reads is not None:
            return technique_fit(recipe.technique)(reads.features, labels, reads.feature_names, seed)
        columns = list(self.columns(recipe.features))
        names = tuple(self.tables.feature_names[column] for column in columns)
        features = self.tables.features[:, columns]
        techniques = recipe.technique.split(".")
        if len(techniques) == 1:
            return technique_fit(recipe.technique)(features, labels, names, seed)
        groups: dict[str, list[int]] = {}
        for level in range(len(chosen)):
            groups.setdefault(techniques[min(level, len(techniques) - 1)], []).append(level)
        selectors = []
        for technique, own in groups.items():
            key = (technique, tuple(own), tuple(chosen), tuple(columns), recipe.labels)
            if key not in self._groups:
                self._groups[key] = technique_fit(technique)(features, labels[:, own], names, seed)
            selectors.append(self._groups[key])
        return ChainSelector(selectors, list(groups.values()))

    def policy(self, recipe: Recipe, correct: NDArray[Any], seed: int, reads: Tables | None = None) -> Select:
        """The premodel of a recipe; `reads` as in `selector`."""
        chosen, selector, tables = self.chosen(recipe), self.selector(recipe, correct, seed, reads), self.tables
        fallback = self.fallback if recipe.fallback else None
        runnable = [*chosen, *([] if fallback is None or fallback in chosen else [fallback])]
        rule: Rule = "highest-class" if technique_of(recipe.technique).exclusive else "first-yes"
        return Select(
            [tables.candidates[column] for column in chosen],
            selector,
            rule=rule,
            costs=Costs(tuple(tables.latency_ms[runnable].tolist()), tables.decode_ms),
            fallback=None if fallback is None else tables.candidates[fallback],
            meaning="right" if recipe.labels == "right" else "optimum",
        )


class SharedFits:
    """The fits of every fold, made when first asked for and then kept.

    Parameters
    ----------
    criterion, seed:
        Of the study.
    target:
        Number of features that the paper's premodel keeps.
    rules:
        Of the study.
    """

    def __init__(self, criterion: Criterion, seed: int, target: int = TARGET, rules: FitRules = OF_IMAGES) -> None:
        self._criterion: Criterion = criterion
        self._seed = seed
        self._target = target
        self._rules = rules
        self._fits: dict[bytes, FoldFits] = {}

    def of(self, tables: Tables) -> FoldFits:
        """The fits on these training rows, recognised by their samples and features.

        Raises
        ------
        OptionError
            There are too few rows to fit anything.
        """
        digest = hashlib.sha256("".join(tables.samples).encode())
        digest.update(np.ascontiguousarray(tables.features).tobytes())
        key = digest.digest()
        if key not in self._fits:
            self._fits[key] = self._fit(tables)
        return self._fits[key]

    def policy(self, tables: Tables, recipe: Recipe, reads: Tables | None = None) -> Select:
        """Train a recipe on these rows; `reads` as in `FoldFits.selector`."""
        return self.of(tables).policy(recipe, judged(tables, self._criterion), self._seed, reads)

    def _fit(self, tables: Tables) -> FoldFits:
        """As `fit_paper` does it, with the path of the features followed to the end."""
        start = time.perf_counter()
        correct = judged(tables, self._criterion)
        models = select_models(correct, tables.latency_ms, tables.candidates)
        order = select_models(correct, tables.latency_ms, tables.candidates, theta=0.0).chosen
        chosen = list(models.chosen)
        labels = study_labels(self._rules.labels, correct[:, chosen], tables.latency_ms[chosen])
        fallback = Objective().single(tables.candidates, correct.mean(axis=0), tables.end_to_end_ms())
        selection, accuracy = self._select_features(tables, correct, labels, chosen, fallback)
        fit_s = time.perf_counter() - start
        tail = remove_greedily(selection.columns, tables.feature_names, accuracy, 1)
        return FoldFits(tables, models, order, fallback, selection, tail, fit_s)

    def _select_features(
        self, tables: Tables, correct: NDArray[Any], labels: NDArray[Any], chosen: list[int], fallback: int
    ) -> tuple[FeatureSelection, SubsetAccuracy]:
        settings = SelectionSettings(self._rules.correlation, self._target, seed=self._seed)
        if self._rules.by_choice:
            return select_features(tables, labels, labels, lambda scores: scores.argmax(axis=1), settings)
        return select_features(tables, correct, labels, lambda scores: first_yes(scores, chosen, fallback), settings)
