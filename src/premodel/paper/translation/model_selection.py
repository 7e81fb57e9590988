"""Algorithm 1 on graded scores: which candidates the premodel may use, and what the chosen reach together."""

from __future__ import annotations

from collections import Counter

from premodel.paper.results import Cell, Comparison, DataTable, Result
from premodel.paper.study import Study
from premodel.paper.translation import published
from premodel.paper.translation.rows import SCORES
from premodel.training.model_selection import THETA, select_models


def run(study: Study) -> Result:
    """The steps on all sentences by each criterion, and what the folds choose."""
    tables = study.tables
    found = {
        criterion: select_models(tables.score(criterion), tables.latency_ms, tables.candidates) for criterion in SCORES
    }
    steps: list[tuple[Cell, ...]] = [
        (
            SCORES[criterion], number, step.candidate, step.gain_points, 100 * step.coverage_after,
            "added" if step.added else "not added",
        )
        for criterion, one in found.items()
        for number, step in enumerate(one.steps, 1)
    ]  # fmt: skip
    chains = Counter(" > ".join(tables.candidates[column] for column in fit.models.chosen) for fit in study.fits())
    own = found[study.criterion]
    kept = [tables.candidates[column] for column in own.chosen]
    reached = max(step.coverage_after for step in own.steps if step.added)
    union = float(study.correct.max(axis=1).mean())
    return Result(
        "model-selection",
        "Model selection (Algorithm 1) on graded scores",
        "LCTES 2018, 3.2; follow-up, model selection",
        f"{len(kept)} of {len(tables.candidates)} candidates are kept by {SCORES[study.criterion]}: "
        f"{' > '.join(kept)}; {own.stopped}. A perfect choice among them has {100 * reached:.2f}, among all "
        f"{100 * union:.2f}.",
        [
            Comparison(
                "candidates kept", len(kept), "", f"within theta {THETA:g} points of {SCORES[study.criterion]}",
                published.MODELS, "Which of the 15 its model selection looked at is not known.",
            ),
            Comparison(
                "union of the chosen candidates", 100 * reached, "", f"mean of the best {SCORES[study.criterion]} of "
                "each sentence, times 100: no premodel over them can have more",
                published.replication(published.ORACLE, "of 3_layer, gnmt_2 and gnmt_8"),
            ),
        ],
        [
            DataTable(
                "steps", "Rounds of Algorithm 1 on all sentences, by each criterion",
                ("criterion", "step", "candidate", "gain, points", "union after, times 100", ""), tuple(steps),
            ),
            DataTable(
                "folds", "Chains that the training folds choose", ("chain", "folds"), tuple(chains.most_common()),
            ),
        ],
        notes=(
            "Of graded scores a candidate's gain is by how much the best of the chosen becomes better, and the first "
            "is the one that is the cheapest of the best on most sentences.",
        ),
    )  # fmt: skip
