"""Accuracy over memory, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.evaluation.memory import accuracy_over_memory, memory_lines
from premodel.training.tables import Tables
from profiles import make_tables


def tables(memory_mb: list[float]) -> Tables:
    """Small is right on the first half, middle on the last, large on all but one of ten."""
    small, middle, large = np.arange(10) < 5, np.arange(10) >= 4, np.arange(10) < 9
    found = make_tables(np.stack([small, middle, large], axis=1), names=("small", "middle", "large"))
    return replace(found, memory_mb=np.array(memory_mb))


def test_steps_are_where_more_can_be_reached() -> None:
    steps = accuracy_over_memory(tables([1.0, 2.0, 8.0]), "top1")
    found = [(one.memory_mb, one.best, one.accuracy, one.names, one.union) for one in steps]
    assert found == [
        (1.0, "small", 0.5, ("small",), 0.5),
        (2.0, "middle", 0.6, ("middle",), 0.6),
        (3.0, "middle", 0.6, ("small", "middle"), 1.0) if steps[2].names[0] == "small"
        else (3.0, "middle", 0.6, ("middle", "small"), 1.0),
        (8.0, "large", 0.9, steps[2].names, 1.0),
    ]  # fmt: skip
    lines = memory_lines(steps)
    assert lines[1] == "  1.0 MB: small alone 50.0 %"
    assert lines[3].startswith("  3.0 MB: middle alone 60.0 %; a perfect choice of ")
    assert lines[3].endswith(" 100.0 %")


def test_views_of_one_network_need_its_memory_once() -> None:
    shared = tables([4.0, 4.0, 8.0])
    shared = replace(shared, networks=("one", "one", "two"))
    assert accuracy_over_memory(shared, "top1")[0].memory_mb == 4.0
    assert accuracy_over_memory(shared, "top1")[0].union == 1.0


@pytest.mark.parametrize("memory_mb", [[1.0, float("nan"), 2.0], [float("nan")] * 3])
def test_what_was_not_measured_has_no_steps(memory_mb: list[float]) -> None:
    assert accuracy_over_memory(tables(memory_mb), "top1") == ()
    assert memory_lines(()) == []
