"""The whole study: every experiment on one profile, and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from premodel.evaluation.baselines import single_rows
from premodel.evaluation.rows import Row, describe
from premodel.paper.experiments import EXPERIMENTS
from premodel.paper.results import Result
from premodel.paper.study import MAIN, Study
from premodel.records import Criterion
from premodel.training.feature_selection import TARGET
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
        The paper's premodel against the best single candidate and the random mix.
    criterion, samples, folds, seed:
        Of the cross-validation.
    results:
        In the order of the page.
    conditions:
        Of the profile.
    """

    verdict: str
    comparison: Verdict | None
    criterion: Criterion
    samples: int
    folds: int
    seed: int
    results: Sequence[Result]
    conditions: Mapping[str, object]

    def to_json(self) -> dict[str, Any]:
        """All values; what is not measured is null. Figures repeat the tables and are left out."""
        experiments = []
        for result in self.results:
            one = {key: value for key, value in asdict(result).items() if key not in ("figures", "samples")}
            experiments.append(plain(one))
        return {
            "verdict": self.verdict,
            "comparison": None if self.comparison is None else self.comparison.to_json(),
            "criterion": self.criterion,
            "samples": self.samples,
            "folds": self.folds,
            "seed": self.seed,
            "experiments": experiments,
            "conditions": plain(dict(self.conditions)),
        }


def verdict(main: Row, singles: Sequence[Row]) -> str:
    """What the paper's premodel is worth on this data, from its row and those of the single candidates."""
    return describe(replace(main, name="the paper's premodel"), singles)


def reproduce(
    tables: Tables,
    *,
    criterion: Criterion = "top1",
    folds: int = 10,
    seed: int = 0,
    features: int = TARGET,
    penultimate: Penultimate | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Run every experiment of the paper on a profile; no network runs.

    Parameters
    ----------
    tables:
        The profile.
    criterion, folds, seed:
        Of the cross-validation.
    features:
        Features that the paper's premodel keeps.
    penultimate:
        What its CNN premodel reads; None leaves that one out.

    Raises
    ------
    OptionError
        Fewer samples than folds, too few to fit on, or a criterion that the labels do not allow.

    Notes
    -----
    What a fold's training rows decide (candidates, features, selectors) is fitted once and shared by the experiments
    that do not vary it.
    """
    current = [""]

    def show(word: str) -> None:
        if progress is not None:
            progress(current[0], word)

    study = Study(
        tables,
        criterion=criterion,
        folds=folds,
        seed=seed,
        features=features,
        penultimate=penultimate,
        progress=show,
    )
    results = []
    for name, run in EXPERIMENTS.items():
        current[0] = name
        show("")
        results.append(run(study))
    main = study.served(MAIN).row
    said = verdict(main, single_rows(tables, study.singles, seed=seed))
    return Reproduction(said, main.comparison, criterion, len(tables), folds, seed, tuple(results), tables.conditions)
