"""Every selector a bundle may name. A new one is one file of this package and one line here.

A selector's module is loaded when it is first asked for.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module

from premodel.runtime.selectors.base import Selector
from premodel.runtime.selectors.kinds import KINDS, register, selector_from_components

__all__ = ["KINDS", "register", "selector_from_components"]


def _load(module: str, name: str) -> type[Selector]:
    found: type[Selector] = getattr(import_module(module), name)
    return found


for _kind, _module, _class in (
    ("knn", "premodel.runtime.selectors.knn", "KnnSelector"),
    ("decision_tree", "premodel.runtime.selectors.decision_tree", "DecisionTreeSelector"),
    ("svm", "premodel.runtime.selectors.svm", "SvmSelector"),
    ("naive_bayes", "premodel.runtime.selectors.naive_bayes", "NaiveBayesSelector"),
    ("logistic", "premodel.runtime.selectors.logistic", "LogisticSelector"),
    ("chain", "premodel.runtime.selectors.chain", "ChainSelector"),
    ("multi_class", "premodel.runtime.selectors.multi_class", "MultiClassSelector"),
    ("naive_bayes_classes", "premodel.runtime.selectors.naive_bayes_classes", "NaiveBayesClassesSelector"),
    ("svm_pairs", "premodel.runtime.selectors.svm_pairs", "SvmPairsSelector"),
):
    register(_kind, partial(_load, _module, _class))
