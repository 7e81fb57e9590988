"""Which features are dropped and kept, and what each is worth (paper Tables 3 and 4, Figures 7 and 12)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from premodel.paper import paper
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.shared_fits import FoldFits
from premodel.paper.study import Study

PAPER_KEPT = ("n_keypoints", "avg_perceived_brightness", "contrast", "area_by_perim", "aspect_ratio", "edge_length1",
              "hue1")  # fmt: skip
"""What is taken for the paper's seven, inferred from its Table 3 and Figure 12: its Table 4 is lost from the text."""


Losses = dict[str, tuple[float, float, float, int]]
"""Mean, least, greatest loss and number of folds, by feature."""


def run(study: Study) -> Result:
    """Both stages in every training fold: how often each feature is dropped or kept, and its loss of accuracy."""
    fits = study.fits()
    names = study.tables.feature_names
    kept = Counter(names[column] for fit in fits for column in fit.selection.columns)
    every = [fit.selection.removal.importance_all for fit in fits]
    all_loss = mean_losses([dict(zip(one.features, one.loss_points, strict=True)) for one in every])
    kept_share = kept_shares(fits)
    ranked = sorted(all_loss, key=lambda name: -all_loss[name][0])
    by_fold: list[tuple[Cell, ...]] = [
        (name, kept[name], "yes" if name in PAPER_KEPT else "no") for name in sorted(names, key=lambda one: -kept[one])
    ]
    importance: list[tuple[Cell, ...]] = [(name, *all_loss[name]) for name in ranked]
    top: list[tuple[Cell, ...]] = [(name, value, kept[name]) for name, value in kept_share]
    agreed = sum(kept[name] == len(fits) for name in names)
    return Result(
        "features",
        "Features: correlation, kept ones, importance",
        "3.4, 5.4, Tables 2 to 4, Figures 7 and 12",
        f"{agreed} of {study.features} features are kept in all {len(fits)} folds. Where no feature is very "
        "informative, which are kept changes from fold to fold.",
        _comparisons(study, fits, kept_share, ranked),
        [
            correlation_table(fits),
            DataTable(
                "kept",
                "Kept features (Table 4)",
                ("feature", f"folds of {len(fits)} that keep it", "in the paper's seven (inferred)"),
                tuple(by_fold),
            ),
            DataTable(
                "importance-kept",
                "Importance among the kept features (Figure 7)",
                ("feature", "share of all losses, mean over folds, %", "folds that keep it"),
                tuple(top),
            ),
            DataTable(
                "importance-all",
                "Loss of accuracy without each feature, all features that correlation left (Figure 12)",
                ("feature", "loss, mean over folds, points", "least, points", "greatest, points", "folds"),
                tuple(importance),
            ),
        ],
        _figures(kept_share, all_loss, ranked),
        notes=(
            "Features are selected inside each training fold, for the premodel with a fallback. The paper selects them "
            "on the images it reports accuracy on.",
            "The paper gives no definitions of its features; ours are our own choice, and so is which of a correlated "
            "pair is dropped: the dearer one.",
        ),
    )


def _figures(shares: list[tuple[str, float]], losses: Losses, ranked: list[str]) -> list[BarFigure]:
    """Figures 7 and 12."""
    return [
        BarFigure(
            "importance-kept",
            "Share of each kept feature in all losses of accuracy, mean over the folds (Figure 7).",
            "share, %",
            tuple(name for name, _ in shares),
            (Series("share", tuple(value for _, value in shares)),),
        ),
        BarFigure(
            "importance-all",
            "Points of accuracy lost without each feature, mean over folds, with the range of the folds "
            "(Figure 12). Below 0 the premodel is better without it.",
            "loss, points",
            tuple(ranked),
            (
                Series(
                    "loss",
                    tuple(losses[name][0] for name in ranked),
                    tuple(losses[name][1] for name in ranked),
                    tuple(losses[name][2] for name in ranked),
                ),
            ),
        ),
    ]


def mean_losses(losses: list[dict[str, float]]) -> Losses:
    """Mean, least, greatest and number of folds by feature."""
    found = {}
    for name in dict.fromkeys(name for one in losses for name in one):
        values = [one[name] for one in losses if name in one]
        found[name] = (float(np.mean(values)), min(values), max(values), len(values))
    return found


def kept_shares(fits: list[FoldFits]) -> list[tuple[str, float]]:
    """Mean share of importance over all folds, a feature not kept counting 0; greatest first."""
    total: dict[str, float] = {}
    for fit in fits:
        for name, share in fit.selection.removal.importance_kept.top(len(fit.selection.removal.kept)):
            total[name] = total.get(name, 0.0) + share / len(fits)
    return sorted(total.items(), key=lambda item: -item[1])


def correlation_table(fits: list[FoldFits]) -> DataTable:
    """Dropped features by the kept one they are nearest to, over all folds."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for fit in fits:
        for one in fit.selection.pruning.dropped:
            pairs.setdefault((one.because_of or "constant", one.feature), []).append(abs(one.correlation))
    rows: list[tuple[Cell, ...]] = [
        (kept, feature, None if math.isnan(values[0]) else float(np.mean(values)), len(values))
        for (kept, feature), values in sorted(pairs.items())
    ]
    header = ("kept", "dropped", "correlation, absolute, mean", "folds")
    caption = f"Dropped at a correlation above {fits[0].selection.pruning.threshold:g} (Table 3)"
    return DataTable("correlation", caption, header, tuple(rows), absent="-")


def _comparisons(
    study: Study, fits: list[FoldFits], shares: list[tuple[str, float]], ranked: list[str]
) -> list[Comparison]:
    left = [len(fit.selection.pruning.kept) for fit in fits]
    drops = [abs(one.correlation) for fit in fits for one in fit.selection.pruning.dropped if one.because_of]
    eighth = ranked[study.features] if len(ranked) > study.features else None
    own = "Our features are defined otherwise: the paper defines none."
    return [
        Comparison(
            "candidate features", len(study.tables.feature_names), "", "features of the profile", paper.FEATURES_LISTED,
            "The paper states 30; its table holds 29."
        ),
        Comparison(
            "left after correlation", float(np.mean(left)), "", f"mean over folds, {min(left)} to {max(left)}",
            paper.FEATURES_LEFT, own
        ),
        Comparison(
            "greatest correlation of a dropped feature", max(drops, default=None), "", "absolute, over all folds",
            paper.CORRELATIONS, own
        ),
        Comparison(
            "kept features", float(np.mean([len(fit.selection.removal.kept) for fit in fits])), "",
            "greedy removal ends at this number by choice", paper.FEATURES_KEPT,
            "The paper's end is a 'significant' loss, which it does not define."
        ),
        Comparison(
            "importance of the first feature", shares[0][1] if shares else None, "%",
            f"mean share over folds, {shares[0][0] if shares else 'none'}", paper.IMPORTANCE_TOP,
            "Shares are of small and noisy losses; see the range over folds."
        ),
        Comparison("feature of eighth importance", eighth, "", "by mean loss among all that correlation left",
                   paper.EIGHTH, own),
    ]  # fmt: skip
