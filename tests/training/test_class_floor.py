"""The exact test of one class, against numbers worked out by hand or published."""

from __future__ import annotations

import pytest

from premodel.errors import OptionError
from premodel.training.class_floor import DELTA, ClassFloor, lower_bound, p_value


def test_p_by_hand() -> None:
    assert p_value(3, 3, 0.5) == pytest.approx(1 / 8)
    assert p_value(2, 3, 0.5) == pytest.approx(1 / 2)  # 3/8 + 1/8
    assert p_value(0, 3, 0.5) == 1
    assert p_value(9, 10, 0.8) == pytest.approx(10 * 0.8**9 * 0.2 + 0.8**10)


@pytest.mark.parametrize(("least", "count"), [(0.95, 59), (0.9, 29), (0.99, 299), (0.5, 5)])
def test_least_count_is_the_first_at_which_all_right_is_enough(least: float, count: int) -> None:
    floor = ClassFloor("recall", "cat", least)
    assert floor.least_count == count
    assert p_value(count, count, least) <= DELTA < p_value(count - 1, count - 1, least)


def test_lower_bound_of_clopper_and_pearson() -> None:
    # One-sided 95 %, by tables of the beta distribution: 0.05 quantile of Beta(k, n - k + 1).
    assert lower_bound(18, 20) == pytest.approx(0.7174, abs=2e-4)
    assert lower_bound(45, 50) == pytest.approx(0.8012, abs=2e-4)
    assert lower_bound(10, 10) == pytest.approx(0.05 ** (1 / 10))


@pytest.mark.parametrize("text", ["cat", "cat=", "=0.9", "cat=1", "cat=0", "cat=nan", "cat=95%"])
def test_what_is_no_floor_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"wrong min-recall; given: .*allowed: CLASS=SHARE, such as cat=0\.95"):
        ClassFloor.parse("recall", text)


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"min-precision of an unknown class; given: cta; .* such as cat"):
        ClassFloor("precision", "cta", 0.9).label(("dog", "cat", "bird"))
