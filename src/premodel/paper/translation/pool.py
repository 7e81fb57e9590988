"""The pool: what each candidate is worth and takes."""

from __future__ import annotations

from premodel.paper.paper import Published
from premodel.paper.results import Cell, Comparison, DataTable, PointFigure, Result
from premodel.paper.served_rows import single_points
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.overall import axis
from premodel.paper.translation.rows import OURS, SCORES, candidate_line


def run(study: Study) -> Result:
    """Every candidate, with both kinds of F1 and the corpus scores, and the replication's models."""
    tables = study.tables
    lines = sorted(
        (candidate_line(study, column) for column in range(len(tables.candidates))), key=lambda one: one.latency_ms
    )
    cheapest, dearest = lines[0], lines[-1]
    best = max(lines, key=lambda one: one.means[study.criterion])
    low, high = published.POOL[0], published.POOL[-1]
    span, theirs = best.f1_of_means - lines[0].f1_of_means, high.f1 - low.f1
    ratio, their_ratio = dearest.latency_ms / cheapest.latency_ms, high.latency_ms / low.latency_ms
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, OURS, *one.means.values(), one.f1_of_means, one.latency_ms, one.corpus.get("bleu"),
            one.corpus.get("chrf"),
        )
        for one in lines
    ]  # fmt: skip
    rows += [
        (one.name, published.REPLICATION, one.bleu, one.rouge, None, one.f1, one.latency_ms, None, None)
        for one in published.POOL
    ]
    header = ("", "whose", *SCORES.values(), "F1 of the means", "time, ms", "corpus BLEU", "corpus chrF")
    return Result(
        "pool",
        "The pool of translators",
        "follow-up, models; replication, NMT models",
        f"{len(lines)} candidates from {cheapest.latency_ms:.2f} to {dearest.latency_ms:.2f} ms; the best, "
        f"{best.name}, is {span:.2f} F1 above the cheapest.",
        [
            Comparison(
                "candidates", len(lines), "", "of the profile, settings of one model counted apart", published.MODELS
            ),
            Comparison(
                "dearest over cheapest candidate", ratio, "times", "ratio of mean times, end to end, warm",
                Published(
                    their_ratio, f"{their_ratio:.2f} times", "times", "gnmt_8 over 3_layer", published.WHERE,
                    published.REPLICATION,
                ),
            ),
            Comparison(
                "F1 of the best above the cheapest", span, "points", "F1 of the means",
                published.replication_points(theirs, "gnmt_8 less 3_layer"),
                "What is to be lost by always running the cheapest.",
            ),
        ],
        [
            DataTable(
                "pool",
                "Means of sentence scores times 100 (not stated is the replication's mean of F1), and corpus scores, "
                "which are no means",
                header,
                tuple(rows),
                "-",
            )
        ],
        [
            PointFigure(
                "pool",
                f"{SCORES[study.criterion]} against time of each candidate. The dashed line is the random mix.",
                "latency, ms, end to end",
                axis(study.criterion),
                (("single candidates", single_points(study)),),
                mix=True,
            )
        ],
        notes=(
            "F1 is the harmonic mean of BLEU and ROUGE-L. The mean of the sentences' F1 and the F1 of the two means "
            "differ, and the replication prints the second.",
        ),
    )  # fmt: skip
