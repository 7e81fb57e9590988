"""Fits by technique; a fit's module is loaded when it is first asked for."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from premodel.errors import OptionError
from premodel.training.selectors.base import Fit

LEVELS = ("knn", "decision_tree", "svm", "naive_bayes", "logistic")
"""Techniques that fit one two-class model per candidate, and so may stand at a level of a chain."""

TECHNIQUES = (*LEVELS, "multi_class", "multi_class:decision_tree")
"""Every technique with a name of its own; besides these, levels joined by dots make a chain."""


def technique_fit(technique: str) -> Fit:
    """The fit of a technique.

    Parameters
    ----------
    technique:
        One of `TECHNIQUES`, or two or more of `LEVELS` joined by dots, as "knn.svm.decision_tree" (the paper's X.Y.Z).
        One of `LEVELS` alone is that technique at every level.

    Raises
    ------
    OptionError
        It is unknown.
    """
    levels = technique.split(".")
    if len(levels) > 1 and all(level in LEVELS for level in levels):
        return partial(import_module("premodel.training.selectors.chain").fit, techniques=tuple(levels))
    if technique not in TECHNIQUES:
        raise OptionError(
            "unknown technique", given=technique, allowed=f"{', '.join(TECHNIQUES)}, or levels joined by dots"
        )
    name, _, inner = technique.partition(":")
    fit = import_module(f"premodel.training.selectors.{name}").fit
    found: Fit = partial(fit, technique=inner) if inner else fit
    return found
