"""Objectives by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.training.objective import Floor, Objective

NAMES = ("a", "b", "c", "d")
ACCURACY = np.array([0.6, 0.78, 0.8, 0.8])
LATENCY_MS = np.array([1.0, 2.0, 5.0, 4.0])


def chosen(**options: object) -> str | None:
    floor = options.pop("floor", None)
    objective = Objective(Floor.parse(str(floor)) if floor is not None else None, **options)  # type: ignore[arg-type]
    index = objective.choose(ACCURACY, LATENCY_MS, 0.8)
    return None if index is None else NAMES[index]


def test_choices_by_hand() -> None:
    assert chosen() == "d", "nothing given: least latency at no loss"
    assert chosen(floor="best") == "d"
    assert chosen(floor="best-2pt") == "b"
    assert chosen(floor="best-20pt") == "a"
    assert chosen(floor="0.78") == "b"
    assert chosen(floor="best+0.5pt") is None
    assert chosen(max_latency_ms=3) == "b"
    assert chosen(max_latency_ms=100) == "d", "equal accuracy: the lower latency"
    assert chosen(max_latency_ms=0.5) is None
    assert chosen(cost_weight=0.0) == "d"
    assert chosen(cost_weight=0.1) == "b", "0.6 - 0.1, 0.78 - 0.2, 0.8 - 0.5, 0.8 - 0.4"
    assert chosen(cost_weight=0.3) == "a"
    assert chosen(floor="0.7", max_latency_ms=4.5) == "b"
    assert chosen(floor="0.79", max_latency_ms=3) is None
    assert chosen(floor="0.79", cost_weight=9.0) == "d"


@pytest.mark.parametrize(
    ("text", "value", "relative"),
    [
        ("best", 0.0, True),
        ("best-1pt", -0.01, True),
        ("best+0.5pt", 0.005, True),
        ("0.78", 0.78, False),
        ("1", 1.0, False),
    ],
)
def test_floors(text: str, value: float, relative: bool) -> None:
    floor = Floor.parse(text)
    assert floor.value == pytest.approx(value)
    assert floor.relative is relative
    assert floor.against(0.8) == pytest.approx(0.8 + value if relative else value)


@pytest.mark.parametrize(
    "text", ["", "bset", "78", "-0.1", "best-1", "best-1%", "nan", "inf", "best--1pt", "best-200pt"]
)
def test_floors_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="wrong min-accuracy"):
        Floor.parse(text)


@pytest.mark.parametrize(
    "options",
    [{"max_latency_ms": 0.0}, {"max_latency_ms": float("nan")}, {"cost_weight": -1.0}],
)
def test_wrong_numbers(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        Objective(**options)


def test_no_single_candidate_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"at least 0\.9; allowed: nearest is d: accuracy 0\.8000 at 4\.000 ms"):
        Objective(Floor.parse("0.9")).single(NAMES, ACCURACY, LATENCY_MS)
    with pytest.raises(OptionError, match="nearest is a"):
        Objective(max_latency_ms=0.5).single(NAMES, ACCURACY, LATENCY_MS)
    with pytest.raises(OptionError, match="nearest is b"):
        Objective(Floor.parse("0.79"), max_latency_ms=3).single(NAMES, ACCURACY, LATENCY_MS)


def test_a_floor_is_met_up_to_rounding() -> None:
    share = np.array([0.1 + 0.2, 0.9])
    assert Objective(Floor.parse("0.3")).choose(share, np.array([1.0, 2.0]), 0.9) == 0


def test_under_a_deadline_what_is_late_is_wrong() -> None:
    objective = Objective(deadline_ms=4.4, slowness=(0.9, 1.0, 1.0, 1.2))
    np.testing.assert_allclose(objective.on_time(LATENCY_MS), [1.0, 1.0, 0.0, 0.75])
    timely = objective.timely(ACCURACY, LATENCY_MS)
    np.testing.assert_allclose(timely, [0.6, 0.78, 0.0, 0.6])
    assert objective.choose(timely, LATENCY_MS, 0.8) == 1
    assert objective.describe() == "most answers that are right within 4.4 ms"
    assert objective.to_json()["deadline_ms"] == 4.4
    assert "deadline_ms" not in Objective().to_json()
    np.testing.assert_allclose(Objective(deadline_ms=4.4).on_time(LATENCY_MS), [1.0, 1.0, 0.0, 1.0])


def test_without_a_deadline_everything_is_on_time() -> None:
    np.testing.assert_allclose(Objective().timely(ACCURACY, LATENCY_MS), ACCURACY)


@pytest.mark.parametrize("other", [{"cost_weight": 0.1}, {"max_latency_ms": 3.0}])
def test_a_deadline_stands_alone(other: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="deadline-ms excludes"):
        Objective(deadline_ms=5.0, **other)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="wrong deadline-ms"):
        Objective(deadline_ms=-1.0)
