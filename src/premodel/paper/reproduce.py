"""The whole study: every experiment on one profile, and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from premodel.errors import OptionError
from premodel.evaluation.baselines import single_rows
from premodel.evaluation.rows import Row, describe
from premodel.paper.corpus import Corpus
from premodel.paper.results import Result
from premodel.paper.studies import STUDIES, USUAL, Plan
from premodel.paper.study import Study
from premodel.records import Criterion
from premodel.training.penultimate import Penultimate
from premodel.training.record import plain
from premodel.training.tables import Tables
from premodel.verdict import Verdict

Progress = Callable[[str, str], None]
"""Called with the experiment's id and a word after each fit; the word is empty when the experiment begins."""


@dataclass(frozen=True, eq=False)
class Reproduction:
    """All results.

    Attributes
    ----------
    verdict:
        The result in words.
    comparison:
        The study's premodel against the best single candidate and the random mix.
    criterion, samples, folds, seed:
        Of the cross-validation.
    results:
        In the order of the page.
    conditions:
        Of the profile.
    plan:
        The study that was repeated.
    """

    verdict: str
    comparison: Verdict | None
    criterion: Criterion
    samples: int
    folds: int
    seed: int
    results: Sequence[Result]
    conditions: Mapping[str, object]
    plan: Plan

    def to_json(self) -> dict[str, Any]:
        """All values; what is not measured is null. Figures repeat the tables and are left out."""
        experiments = []
        for result in self.results:
            one = {key: value for key, value in asdict(result).items() if key not in ("figures", "samples")}
            for table in one["tables"]:
                del table["absent"]
            experiments.append(plain(one))
        return {
            "study": self.plan.name,
            "verdict": self.verdict,
            "comparison": None if self.comparison is None else self.comparison.to_json(),
            "criterion": self.criterion,
            "samples": self.samples,
            "folds": self.folds,
            "seed": self.seed,
            "experiments": experiments,
            "conditions": plain(dict(self.conditions)),
        }


def verdict(main: Row, singles: Sequence[Row], plan: Plan = STUDIES[USUAL]) -> str:
    """What the study's premodel is worth on this data, from its row and those of the single candidates."""
    return describe(replace(main, name=plan.subject), singles)


def reproduce(
    tables: Tables,
    *,
    study: str = USUAL,
    criterion: Criterion | None = None,
    folds: int = 10,
    seed: int = 0,
    features: int | None = None,
    penultimate: Penultimate | None = None,
    corpus: Corpus | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Run every experiment of a study on a profile; no network runs.

    Parameters
    ----------
    tables:
        The profile.
    study:
        One of STUDIES.
    criterion, folds, seed:
        Of the cross-validation; no criterion is the study's usual one.
    features:
        Features that the study's premodel keeps; None for as many as it keeps itself.
    penultimate:
        What the paper's CNN premodel reads; None leaves that one out.
    corpus:
        The answers as texts, for figures of the corpus; None leaves those out.

    Raises
    ------
    OptionError
        The study is unknown or not for such a profile; fewer samples than folds, too few to fit on; or a criterion that
        the study or the labels do not allow.

    Notes
    -----
    What a fold's training rows decide (candidates, features, selectors) is fitted once and shared by the experiments
    that do not vary it.
    """
    plan = plan_of(study)
    criterion = criterion or plan.criteria[0]
    plan.refuse(tables, criterion)
    current = [""]

    def show(word: str) -> None:
        if progress is not None:
            progress(current[0], word)

    fitted = Study(
        tables,
        criterion=criterion,
        folds=folds,
        seed=seed,
        features=plan.rules.target if features is None else features,
        penultimate=penultimate,
        progress=show,
        rules=plan.rules,
        corpus=corpus,
    )
    results = []
    for name, run in plan.experiments.items():
        current[0] = name
        show("")
        results.append(run(fitted))
    main = fitted.served(plan.main).row
    said = verdict(main, single_rows(tables, fitted.singles, seed=seed), plan)
    if plan.closing is not None:
        said = f"{said} {plan.closing(fitted)}"
    found = tuple(results)
    return Reproduction(said, main.comparison, criterion, len(tables), folds, seed, found, tables.conditions, plan)


def plan_of(study: str) -> Plan:
    """A study by its name.

    Raises
    ------
    OptionError
        It is unknown.
    """
    if study not in STUDIES:
        raise OptionError("unknown study", given=study, allowed=", ".join(STUDIES))
    return STUDIES[study]
