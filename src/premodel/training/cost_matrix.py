"""What wrong answers cost, class by class: the criterion `cost`, 1 less the cost by the highest one."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from premodel.errors import OptionError
from premodel.training.tables import Tables

COST = "cost"
"""The criterion: a graded one, in [0, 1]."""
COLUMNS = ("truth", "answer", "cost")
ANY, NO_ANSWER = "*", "abstain"
"""Instead of a class: every one, and an abstention as the answer."""
FORM = f"a CSV with the columns {','.join(COLUMNS)}; {ANY} for every class, {NO_ANSWER} as an answer"


@dataclass(frozen=True, eq=False)
class CostMatrix:
    """Costs by label.

    Attributes
    ----------
    cost:
        float64 (k, k): of the answer (column) where the truth is the row, 0 or more.
    abstention:
        float64 (k,): of no answer, by the truth.
    """

    cost: NDArray[np.float64]
    abstention: NDArray[np.float64]

    @property
    def highest(self) -> float:
        """The highest cost there is."""
        return float(max(self.cost.max(), self.abstention.max()))

    def score(self, truth: NDArray[np.integer], answers: NDArray[np.integer]) -> NDArray[np.float64]:
        """1 less the cost by the highest one; `answers` are labels, -1 for none, of the shape of `truth` or wider."""
        costs = np.where(answers < 0, self.abstention[truth], self.cost[truth, np.maximum(answers, 0)])
        return np.asarray(1 - costs / self.highest, dtype=np.float64)


def read_costs(file: str | Path, label_names: tuple[str, ...]) -> CostMatrix:
    """Read a table of costs; a later line overrules an earlier one.

    What no line is about costs 1 if it is wrong or no answer, and 0 if it is right.

    Raises
    ------
    OptionError
        It cannot be read, is of another form, names an unknown class, or no answer costs anything.

    Examples
    --------
    >>> file = Path("costs.csv")
    >>> with file.open("w") as opened:
    ...     print("truth,answer,cost", "cat,dog,10", "*,abstain,2", sep=chr(10), file=opened)
    >>> found = read_costs(file, ("cat", "dog"))
    >>> found.cost.tolist(), found.abstention.tolist()
    ([[0.0, 10.0], [1.0, 0.0]], [2.0, 2.0])
    """
    if not label_names:
        raise OptionError("a cost matrix needs answers that are labels", given=file, do="leave --cost-matrix out")
    count = len(label_names)
    cost, abstention = 1.0 - np.eye(count), np.ones(count)
    places = {name: label for label, name in enumerate(label_names)}
    for line, row in _rows(file):
        truths = _labels(row["truth"], places, file, line, "truth")
        value = _cost(row["cost"], file, line)
        if row["answer"] == NO_ANSWER and NO_ANSWER not in places:
            abstention[truths] = value
            continue
        answers = _labels(row["answer"], places, file, line, "answer")
        cells = np.ix_(truths, answers)
        if row["answer"] == ANY or row["truth"] == ANY:  # every wrong answer
            wrong = np.asarray(truths)[:, None] != np.asarray(answers)[None, :]
            cost[cells] = np.where(wrong, value, cost[cells])
        else:
            cost[cells] = value
    found = CostMatrix(cost, abstention)
    if not cost.max() > 0:
        raise OptionError("a cost matrix must have an answer that costs something", given=file)
    return found


def with_costs(tables: Tables, matrix: CostMatrix) -> Tables:
    """The profile with the criterion `cost`; a failed prediction costs what no answer does."""
    answers = np.where(tables.answered, tables.top_labels[:, :, 0], -1)
    score = matrix.score(np.broadcast_to(tables.truth[:, None], answers.shape), answers)
    none = matrix.score(tables.truth, np.full(len(tables), -1))
    graded = {**{name: tables.graded[name] for name in tables.graded}, COST: score}
    conditions = {**tables.conditions, "highest_cost": matrix.highest}
    return replace(tables, graded=graded, abstention_score={COST: none}, conditions=conditions)


def _rows(file: str | Path) -> Iterable[tuple[int, dict[str, str]]]:
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            if tuple(name.strip() for name in reader.fieldnames or ()) != COLUMNS:
                raise OptionError(
                    "a cost matrix must be " + FORM, where=file, given=",".join(reader.fieldnames or ()) or "nothing"
                )
            for line, row in enumerate(reader, 2):
                yield line, {name: (row.get(name) or "").strip() for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OptionError("the cost matrix cannot be read", where=file, given=error) from error


def _labels(name: str, places: dict[str, int], file: str | Path, line: int, what: str) -> list[int]:
    if name == ANY and ANY not in places:
        return list(places.values())
    if name in places:
        return [places[name]]
    near = get_close_matches(name, places, 3) or list(places)[:3]
    raise OptionError(
        f"{what} must be a label, {ANY} or, as an answer, {NO_ANSWER}", where=f"{file}, line {line}", given=name,
        allowed=", ".join(near),
    )  # fmt: skip


def _cost(text: str, file: str | Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise OptionError("cost must be a number, 0 or more", where=f"{file}, line {line}", given=text)
    return value
