"""Overhead of training and of the premodel in use, and memory (paper sections 3.1, 3.3 and 5.5)."""

from __future__ import annotations

import math

import numpy as np

from premodel.paper import paper
from premodel.paper.results import Cell, Comparison, DataTable, Result
from premodel.paper.shared_fits import FoldFits
from premodel.paper.study import MAIN, Served, Study
from premodel.stats import paired_bootstrap

HERE = "This machine, one thread; the paper's is a Python prototype on a TX2."


def run(study: Study) -> Result:
    """The premodel's own time, by part; what training took; what is held in memory."""
    main, fits = study.served(MAIN), study.fits()
    tables = study.tables
    parts = _parts(study, main)
    own_ms = parts["features"] + parts["decision"]
    profile_s = float(tables.end_to_end_ms().sum()) * len(tables) / 1000
    fit_s = np.array([fit.fit_s for fit in fits])
    chosen_mb = [float(np.nansum(tables.memory_mb[list(fit.models.chosen)])) for fit in fits]
    unknown_mb = any(np.isnan(tables.memory_mb[list(fit.models.chosen)]).any() for fit in fits)
    selector_mb = [_selector_mb(study, fit) for fit in fits]
    time_rows: list[tuple[Cell, ...]] = [(name, value) for name, value in parts.items()]
    cost_rows: list[tuple[Cell, ...]] = [
        ("candidates over all images, by the profile's latencies", profile_s),
        ("model and feature selection, mean of the folds", float(fit_s.mean())),
        ("model and feature selection, slowest fold", float(fit_s.max())),
    ]
    memory_rows: list[tuple[Cell, ...]] = [
        (name, None if math.isnan(value) else float(value))
        for name, value in zip(tables.candidates, tables.memory_mb, strict=True)
    ]
    memory_rows.append(("the selector's arrays, mean of the folds", float(np.mean(selector_mb))))
    memory = None if unknown_mb else float(np.mean(chosen_mb))
    return Result(
        "overhead",
        "Overhead of training and in use, memory",
        "3.1, 3.3, 5.5",
        f"Features and decision take {own_ms:.2f} ms, {100 * own_ms / main.row.latency_ms:.0f} % of the mean answer; "
        f"model and feature selection {fit_s.mean():.0f} s a fold.",
        _comparisons(study, main, parts, float(fit_s.mean()), profile_s, memory),
        [
            DataTable("time", "Mean time of one answer by part", ("part", "ms"), tuple(time_rows)),
            DataTable("training", "What training takes", ("what", "s"), tuple(cost_rows)),
            DataTable("memory", "Memory", ("what", "MB"), tuple(memory_rows)),
        ],
        notes=(
            "The time of the decision is measured in this run, one image at a time; the rest is the profile's.",
            "Time to load a model is kept apart, as in the paper.",
        ),
    )


def _parts(study: Study, main: Served) -> dict[str, float]:
    """Mean ms of decode, features, decision and candidates; they sum to the mean latency."""
    tables = study.tables
    features = np.zeros(len(tables))
    for fold, fit in zip(study.division, study.fits(), strict=True):
        features[fold.test] = tables.feature_costs.of(fit.selection.names)
    candidates = float((main.outcome.ran * tables.latency_ms).sum(axis=1).mean())
    features_ms = float(features.mean())
    decision = main.row.latency_ms - tables.decode_ms - features_ms - candidates
    return {
        "decode": tables.decode_ms,
        "features": features_ms,
        "decision": max(0.0, decision),
        "candidates": candidates,
    }


def _selector_mb(study: Study, fit: FoldFits) -> float:
    selector = fit.selector(MAIN, fit.tables.correct(study.criterion), study.seed)
    return sum(array.nbytes for array in selector.arrays().values()) / 1e6


def _comparisons(
    study: Study, main: Served, parts: dict[str, float], fit_s: float, profile_s: float, memory: float | None
) -> list[Comparison]:
    own_ms, mean_ms = parts["features"] + parts["decision"], main.row.latency_ms
    singles = study.singles.latency_ms
    low, high = (1 / bound for bound in paired_bootstrap(main.outcome.latency_ms))
    return [
        Comparison(
            "premodel's part of the answer", 100 * own_ms / mean_ms, "%", "features and decision in the mean latency",
            paper.SHARE_OF_TIME, HERE, (100 * own_ms * high, 100 * own_ms * low),
        ),
        Comparison(
            "against the dearest candidate", 100 * own_ms / float(singles.max()), "%", "the same over its latency",
            paper.SHARE_OF_DEAREST, HERE,
        ),
        Comparison(
            "against the cheapest candidate", 100 * own_ms / float(singles.min()), "%", "the same over its latency",
            paper.SHARE_OF_CHEAPEST, "A cheap candidate of ours may cost little more than the features.",
        ),
        Comparison(
            "speed-up against the cheapest", float(singles.min()) / own_ms, "times",
            "cheapest candidate's latency over features and decision", paper.PREMODEL_VS_CHEAPEST,
            "The paper's MobileNet takes 700 ms, 3 times what its premodel takes: a network that is not warm.",
        ),
        Comparison(
            "one decision", parts["decision"], "ms", "scaling, neighbours, votes, rule; mean, one image at a time",
            paper.KNN_TIME, HERE,
        ),
        Comparison(
            "training", f"{fit_s:.0f} s for selection, {profile_s:.0f} s for running every candidate on every image",
            "", "selection: wall clock, mean of the folds; candidates: sum of the profile's latencies", paper.TRAINING,
            "Far fewer images and smaller networks.",
        ),
        Comparison(
            "energy of the premodel", None, "%", "not measured: the profile holds no energy of features",
            paper.SHARE_OF_ENERGY,
        ),
        Comparison(
            "memory of the chosen candidates", memory, "MB", "opened candidates, summed, mean of the folds",
            paper.MEMORY, "The paper gives a part of 8 GB; ours is in MB because boards differ.",
        ),
    ]  # fmt: skip
