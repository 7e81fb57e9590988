"""The optimum of a sentence by both readings: best score, and score squared over time; and how often they differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME, square_over_time
from premodel.paper.results import BarFigure, Cell, Comparison, DataTable, Result, Series
from premodel.paper.study import Study
from premodel.paper.translation.premodels import READINGS, reading_name
from premodel.paper.translation.rows import SCORES, chosen_line, scores_table
from premodel.stats import wilson
from premodel.training.labels import oracle


def run(study: Study) -> Result:
    """Who is the optimum by each criterion and reading, how often two of them differ, and what each would serve."""
    tables = study.tables
    n = len(tables)
    chosen = {
        (criterion, scheme): optimum_of(tables.score(criterion), tables.latency_ms, scheme)
        for criterion in SCORES
        for scheme in READINGS
    }
    own, label = (chosen[study.criterion, scheme] for scheme in (BEST_SCORE, SQUARE_OVER_TIME))
    differ = int((own != label).sum())
    low, high = wilson(differ, n)
    by_sentence = 0.0
    if tables.sample_ms is not None:
        moved = square_over_time(study.correct, tables.sample_ms).argmax(axis=1)
        by_sentence = 100 * float((moved != label).mean())
    tied = float(((study.correct >= study.correct.max(axis=1, keepdims=True)).sum(axis=1) > 1).mean())
    names = {key: reading_name(*key) for key in chosen}
    shares: list[tuple[Cell, ...]] = [
        (name, *(100 * float((one == column).mean()) for one in chosen.values()))
        for column, name in enumerate(tables.candidates)
    ]
    return Result(
        "optimum",
        "The optimum of a sentence, by both readings",
        "follow-up, labels (not defined); replication, labels and oracle",
        f"The readings differ on {100 * differ / n:.1f} % of the sentences: {names[study.criterion, BEST_SCORE]} "
        f"against {names[study.criterion, SQUARE_OVER_TIME]}. On {100 * tied:.1f} % several candidates share the best "
        "score.",
        [
            Comparison(
                "sentences on which the readings differ", 100 * differ / n, "%",
                f"by {SCORES[study.criterion]}; ties go to the cheaper candidate", None,
                "The follow-up does not define its optimum; the replication labels by one reading and takes the other "
                "for its oracle.", (100 * low, 100 * high),
            ),
            Comparison(
                "labels that each sentence's own time would move", by_sentence, "%",
                "score^2/time by single timings, in place of each candidate's mean", None,
                "Single timings are noisy; the means decide here, as averages do in the replication.",
            ),
            *_between_criteria(study, chosen),
        ],
        [
            DataTable(
                "shares", "Share of sentences on which each candidate is the optimum",
                ("candidate", *(f"{names[key]}, %" for key in chosen)), tuple(shares),
            ),
            scores_table(
                "served", "What a perfect choice by each reading would serve, times 100",
                [chosen_line(study, names[key], one) for key, one in chosen.items()],
            ),
        ],
        [
            BarFigure(
                "shares",
                "Share of sentences on which each candidate is the optimum, by both readings of "
                f"{SCORES[study.criterion]}.",
                "sentences, %",
                tables.candidates,
                tuple(
                    Series(names[study.criterion, scheme], _shares(chosen[study.criterion, scheme], tables.candidates))
                    for scheme in READINGS
                ),
            )
        ],
    )  # fmt: skip


def optimum_of(score: NDArray[np.float64], latency_ms: NDArray[np.float64], scheme: str) -> NDArray[np.intp]:
    """intp (n,): the optimum of each sentence by a reading; of equals the cheapest, also where all score 0.

    Examples
    --------
    The second translation is the better one of the first sentence, but not worth twice the time.

    >>> score, took = np.array([[0.6, 0.8], [0.6, 0.9], [0.5, 0.5]]), np.array([1.0, 2.0])
    >>> optimum_of(score, took, BEST_SCORE).tolist(), optimum_of(score, took, SQUARE_OVER_TIME).tolist()
    ([1, 1, 0], [0, 1, 0])
    """
    if scheme == SQUARE_OVER_TIME:
        return np.asarray(square_over_time(score, latency_ms).argmax(axis=1))
    return oracle(score, latency_ms)


def _shares(chosen: NDArray[np.intp], names: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(100 * float((chosen == column).mean()) for column in range(len(names)))


def _between_criteria(study: Study, chosen: dict[tuple[str, str], NDArray[np.intp]]) -> list[Comparison]:
    """How often another criterion has another optimum."""
    found = []
    for criterion in SCORES:
        if criterion == study.criterion:
            continue
        differ = 100 * float((chosen[criterion, BEST_SCORE] != chosen[study.criterion, BEST_SCORE]).mean())
        found.append(
            Comparison(
                f"{reading_name(criterion, BEST_SCORE)} against {reading_name(study.criterion, BEST_SCORE)}", differ,
                "%", "sentences with another optimum", None, "Each criterion gives another optimum, as they write.",
            )
        )  # fmt: skip
    return found
