"""Every technique of training a selector. A new one is one file of this package and one line here.

A technique's module is loaded when it is first asked for.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module

from premodel.errors import OptionError
from premodel.training.selectors.base import Fit
from premodel.training.selectors.techniques import TECHNIQUES, Technique, levels, register

__all__ = [
    "BY_UTILITY",
    "OF_THE_PAPER",
    "TECHNIQUES",
    "Technique",
    "levels",
    "register",
    "technique_fit",
    "technique_of",
]

OF_THE_PAPER = "knn"
"""Technique of policy `paper` unless the user names one (paper section 3.1)."""
BY_UTILITY = "logistic"
"""Technique of policy `select` unless the user names one: its scores are calibrated, as weighing them asks for."""


def _fit(module: str) -> Fit:
    found: Fit = import_module(module).fit
    return found


def _fit_of_classes(classifier: str) -> Fit:
    return partial(import_module("premodel.training.selectors.multi_class").fit, technique=classifier)


for _name, _module in (
    ("knn", "premodel.training.selectors.knn"),
    ("decision_tree", "premodel.training.selectors.decision_tree"),
    ("svm", "premodel.training.selectors.svm"),
    ("naive_bayes", "premodel.training.selectors.naive_bayes"),
    ("logistic", "premodel.training.selectors.logistic"),
):
    register(Technique(_name, partial(_fit, _module), is_level=True))
register(Technique("multi_class", partial(_fit_of_classes, "knn"), exclusive=True))
for _name in ("decision_tree", "naive_bayes", "svm"):
    register(Technique(f"multi_class:{_name}", partial(_fit_of_classes, _name), exclusive=True))


def technique_of(name: str) -> Technique:
    """The technique of that name.

    Parameters
    ----------
    name:
        One of `TECHNIQUES`, or two or more of `levels()` joined by dots, as "knn.svm.decision_tree" (the paper's
        X.Y.Z). One of `levels()` alone is that technique at every level.

    Raises
    ------
    OptionError
        It is unknown.
    """
    parts = name.split(".")
    if len(parts) > 1 and all(part in levels() for part in parts):
        fit = partial(import_module("premodel.training.selectors.chain").fit, techniques=tuple(parts))
        return Technique(name, lambda: fit)
    if name not in TECHNIQUES:
        raise OptionError("unknown technique", given=name, allowed=f"{', '.join(TECHNIQUES)}, or levels joined by dots")
    return TECHNIQUES[name]


def technique_fit(name: str) -> Fit:
    """The fit of a technique; see `technique_of`."""
    return technique_of(name).load()
