"""Which features of a sentence pruning drops, and what each of the others is worth to the choice."""

from __future__ import annotations

from collections import Counter

import numpy as np

from premodel.paper.features import Losses, correlation_table, mean_losses
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.shared_fits import FoldFits
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.premodels import CLASSIFIERS, MAIN, PERMUTED
from premodel.paper.translation.rows import served_line, worth_of_features

SHOWN = 12
"""Features in the figure."""
WITHOUT_EACH = "share of sentences for which the labelled candidate is chosen, less that without the feature"


def run(study: Study) -> Result:
    """Pruning and greedy importance in every training fold, and the premodel on features of other sentences."""
    fits = study.fits()
    names = study.tables.feature_names
    pruned = Counter(names[column] for fit in fits for column in fit.selection.pruning.kept)
    read = Counter(names[column] for fit in fits for column in fit.selection.columns)
    every = [fit.selection.removal.importance_all for fit in fits]
    losses = mean_losses([dict(zip(one.features, one.loss_points, strict=True)) for one in every])
    places = greedy_places(fits)
    ranked = sorted(losses, key=lambda name: (places.get(name, len(names)), -losses[name][0]))
    rows: list[tuple[Cell, ...]] = [
        (name, places.get(name), *losses[name][:3], pruned[name], read[name]) for name in ranked
    ]
    shown = ranked[:SHOWN]
    threshold = study.rules.correlation
    return Result(
        "features",
        "Features of a sentence: correlation and greedy importance",
        "follow-up, features, Table 7; replication, features",
        _finding(study, fits, losses),
        _comparisons(study, fits),
        [
            correlation_table(fits),
            DataTable(
                "importance",
                "Greedy importance: the last one left by greedy removal is first",
                (
                    "feature", "place, mean over folds", "loss, mean over folds, points", "least, points",
                    "greatest, points", f"folds of {len(fits)} that pruning leaves it in", "folds that read it",
                ),
                tuple(rows),
            ),
        ],
        [
            BarFigure(
                "importance",
                f"Points of right choices lost without each of the {len(shown)} first features, mean over folds, with "
                "the range of the folds. Below 0 the choice is better without it.",
                "loss, points",
                tuple(shown),
                (Series("loss", *(tuple(losses[name][place] for name in shown) for place in range(3))),),
            )
        ],
        notes=(
            f"Pruning drops at an absolute correlation above {threshold:g} for texts (images: 0.75), inside each "
            "training fold; of a pair the dearer one goes.",
            f"Importance is scored with a KNN as one model: {WITHOUT_EACH}.",
        ),
    )  # fmt: skip


def greedy_places(fits: list[FoldFits]) -> dict[str, float]:
    """Mean place of each feature by greedy removal, 1 for the last one left; over the folds that pruning left it in."""
    found: dict[str, list[int]] = {}
    for fit in fits:
        removed = [one.feature for one in (*fit.selection.removal.rounds, *fit.tail.rounds) if one.removed]
        kept = [fit.tables.feature_names[column] for column in fit.selection.pruning.kept]
        order = [*removed, *(name for name in kept if name not in removed)][::-1]
        for place, name in enumerate(order, 1):
            found.setdefault(name, []).append(place)
    return {name: float(np.mean(places)) for name, places in found.items()}


def _finding(study: Study, fits: list[FoldFits], losses: Losses) -> str:
    left = [len(fit.selection.pruning.kept) for fit in fits]
    range_ = f"{min(left)}" if min(left) == max(left) else f"{min(left)} to {max(left)}"
    steady = [name for name, (_, least, _, folds) in losses.items() if least > 0 and folds == len(fits)]
    real, blind = (served_line(study, "", study.served(recipe)) for recipe in (MAIN, PERMUTED))
    worth, (low, high) = worth_of_features(real, blind)
    return (
        f"Pruning leaves {range_} of {len(study.tables.feature_names)} features; those without which the choice is "
        f"worse in every fold: {', '.join(steady) or 'none'}. To the premodel the features are worth {worth:+.2f} F1 "
        f"[{low:+.2f}, {high:+.2f}] against those of other sentences."
    )


def _comparisons(study: Study, fits: list[FoldFits]) -> list[Comparison]:
    dropped = Counter(
        f"{one.feature} for {one.because_of}"
        for fit in fits
        for one in fit.selection.pruning.dropped
        if one.because_of is not None
    )
    usual = [name for name, count in dropped.items() if 2 * count > len(fits)]
    items = [
        Comparison(
            "candidate features", len(study.tables.feature_names), "", "of the profile, 16 of them a bag of words",
            published.FEATURES, "Eleven are the follow-up's by name; it does not define them, ours are our own.",
        ),
        Comparison(
            "dropped by correlation", ", ".join(usual) or "none", "", "in more than half of the folds",
            published.DROPPED, "All of them grow with the length; which one stays is a choice, here the cheapest.",
        ),
    ]  # fmt: skip
    for recipe, what in ((MAIN, "real features"), (PERMUTED, "features of other sentences")):
        line = served_line(study, what, study.served(recipe))
        mix = line.to_mix("f1")
        items.append(
            Comparison(
                f"F1 against the random mix, {what}", None if mix is None else mix[0], "points",
                f"{CLASSIFIERS[MAIN.technique]}; F1 {line.means['f1']:.2f} at {line.latency_ms:.2f} ms", None,
                "" if recipe is MAIN else "Zero information: what it shows is the proportion of the choices alone.",
                None if mix is None else mix[1],
            )
        )  # fmt: skip
    return items
