"""What `evaluate` and `report` state of classes that have a floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from premodel.evaluation.evaluate import Evaluation
from premodel.training.class_floor import ClassFloor
from premodel.training.class_floors import Counted, count_floors
from premodel.training.tables import Tables


def class_lines(evaluation: Evaluation, tables: Tables, floors: Sequence[ClassFloor]) -> list[str]:
    """For each premodel what it did out of fold in every class that has a floor, in words; nothing without floors."""
    return [
        f"{name}, {one.line()}: "
        + ("kept" if one.kept else "not shown to be kept")
        + (f"; in {lost} of {evaluation.folds} folds the best single candidate served without it" if lost else "")
        for name, counted, lost in _of_classes(evaluation, tables, floors)
        for one in counted
    ]


def class_json(evaluation: Evaluation, tables: Tables, floors: Sequence[ClassFloor]) -> dict[str, Any]:
    """The same for machines; nothing without floors."""
    if not floors:
        return {}
    found = [
        {"premodel": name, "folds_served_by_best_single": lost, "floors": [asdict(one) for one in counted]}
        for name, counted, lost in _of_classes(evaluation, tables, floors)
    ]
    return {"class_floors": found}


def _of_classes(
    evaluation: Evaluation, tables: Tables, floors: Sequence[ClassFloor]
) -> list[tuple[str, tuple[Counted, ...], int]]:
    """Name, floors counted and folds without them, of each premodel."""
    if not floors:
        return []
    return [
        (one.method.name, count_floors(floors, tables, one.label), len(one.unguaranteed))
        for one in evaluation.outcomes
        if one.method.kind == "premodel"
    ]
