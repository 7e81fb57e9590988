"""A small evaluation with hostile names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from premodel.evaluation.evaluate import Evaluation, evaluate
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from profiles import predictable_tables

HOSTILE = "</script><script>alert(1)</script>"
CANDIDATE = "tiny<img src=x onerror=alert(2)>"


@pytest.fixture(scope="session")
def tables() -> Tables:
    made = predictable_tables(120, 3)
    labels = (HOSTILE, "<b>&\"x'", *made.label_names[2:])
    conditions = {"device": "board <1>", "data": {"root": "/secret/place"}, "zoo": {"name": "z", "file": "/secret/zoo"}}
    return replace(made, label_names=labels, candidates=(CANDIDATE, "middle", "large"), conditions=conditions)


@pytest.fixture(scope="session")
def evaluation(tables: Tables) -> Evaluation:
    return evaluate(tables, {"single": TrainOptions("single"), "paper": TrainOptions("paper")}, folds=3)
