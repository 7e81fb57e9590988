"""Overall: the premodel that the follow-up chose, against single candidates, random mix and oracles."""

from __future__ import annotations

from premodel.paper.paper import Published
from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME, study_labels
from premodel.paper.results import Cell, Comparison, DataTable, Result
from premodel.paper.served_rows import oracle_point, point, served_figure
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.premodels import MAIN, PERMUTED, reading_name
from premodel.paper.translation.rows import (
    OURS,
    SCORES,
    Line,
    against_table,
    candidate_line,
    chosen_line,
    f1_above_mix,
    mix_cells,
    scores_table,
    served_line,
)
from premodel.training.labels import oracle

NAME = "naive Bayes, one model"


def run(study: Study) -> Result:
    """The premodel, the same on permuted features, every candidate, both oracles; beside what was published."""
    served, blind = study.served(MAIN), study.served(PERMUTED)
    main = served_line(study, NAME, served)
    permuted = served_line(study, "the same on permuted features", blind)
    singles = [candidate_line(study, column) for column in range(len(study.tables.candidates))]
    oracles = oracle_lines(study)
    every = [*singles, main, permuted, *oracles]
    best = singles[study.singles.best]
    criterion = study.criterion
    return Result(
        "translation",
        "Overall: quality and time of the follow-up's premodel",
        "follow-up, translation: its claim in the abstract; replication, premodels",
        _finding(main),
        _comparisons(main, permuted, best, oracles[0]),
        [
            _side_by_side(study, singles, [main, permuted], oracles),
            scores_table(
                "scores",
                "Means of sentence scores, times 100; corpus scores beside them are no means of them",
                every,
                [mix_cells(study, main.latency_ms)],
            ),
            against_table("against", "Speed-up and differences, with 95 % intervals over sentences", [main, permuted]),
        ],
        [
            served_figure(
                "translation",
                f"{SCORES[criterion]} against time: single candidates, the premodel, the oracle.",
                study,
                [
                    ("the follow-up's premodel", [point(NAME, served.row)]),
                    ("on permuted features", [point(permuted.name, blind.row)]),
                    ("oracle", [oracle_point(study)]),
                ],
                axis(criterion),
            )
        ],
        notes=(
            f"The most capable model is the candidate of the highest mean {SCORES[criterion]}, {best.name}; it is "
            "chosen on the sentences that it is judged on, which favours it.",
            "The random mix serves two candidates in some proportion, without looking at the sentence, at the same "
            "mean time. What is not above it has learned nothing of use; neither publication reports it.",
            f"The labels are the candidates of greatest {reading_name(criterion, SQUARE_OVER_TIME)}, as the "
            "replication takes them: the follow-up leaves the optimum undefined. An oracle's choice costs nothing.",
        ),
    )


def axis(criterion: str) -> str:
    """What a figure's y axis shows."""
    return f"{SCORES[criterion]}, mean of sentences x 100"


def oracle_lines(study: Study) -> list[Line]:
    """Both readings of the optimum, known with the truth in hand: the best score first."""
    score, latency_ms = study.correct, study.tables.latency_ms
    labels = study_labels(SQUARE_OVER_TIME, score, latency_ms).argmax(axis=1)
    return [
        chosen_line(study, f"oracle, {reading_name(study.criterion, BEST_SCORE)}", oracle(score, latency_ms)),
        chosen_line(study, f"oracle, greatest {reading_name(study.criterion, SQUARE_OVER_TIME)}", labels),
    ]


def _finding(main: Line) -> str:
    gain, (low, high) = main.to_best
    text = (
        f"BLEU {main.means['bleu']:.2f}, ROUGE-L {main.means['rouge']:.2f}, F1 {main.means['f1']:.2f} at "
        f"{main.latency_ms:.2f} ms: {main.speedup:.2f} times as fast as the most capable candidate at {gain:+.2f} BLEU "
        f"[{low:+.2f}, {high:+.2f}]"
    )
    mix = main.to_mix("f1")
    if mix is None:
        return f"{text}; it always serves the same candidate."
    value, (low, high) = mix
    return f"{text}, and {value:+.2f} F1 [{low:+.2f}, {high:+.2f}] against the random mix of the same mean time."


def _comparisons(main: Line, permuted: Line, best: Line, oracle_: Line) -> list[Comparison]:
    naive_bayes, most = published.premodel_of("naive Bayes"), published.POOL[-1]
    loss, loss_ci = main.to_best
    mix = main.to_mix("f1")
    blind = permuted.to_mix("f1")
    gap = oracle_.f1_of_means - best.f1_of_means
    items = [
        Comparison(
            "speed-up against the most capable model", main.speedup, "times",
            f"mean time of {best.name} over the premodel's, features and decision counted", published.SPEEDUP,
            "A ratio of times shows little where quality differs: see the random mix.", main.speed[1],
        ),
        Comparison(
            "the same in the replication", main.speedup, "times", "as above",
            Published(
                most.latency_ms / naive_bayes.latency_ms, f"{most.latency_ms / naive_bayes.latency_ms:.2f} times",
                "times", "8.86 ms of gnmt_8 over 4.77 ms of naive Bayes; its features are not in it", published.WHERE,
                published.REPLICATION,
            ),
            ci=main.speed[1],
        ),
        Comparison(
            "loss of BLEU to the most capable model", loss, "points", "paired, mean of sentences",
            published.LITTLE_IMPACT, f"The replication's naive Bayes loses {most.bleu - naive_bayes.bleu:.2f}.",
            loss_ci,
        ),
        Comparison(
            "F1 against the random mix", None if mix is None else mix[0], "points",
            "paired, mean of the sentences' F1, two candidates mixed at the same mean time",
            published.replication_points(
                published.replicated_above_mix(naive_bayes),
                "worked out here from its printed F1 and times of 3_layer and gnmt_2; no interval can be had",
            ),
            "" if blind is None else f"On permuted features: {blind[0]:+.2f} points.",
            None if mix is None else mix[1],
        ),
        Comparison(
            "naive Bayes as one model", _text(main), "", "out of fold; F1 of the means, as the replication prints it",
            published.replication(naive_bayes, "10 folds, oversampled labels, 1,500 words among its features"),
            "Other models, sentences and machine.",
        ),
        Comparison(
            "most capable model", _text(best), "", best.name, published.replication(most, "gnmt_8"),
        ),
        Comparison(
            "oracle", _text(oracle_), "", "the best score of each sentence, the cheapest of equals",
            published.replication(published.ORACLE, "the best BLEU of each sentence"),
            f"It is {gap:.2f} F1 above the most capable model here, {published.ORACLE.f1 - most.f1:.2f} there: how far "
            "a choice that knew the truth would get.",
        ),
    ]  # fmt: skip
    return items


def _text(one: Line) -> str:
    return (
        f"BLEU {one.means['bleu']:.2f}, ROUGE-L {one.means['rouge']:.2f}, F1 {one.f1_of_means:.2f} at "
        f"{one.latency_ms:.2f} ms"
    )


def _side_by_side(study: Study, singles: list[Line], premodels: list[Line], oracles: list[Line]) -> DataTable:
    """Our lines, the replication's and the follow-up's in one table; F1 is that of the means, as the replication's."""
    rows: list[tuple[Cell, ...]] = []
    for one in [*singles, *premodels, *oracles]:
        mixed = f1_above_mix(study, one) if one.chooses else None
        rows.append(
            (one.name, OURS, one.means["bleu"], one.means["rouge"], one.f1_of_means, one.latency_ms, one.speedup, mixed)
        )
    most = published.POOL[-1]
    for printed in (*published.POOL, *published.PREMODELS, published.ORACLE):
        mixed = published.replicated_above_mix(printed) if printed in published.PREMODELS else None
        rows.append(
            (
                printed.name, published.REPLICATION, printed.bleu, printed.rouge, printed.f1, printed.latency_ms,
                most.latency_ms / printed.latency_ms, mixed,
            )
        )  # fmt: skip
    speedup = published.SPEEDUP.value
    rows.append((NAME, published.FOLLOW_UP, None, None, None, None, speedup, None))
    header = ("", "whose", "BLEU", "ROUGE-L", "F1 of the means", "time, ms", "speed-up")
    caption = "Side by side, and whose each line is; speed-up is against the most capable model of each"
    return DataTable("side-by-side", caption, (*header, "F1 to the random mix, points"), tuple(rows), "-")
