"""The study: one division into folds, in which every experiment's premodels are fitted and served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.cross_validation import Method, Outcome, cross_validate, permuted_features
from premodel.evaluation.rows import Row, Singles, outcome_row
from premodel.paper.corpus import Corpus
from premodel.paper.fit_rules import OF_IMAGES, FitRules
from premodel.paper.readings import judged
from premodel.paper.results import Interval
from premodel.paper.shared_fits import FoldFits, Recipe, SharedFits
from premodel.records import Criterion
from premodel.runtime.policies.base import Policy
from premodel.runtime.selectors.base import Scores
from premodel.stats import paired_bootstrap, wilson
from premodel.training.folds import Fold, stratified_folds
from premodel.training.greedy_removal import TARGET
from premodel.training.penultimate import Penultimate
from premodel.training.tables import Tables

Progress = Callable[[str], None]
"""Called with a word after each fit and simulation of one fold."""

MAIN = Recipe()
"""The paper's premodel; the most accurate single candidate answers where no level predicts yes."""
SKIPS = Recipe(fallback=False)
"""The same, with no answer there."""


@dataclass(frozen=True, eq=False)
class Served:
    """A recipe out of fold."""

    recipe: Recipe
    outcome: Outcome
    row: Row

    @property
    def latency_ci(self) -> Interval:
        """95 % interval of the mean latency over samples, in ms; how sure the candidates' timings are is apart."""
        return paired_bootstrap(self.outcome.latency_ms)


@dataclass(frozen=True, eq=False)
class LevelScores:
    """What a selector states in one fold.

    Attributes
    ----------
    rows:
        Samples tested.
    chosen:
        Columns of the candidates of the levels.
    scores:
        float64 (rows, levels).
    """

    rows: NDArray[np.intp]
    chosen: tuple[int, ...]
    scores: Scores


class Study:
    """A profile, folds, and everything that was fitted in them.

    Parameters
    ----------
    tables:
        The profile.
    criterion, folds, seed:
        Of the cross-validation.
    features:
        Number of features that the paper's premodel keeps; None for all that pruning leaves.
    penultimate:
        What recipes of a CNN premodel read; None for none of them.
    progress:
        See `Progress`.
    rules:
        By what features are chosen.
    corpus:
        The answers as texts; None where they are labels or not at hand.

    Raises
    ------
    OptionError
        Fewer samples than folds, or a criterion that the labels do not allow.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        criterion: Criterion = "top1",
        folds: int = 10,
        seed: int = 0,
        features: int | None = TARGET,
        penultimate: Penultimate | None = None,
        progress: Progress | None = None,
        rules: FitRules = OF_IMAGES,
        corpus: Corpus | None = None,
    ) -> None:
        self.tables = tables
        self.criterion: Criterion = criterion
        self.folds = folds
        self.seed = seed
        self.features = len(tables.feature_names) if features is None else features
        self.penultimate = penultimate
        self.rules = rules
        self.corpus = corpus
        self.correct = judged(tables, criterion)
        self.singles = Singles.of(tables, criterion)
        self._progress = progress
        self._shared = SharedFits(criterion, seed, self.features, rules)
        self._served: dict[Recipe, Served] = {}
        self.division: list[Fold] = stratified_folds(tables.truth, tables.right_counts(criterion), folds, seed)

    def served(self, recipe: Recipe) -> Served:
        """A recipe cross-validated; asked for again it is not run again."""
        if recipe not in self._served:
            self._served[recipe] = self._serve(recipe)
        return self._served[recipe]

    def all_served(self) -> Sequence[Served]:
        """Every recipe that was cross-validated so far."""
        return list(self._served.values())

    def other(self) -> Study | None:
        """The same study by the other criterion; None if the labels do not allow it."""
        if len(self.tables.label_names) <= 5:
            return None
        criterion: Criterion = "top5" if self.criterion == "top1" else "top1"
        return Study(
            self.tables,
            criterion=criterion,
            folds=self.folds,
            seed=self.seed,
            features=self.features,
            penultimate=self.penultimate,
            progress=self._progress,
            rules=self.rules,
        )

    def fits(self) -> list[FoldFits]:
        """What is shared in each fold, in order."""
        found = []
        for fold in self.division:
            found.append(self._shared.of(self.tables.take(fold.train)))
            self._tell("features")
        return found

    def level_scores(self, recipe: Recipe) -> list[LevelScores]:
        """What the selector of a recipe states on the test rows of each fold."""
        tables = permuted_features(self.tables, self.seed) if recipe.permuted else self.tables
        found = []
        for fold in self.division:
            train = tables.take(fold.train)
            fits = self._shared.of(train)
            selector = fits.selector(recipe, judged(train, self.criterion), self.seed)
            features = tables.features[fold.test][:, list(fits.columns(recipe.features))]
            found.append(LevelScores(fold.test, fits.chosen(recipe), selector.score_batch(features)))
            self._tell(recipe.name)
        return found

    def accuracy_ci(self, right: NDArray[Any]) -> Interval:
        """95 % interval in per cent: Wilson's of who is right, of graded scores by bootstrap."""
        graded = self.singles.graded
        low, high = paired_bootstrap(right, seed=self.seed) if graded else wilson(int(right.sum()), len(right))
        return 100 * low, 100 * high

    def gain(self, right: NDArray[Any], against: NDArray[Any]) -> tuple[float, Interval]:
        """Paired difference in points with its bootstrap interval."""
        difference = right.astype(np.float64) - against
        low, high = paired_bootstrap(difference, seed=self.seed)
        return 100 * float(difference.mean()), (100 * low, 100 * high)

    def _serve(self, recipe: Recipe) -> Served:
        read = self.penultimate if recipe.cnn else None
        data = self.tables if read is None else read.tables(self.tables)

        def fit(tables: Tables, seed: int) -> Policy:
            del seed  # the study's own
            if read is None:
                return self._shared.policy(tables, recipe)
            return self._shared.policy(self.tables.take(self._rows(tables)), recipe, tables)

        def show(done: int, total: int, name: str) -> None:
            del done, total
            self._tell(name)

        method = Method(recipe.name, "premodel", "paper", fit, permute_features=recipe.permuted)
        (outcome,) = cross_validate(
            data, [method], criterion=self.criterion, folds=self.folds, seed=self.seed, progress=show
        )
        if read is not None:
            outcome = _paid_once(outcome, self.tables, self.tables.candidates.index(read.candidate))
        row = outcome_row(outcome, self.tables, self.criterion, self.singles, seed=self.seed)
        return Served(recipe, outcome, row)

    def _rows(self, tables: Tables) -> NDArray[np.intp]:
        """Where these samples are among the study's."""
        place = {sample: row for row, sample in enumerate(self.tables.samples)}
        return np.array([place[sample] for sample in tables.samples], np.intp)

    def _tell(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what)


def _paid_once(outcome: Outcome, tables: Tables, column: int) -> Outcome:
    """The network whose features were read has run on every sample, and is not paid again where it answers."""
    again = outcome.ran[:, column]
    ran = outcome.ran.copy()
    ran[:, column] = True
    return replace(outcome, ran=ran, latency_ms=outcome.latency_ms - np.where(again, tables.latency_ms[column], 0.0))
