"""Selectors by kind, for bundles; a selector's module is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from premodel.errors import BundleError
from premodel.runtime.selectors.base import Selector

KINDS: Mapping[str, tuple[str, str]] = {
    "knn": ("premodel.runtime.selectors.knn", "KnnSelector"),
    "decision_tree": ("premodel.runtime.selectors.decision_tree", "DecisionTreeSelector"),
    "svm": ("premodel.runtime.selectors.svm", "SvmSelector"),
    "naive_bayes": ("premodel.runtime.selectors.naive_bayes", "NaiveBayesSelector"),
    "logistic": ("premodel.runtime.selectors.logistic", "LogisticSelector"),
    "chain": ("premodel.runtime.selectors.chain", "ChainSelector"),
    "multi_class": ("premodel.runtime.selectors.multi_class", "MultiClassSelector"),
}
"""Module and class of each kind."""


def selector_class(kind: object) -> type[Selector]:
    """The class of a kind.

    Raises
    ------
    BundleError
        The kind is unknown.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise BundleError("unknown kind of selector", given=kind, allowed=", ".join(KINDS), do="update premodel")
    module, name = KINDS[kind]
    found: type[Selector] = getattr(import_module(module), name)
    return found


def selector_from_parts(kind: object, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Selector:
    """Make a selector of that kind from its parts; BundleError as `selector_class` and `Selector.from_parts`."""
    return selector_class(kind).from_parts(settings, arrays)
