"""A small study with a hostile label and candidate name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from premodel.paper.reproduce import Reproduction, reproduce
from premodel.training.tables import Tables
from profiles import predictable_tables

HOSTILE = "</script><script>alert(1)</script>"
CANDIDATE = "tiny<img src=x onerror=alert(2)>"


@pytest.fixture(scope="session")
def tables() -> Tables:
    made = predictable_tables(120, 3)
    return replace(made, label_names=(HOSTILE, *made.label_names[1:]), candidates=(CANDIDATE, "middle", "large"))


@pytest.fixture(scope="session")
def found(tables: Tables) -> Reproduction:
    return reproduce(tables, folds=2)
