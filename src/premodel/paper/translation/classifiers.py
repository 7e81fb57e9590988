"""Every classifier that the follow-up considered, as one multi-class model and as a chain."""

from __future__ import annotations

from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME
from premodel.paper.results import Cell, Comparison, DataTable, Result
from premodel.paper.served_rows import oracle_point, point, served_figure
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.overall import axis
from premodel.paper.translation.premodels import CLASSIFIERS, READINGS, premodel_lines, reading_name
from premodel.paper.translation.rows import SCORES, Line, against_table, scores_table, worth_of_features

PRINTED = {
    "multi_class:naive_bayes": "naive Bayes",
    "multi_class": "KNN",
    "multi_class:decision_tree": "decision tree",
    "multi_class:svm": "SVM, Gaussian kernel",
}
"""The replication's line that stands beside each; it has no chains."""


def run(study: Study) -> Result:
    """All of them taught both readings of the optimum, and on permuted features."""
    taught = {scheme: premodel_lines(study, scheme) for scheme in READINGS}
    blind = {scheme: premodel_lines(study, scheme, permuted=True) for scheme in READINGS}
    every = [line for lines in taught.values() for line in lines.values()]
    above = {criterion: [one for one in every if one.choice(criterion) == "above"] for criterion in SCORES}
    choosing = [one for one in every if one.chooses]
    best = max(choosing, key=lambda one: float(one.above_mix(study.criterion).mean()), default=None)
    return Result(
        "classifiers",
        "Every classifier, as one multi-class model and as a chain",
        "follow-up, premodels for translation, Figure 11; replication, premodels",
        f"Above the random mix beyond doubt: {_counted(above, len(every))}."
        + (
            f" The best of them: {_with_reading(study, taught, best)}, {_mixed(study, best)}."
            if best is not None
            else ""
        ),
        [_comparison(technique, line) for technique, line in taught[SQUARE_OVER_TIME].items()],
        [
            table
            for scheme in READINGS
            for table in _tables(study, scheme, list(taught[scheme].values()), list(blind[scheme].values()))
        ],
        [
            served_figure(
                "classifiers",
                f"{SCORES[study.criterion]} against time of every classifier.",
                study,
                [
                    *(
                        (
                            f"taught {reading_name(study.criterion, scheme)}",
                            [
                                point(title, study.served(Recipe(technique, labels=scheme)).row)
                                for technique, title in CLASSIFIERS.items()
                            ],
                        )
                        for scheme in READINGS
                    ),
                    ("oracle", [oracle_point(study)]),
                ],
                axis(study.criterion),
            )
        ],
        notes=(
            f"Each of the {len(every)} comparisons would be above in one case of forty by chance alone.",
            "What the features are worth is how far a premodel is above the random mix, less how far it is on features "
            "of other sentences, each at its own mean time.",
            "Classifiers are taught on all sentences of the training folds, with no label repeated; the replication "
            "repeats rare labels until all are about as frequent.",
            "One model takes the class of the highest score; a chain asks in the order of Algorithm 1 and takes the "
            "first yes, and where there is none the best single candidate of the training folds answers.",
        ),
    )


def _counted(above: dict[str, list[Line]], count: int) -> str:
    return ", ".join(f"{len(found)} of {count} by {SCORES[criterion]}" for criterion, found in above.items())


def _with_reading(study: Study, taught: dict[str, dict[str, Line]], best: Line) -> str:
    scheme = next(scheme for scheme, lines in taught.items() if any(one is best for one in lines.values()))
    return f"{best.name}, taught {reading_name(study.criterion, scheme)}"


def _mixed(study: Study, one: Line) -> str:
    gain, (low, high) = one.to_mix(study.criterion) or (0.0, (0.0, 0.0))
    title = SCORES[study.criterion]
    return (
        f"{gain:+.2f} {title} [{low:+.2f}, {high:+.2f}] against it, {one.speedup:.2f} times as fast as the most capable"
    )


def _comparison(technique: str, line: Line) -> Comparison:
    mix = line.to_mix("f1")
    printed = None if technique not in PRINTED else published.premodel_of(PRINTED[technique])
    theirs = None
    if printed is not None:
        theirs = published.replication_points(
            published.replicated_above_mix(printed), f"{printed.name}, {printed.text}; worked out here from that table"
        )
    return Comparison(
        f"{line.name}: F1 against the random mix",
        "always one candidate: no choice" if mix is None else mix[0],
        "" if mix is None else "points",
        f"BLEU {line.means['bleu']:.2f}, ROUGE-L {line.means['rouge']:.2f}, F1 {line.means['f1']:.2f} at "
        f"{line.latency_ms:.2f} ms, {line.speedup:.2f} times as fast as the most capable",
        theirs,
        "" if printed is not None else "The replication has no chain.",
        None if mix is None else mix[1],
    )


def _tables(study: Study, scheme: str, lines: list[Line], blind: list[Line]) -> list[DataTable]:
    reading = reading_name(study.criterion, scheme)
    short = "best-score" if scheme == BEST_SCORE else "square-over-time"
    permuted: list[tuple[Cell, ...]] = []
    for one, zero in zip(lines, blind, strict=True):
        worth, (low, high) = worth_of_features(one, zero)
        cells: list[Cell] = [one.name, worth, low, high]
        for found in (one, zero):
            mix = found.to_mix("f1")
            cells += [found.means["f1"], found.latency_ms, *((None,) * 3 if mix is None else (mix[0], *mix[1]))]
        permuted.append(tuple(cells))
    columns = ("F1", "time, ms", "F1 to the random mix, points", "from", "to")
    worth_of = ("worth of the features, F1 points", "from", "to")
    header = ("", *worth_of, *columns, *(f"{title}, permuted" for title in columns))
    return [
        scores_table(f"scores-{short}", f"Taught {reading}: means of sentence scores times 100, corpus scores", lines),
        against_table(f"against-{short}", f"Taught {reading}: speed-up and differences, with 95 % intervals", lines),
        DataTable(
            f"permuted-{short}", f"Taught {reading}: real features beside those of other sentences (zero information)",
            header, tuple(permuted), "-",
        ),
    ]  # fmt: skip
