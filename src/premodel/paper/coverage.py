"""The coverage check: no premodel that runs one candidate can be right more often than the union of its candidates."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.paper import paper
from premodel.paper.results import Cell, Comparison, DataTable, Result
from premodel.paper.study import MAIN, Study
from premodel.stats import wilson

ROUNDING = 0.005
"""Points by which a printed figure may be off."""


@dataclass(frozen=True)
class CoverageCheck:
    """One accuracy against the union of its candidates, both in per cent."""

    name: str
    accuracy: float
    union: float

    @property
    def possible(self) -> bool:
        """Is the accuracy one that can be reached by choosing among the candidates, up to rounding."""
        return self.accuracy <= self.union + ROUNDING

    @property
    def verdict(self) -> str:
        """In words."""
        if self.possible:
            return "possible"
        return f"IMPOSSIBLE: {self.accuracy - self.union:.2f} points above the union"


def published_check() -> CoverageCheck:
    """The paper's own top-1 against the sum of its gains of Algorithm 1.

    Source: 5.1 and 8 against 3.2. Three printed gains are summed, each rounded to a hundredth.
    """
    return CoverageCheck("the paper", paper.TOP1.value or 0.0, paper.COVERAGE.value or 0.0)


def run(study: Study) -> Result:
    """The paper's figures and every premodel of this study that was cross-validated before."""
    main = study.served(MAIN)
    own = [
        CoverageCheck(one.recipe.name, 100 * one.row.accuracy, 100 * one.row.extra["union"])
        for one in study.all_served()
    ]
    checks = [published_check(), *own]
    rows: list[tuple[Cell, ...]] = [(one.name, one.accuracy, one.union, one.verdict) for one in checks]
    flagged = [one.name for one in own if not one.possible]
    published = checks[0]
    hits = round(main.row.extra["union"] * len(study.tables))
    low, high = wilson(hits, len(study.tables))
    return Result(
        "coverage",
        "Coverage check",
        "3.2 against 5.1",
        f"The paper: {published.accuracy:.2f} % accuracy over networks whose union is {published.union:.2f} %, "
        f"{published.verdict}. Ours: {len(own) - len(flagged)} of {len(own)} premodels pass"
        + (f"; flagged: {', '.join(flagged)}." if flagged else "."),
        [
            Comparison(
                "accuracy less union of the candidates",
                100 * (main.row.accuracy - main.row.extra["union"]),
                "points",
                f"the paper's premodel with a fallback; the union is {100 * main.row.extra['union']:.1f} % "
                f"[{100 * low:.1f}, {100 * high:.1f}]; above 0 is impossible",
                paper.Published(
                    published.accuracy - published.union,
                    f"{published.accuracy} - {published.union}: {published.accuracy - published.union:+.2f} points",
                    "points",
                    "its top-1 less the sum of its gains of Algorithm 1",
                    "5.1, 3.2",
                ),
                "Only by counting images that no network gets right, or from other images, can the paper's be had.",
            )
        ],
        [
            DataTable(
                "coverage",
                "Accuracy against the union of the candidates that may run, the fallback among them",
                ("premodel", "accuracy, %", "union, %", "check"),
                tuple(rows),
            )
        ],
    )
