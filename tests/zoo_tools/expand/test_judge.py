"""What is broken, collapsed or slow, by numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.zoo_tools.expand.judge import compare_answers, compare_speed
from premodel.zoo_tools.expand.plan import smaller_sizes

LABELS = [0, 1] * 50


def test_equal_answers_are_no_fault() -> None:
    found = compare_answers(LABELS, LABELS, LABELS)
    assert (found.accuracy, found.original, found.agrees, found.difference_ci) == (1.0, 1.0, 1.0, (0.0, 0.0))
    assert found.fault(0.0) == ""


def test_one_answer_for_everything_is_broken_unless_the_original_gives_one_too() -> None:
    assert compare_answers([0] * 100, LABELS, LABELS).fault(1.0).startswith("broken: the same answer to all 100")
    assert compare_answers([0] * 100, [0] * 100, LABELS).fault(0.05) == ""


def test_a_loss_counts_when_its_interval_lies_beyond_the_limit() -> None:
    worse = [1 - label if place < 20 else label for place, label in enumerate(LABELS)]
    found = compare_answers(worse, LABELS, LABELS)
    assert found.accuracy == 0.8
    assert found.fault(0.05).startswith("accuracy collapsed: 80.0 % after 100.0 %")
    assert found.fault(0.25) == ""
    few = compare_answers(worse[:10] + LABELS[:2], [*LABELS[:10], *LABELS[:2]], [*LABELS[:10], *LABELS[:2]])
    assert few.fault(0.05).startswith("accuracy collapsed")


def test_faster_is_what_its_interval_shows() -> None:
    rng = np.random.default_rng(1)
    original, sibling = rng.normal(10, 0.3, 60), rng.normal(5, 0.2, 60)
    found = compare_speed(original, sibling)
    assert found.ratio == pytest.approx(2.0, abs=0.1)
    assert found.ratio_ci[0] <= found.ratio <= found.ratio_ci[1]
    assert found.fault == ""
    assert compare_speed(original, rng.normal(10, 0.3, 60)).fault.startswith("no faster than its original here")
    assert compare_speed(original, original * 1.5).fault.startswith("no faster")


def test_sizes_are_multiples_that_networks_are_used_to() -> None:
    assert smaller_sizes((260, 260)) == [(224, 224), (192, 192)]
    assert smaller_sizes((240, 240)) == [(192, 192), (160, 160)] or smaller_sizes((240, 240))[0][0] % 32 == 0
    assert smaller_sizes((4, 4)) == []
