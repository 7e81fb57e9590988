"""The studies that can be repeated: the paper's, and that of translation by its follow-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from premodel.domains.base import TRANSLATION_TASK
from premodel.errors import OptionError
from premodel.paper.experiments import EXPERIMENTS, TRANSLATION_EXPERIMENTS
from premodel.paper.fit_rules import OF_IMAGES, OF_TRANSLATIONS, FitRules
from premodel.paper.results import Result
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import MAIN, Study
from premodel.paper.translation import premodels
from premodel.paper.translation.closing import closing
from premodel.paper.translation.published import FOLLOW_UP
from premodel.paper.translation.rows import SCORES
from premodel.records import CRITERIA, Criterion
from premodel.training.tables import Tables


@dataclass(frozen=True, eq=False)
class Plan:
    """A published study.

    Attributes
    ----------
    name:
        As users write it.
    publication:
        Where it was published, in short.
    experiments:
        By the id of their results, in the order of the page.
    main, subject:
        The premodel that the verdict is on, and what it is called there.
    rules:
        By what it fits.
    criteria:
        What answers may be judged by; the first is the usual one.
    task:
        Task of the stores it is for; None for every one whose answers are labels.
    theirs:
        What there is to say of the published numbers.
    several:
        Are the published numbers of more than one publication.
    closing:
        What the verdict ends with.
    """

    name: str
    publication: str
    experiments: Mapping[str, Callable[[Study], Result]]
    main: Recipe
    subject: str
    rules: FitRules
    criteria: tuple[Criterion, ...]
    task: str | None
    theirs: str
    several: bool = False
    closing: Callable[[Study], str] | None = None

    def refuse(self, tables: Tables, criterion: Criterion) -> None:
        """Refuse a profile that this study is not for, and a criterion that is none of its own.

        Raises
        ------
        OptionError
            So it is.
        """
        if not self.fits(tables):
            wanted = "answers that are labels" if self.task is None else f"a store of task {self.task}"
            other = next((name for name, plan in STUDIES.items() if plan.fits(tables)), None)
            raise OptionError(
                f"study {self.name} must be given {wanted}", given=f"a store of task {tables.task}",
                do=None if other is None else f"use --study {other}",
            )  # fmt: skip
        if criterion not in self.criteria:
            raise OptionError(
                f"criterion must be one of study {self.name}", given=criterion, allowed=", ".join(self.criteria)
            )
        lacking = [one for one in SCORES if self.task is not None and one not in tables.graded]
        if lacking:
            raise OptionError("the profile must hold scores of every criterion", given=f"none of {', '.join(lacking)}")

    def fits(self, tables: Tables) -> bool:
        """Is this study for profiles of this task."""
        return tables.task == self.task if self.task is not None else bool(tables.label_names)


STUDIES = {
    plan.name: plan
    for plan in (
        Plan(
            "lctes18",
            "LCTES 2018",
            EXPERIMENTS,
            MAIN,
            "the paper's premodel",
            OF_IMAGES,
            CRITERIA,
            None,
            "The paper's numbers are from other networks, other images and another device: what can be compared is "
            "said beside each.",
        ),
        Plan(
            "tecs19",
            "TECS 19(1), 2020: translation",
            TRANSLATION_EXPERIMENTS,
            premodels.MAIN,
            f"the premodel of {FOLLOW_UP}, one naive Bayes over the candidates",
            OF_TRANSLATIONS,
            tuple(SCORES),
            TRANSLATION_TASK,
            "The follow-up of the paper is V. S. Marco, B. Taylor, Z. Wang, Y. Elkhatib, ACM TECS 19(1), 2020; of it "
            "no more than the abstract and quotations were at hand, so most published numbers are from its public "
            "replication, HitkoDev/energy-efficient-ml. All are from other translators, other sentences and other "
            "devices; whose they are stands beside each.",
            several=True,
            closing=closing,
        ),
    )
}
"""By name; the first is the usual one."""
USUAL = next(iter(STUDIES))
