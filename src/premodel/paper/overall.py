"""Overall: time, energy, accuracy, precision, recall, F1, against single candidates and the oracle (paper Figure 8)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from premodel.paper import paper
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.served_rows import oracle_point, point, served_figure, served_table
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import MAIN, SKIPS, Served, Study
from premodel.stats import macro_scores, paired_bootstrap

PERMUTED = Recipe(permuted=True)
OTHERS = "Other networks and images."
DEVICES = "Another device, other networks: only ratios can be compared."


def run(study: Study) -> Result:
    """Both ways of treating images that every level refuses, the same on permuted features, and every single."""
    main, skips, blind = study.served(MAIN), study.served(SKIPS), study.served(PERMUTED)
    named = [
        ("paper's premodel, fallback to the best single", main),
        ("paper's premodel, skips", skips),
        ("the same on permuted features", blind),
    ]
    table = _overall_table(study, named)
    scored = [row for row in table.rows if row[5] is not None]
    return Result(
        "overall",
        "Overall: time, accuracy, precision, recall, F1, energy",
        "5.1, Figure 8",
        _finding(main),
        [*_accuracy(study, main, skips), *_time_and_energy(study, main, skips)],
        [
            served_table("gains", "The paper's premodel against best single and random mix", "premodel", named),
            table,
            *_other_criterion(study),
        ],
        [
            served_figure(
                "overall",
                "Accuracy against latency: single candidates, the paper's premodel, and the oracle (Figures 8a, 8c).",
                study,
                [
                    ("paper's premodel", [point(name, one.row) for name, one in named[:2]]),
                    ("on permuted features", [point(named[2][0], blind.row)]),
                    ("oracle", [oracle_point(study)]),
                ],
            ),
            BarFigure(
                "precision-recall",
                "Precision, recall and F1, each the plain mean over the labels that occur (Figure 8d).",
                "%",
                tuple(str(row[0]) for row in scored),
                tuple(
                    Series(title, tuple(_number(row[column]) for row in scored))
                    for title, column in (("precision", 5), ("recall", 6), ("F1", 7))
                ),
            ),
        ],
        notes=(
            "An image without an answer counts as wrong. The paper does not say how it counts one.",
            "The random mix serves two single candidates in some proportion, without looking at the image, at the same "
            "mean latency. What does not beat it has learned nothing of use.",
        ),
    )


def _finding(main: Served) -> str:
    row = main.row
    low, high = row.extra["mix_ci"]
    return (
        f"accuracy {100 * row.accuracy:.1f} % at {row.latency_ms:.2f} ms: {row.gain_points_vs_best:+.1f} points "
        f"against the best single candidate, {row.extra['gain_points_vs_mix']:+.1f} [{low:+.1f}, {high:+.1f}] "
        "against the random mix of the same latency."
    )


def _overall_table(study: Study, named: list[tuple[str, Served]]) -> DataTable:
    tables = study.tables
    rows: list[tuple[Cell, ...]] = []
    for index, name in enumerate(tables.candidates):
        ran = np.zeros((len(tables), len(tables.candidates)), dtype=np.bool_)
        ran[:, index] = True
        labels = tables.top_labels[:, index, 0]
        rank = tables.rank[:, index]
        rows.append(
            _line(study, name, rank < 1, rank < 5, float(study.singles.latency_ms[index]), labels, _energy(study, ran))
        )
    for name, one in named:
        found = one.outcome
        energy = _energy(study, found.ran)
        rows.append(_line(study, name, found.top1, found.top5, one.row.latency_ms, found.label, energy))
    oracle = oracle_point(study)
    union1, union5 = (tables.rank < 1).any(axis=1), (tables.rank < 5).any(axis=1)
    five = 100 * float(union5.mean()) if len(tables.label_names) > 5 else None
    header = ("", "top-1, %", "top-5, %", "answered, %", "latency, ms", "precision, %", "recall, %", "F1, %")
    rows.append(("oracle", 100 * float(union1.mean()), five, 100.0, oracle.x, None, None, None, None))
    return DataTable(
        "all", "Single candidates, premodels, oracle (Figure 8)", (*header, "energy of candidates, mJ"), tuple(rows)
    )


def _line(
    study: Study,
    name: str,
    top1: NDArray[np.bool_],
    top5: NDArray[np.bool_],
    latency_ms: float,
    labels: NDArray[np.int32],
    energy_mj: float | None,
) -> tuple[Cell, ...]:
    precision, recall, f1 = macro_scores(study.tables.truth, labels)
    five = 100 * float(top5.mean()) if len(study.tables.label_names) > 5 else None
    answered = 100 * float(np.mean(labels >= 0))
    return (
        name, 100 * float(top1.mean()), five, answered, latency_ms, 100 * precision, 100 * recall, 100 * f1, energy_mj
    )  # fmt: skip


def _energy(study: Study, ran: NDArray[np.bool_]) -> float | None:
    """Mean energy of the candidates run, mJ; None if one that ran was not measured. Features are not in it."""
    energy = study.tables.energy_mj
    if np.isnan(energy[ran.any(axis=0)]).any():
        return None
    return float((ran * np.nan_to_num(energy)).sum(axis=1).mean())


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0


def _accuracy(study: Study, main: Served, skips: Served) -> list[Comparison]:
    published = paper.TOP1 if study.criterion == "top1" else paper.TOP5
    right, right_skipping = main.outcome.correct(study.criterion), skips.outcome.correct(study.criterion)
    definition = f"out-of-fold {study.criterion}, {study.folds} folds, of the answer served"
    precision, recall, f1 = (100 * main.row.extra[f"{name}_macro"] for name in ("precision", "recall", "f1"))
    above = "The paper's exceeds what its three networks can reach together: see the coverage check."
    return [
        Comparison(
            "accuracy, with a fallback", 100 * float(right.mean()), "%",
            definition + "; the best single answers where all levels refuse", published,
            above if study.criterion == "top1" else OTHERS, study.accuracy_ci(right),
        ),
        Comparison(
            "accuracy, skipping", 100 * float(right_skipping.mean()), "%", definition + "; no answer counts as wrong",
            published, "Skipping can only lower true accuracy.", study.accuracy_ci(right_skipping),
        ),
        *_gains(study, main),
        *_against_oracle(study, main),
        Comparison(
            "precision, recall, F1", f"{precision:.1f}, {recall:.1f}, {f1:.1f} %", "", "plain means over labels",
            paper.PRECISION_RECALL, "The paper calls F1 a weighted average; its formula is the harmonic mean.",
        ),
        Comparison(
            "accuracy, geometric mean over folds", 100 * main.row.extra["accuracy_geomean_folds"], "%",
            "as the paper reports its folds (4.2)", published,
        ),
    ]  # fmt: skip


def _gains(study: Study, main: Served) -> list[Comparison]:
    cheapest = int(study.singles.latency_ms.argmin())
    blind = study.served(PERMUTED)
    gain, gain_ci = study.gain(main.outcome.correct(study.criterion), study.correct[:, cheapest])
    blind_gain, _ = study.gain(blind.outcome.correct(study.criterion), study.correct[:, cheapest])
    return [
        Comparison(
            "gain on the best single", main.row.gain_points_vs_best, "points",
            "paired, same images; the most accurate single candidate", paper.GAIN_BEST,
            f"On permuted features: {blind.row.gain_points_vs_best:+.1f} points.", main.row.gain_ci,
        ),
        Comparison(
            "gain on the random mix", main.row.extra["gain_points_vs_mix"], "points",
            "paired; two singles mixed at the same mean latency", None, "The paper has no such baseline.",
            main.row.extra["mix_ci"],
        ),
        Comparison(
            "gain on the cheapest", gain, "points", f"paired; over {study.tables.candidates[cheapest]}",
            paper.GAIN_CHEAPEST,
            f"On permuted features: {blind_gain:+.1f} points; so much comes without information.", gain_ci,
        ),
    ]  # fmt: skip


def _against_oracle(study: Study, main: Served) -> list[Comparison]:
    oracle: NDArray[np.bool_] = np.logical_or.reduce(study.correct, axis=1)
    right = main.outcome.correct(study.criterion)
    top1 = study.criterion == "top1"
    optimum, most = main.row.extra["optimum_share"], max(main.row.share.values())
    return [
        Comparison(
            "oracle", 100 * float(oracle.mean()), "%", "union of all candidates",
            paper.ORACLE_TOP1 if top1 else paper.ORACLE_TOP5,
            "By the paper's own gains of Algorithm 1 its Oracle would need nearly every further network to add the "
            "most it could." if top1 else OTHERS, study.accuracy_ci(oracle),
        ),
        Comparison(
            "share of the oracle's accuracy", 100 * int(right.sum()) / max(1, int(oracle.sum())), "%",
            "accuracy with a fallback over the oracle's", paper.OF_ORACLE,
        ),
        Comparison(
            "optimum chosen", 100 * optimum, "%",
            "served by the cheapest right candidate of the whole zoo, or skipped where none is right",
            paper.OPTIMUM_SHARE,
            f"The most common candidate serves {100 * most:.1f} %. The paper does not define the case of none.",
            study.accuracy_ci(np.arange(len(right)) < round(optimum * len(right))),
        ),
    ]  # fmt: skip


def _time_and_energy(study: Study, main: Served, skips: Served) -> list[Comparison]:
    cheapest = float(study.singles.latency_ms.min())
    speedup = main.row.speedup_vs_best
    low, high = main.latency_ci
    best_ms = float(study.singles.latency_ms[study.singles.best])
    energy, best = _energy(study, main.outcome.ran), study.tables.energy_mj[study.singles.best]
    saved = None if energy is None or math.isnan(best) or energy <= 0 else float(best) / energy
    skipping = paired_bootstrap(skips.outcome.latency_ms)
    return [
        Comparison(
            "mean latency, with a fallback", main.row.latency_ms, "ms",
            "decode, features, decision and the candidate run; interval over images", paper.MEAN_TIME,
            DEVICES + " The paper's parts add up to 1.09 s.", (low, high),
        ),
        Comparison(
            "mean latency, skipping", skips.row.latency_ms, "ms", "an image that is skipped runs no candidate",
            paper.MEAN_TIME, "Under a second in the paper only if skipped images are counted.", skipping,
        ),
        Comparison("latency of the cheapest", cheapest, "ms", "mean, end to end, warm", paper.CHEAPEST_TIME, DEVICES),
        Comparison(
            "speed-up against the best single", speedup, "times", "best single's mean latency over the premodel's",
            paper.SPEEDUP_BEST, "Where accuracy differs a ratio of times shows little: see the random mix.",
            (best_ms / high, best_ms / low),
        ),
        Comparison(
            "energy against the best single", saved, "times", "best single's energy over that of the candidates run",
            paper.ENERGY_GAIN,
            "Not measured: the profile holds no energy." if saved is None else "Energy of the features is not in it.",
        ),
    ]  # fmt: skip


def _other_criterion(study: Study) -> list[DataTable]:
    """The paper's premodel trained and judged by the other criterion."""
    other = study.other()
    if other is None:
        return []
    rows = [("with a fallback", other.served(MAIN)), ("skips", other.served(SKIPS))]
    caption = f"The paper's premodel trained for {other.criterion} and judged by it, in folds stratified by it"
    return [served_table(other.criterion, caption, "paper's premodel", rows)]
