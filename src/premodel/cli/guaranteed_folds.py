"""In how many folds of a cross-validation a guarantee could be given."""

from __future__ import annotations

from typing import Any

from premodel.evaluation.evaluate import Evaluation


def guarantee_lines(evaluation: Evaluation, guarantee: str | None) -> list[str]:
    """For each premodel in how many folds it was given, in words; nothing without a guarantee."""
    if guarantee is None:
        return []
    return [
        f"guarantee {guarantee}, {name}: given in {evaluation.folds - count} of {evaluation.folds} folds"
        + (", the others are served by their best single candidate alone" if count else "")
        for name, count in _unguaranteed(evaluation).items()
    ]


def guarantee_json(evaluation: Evaluation, guarantee: str | None) -> dict[str, Any]:
    """The same for machines; nothing without a guarantee."""
    if guarantee is None:
        return {}
    return {"guarantee": {"text": guarantee, "folds_served_by_best_single": _unguaranteed(evaluation)}}


def _unguaranteed(evaluation: Evaluation) -> dict[str, int]:
    """For each premodel, the folds in which its guarantee could not be given."""
    premodels = [outcome for outcome in evaluation.outcomes if outcome.method.kind == "premodel"]
    return {outcome.method.name: len(outcome.unguaranteed) for outcome in premodels}
