"""The picture of accuracy against latency in a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from premodel.cli.picture import Point, draw, terminal_picture

POINTS = [Point("small", 1.0, 0.7), Point("large", 10.0, 0.9), Point("edge", 2.0, 0.9, premodel=True)]


def test_points_lie_where_their_figures_are() -> None:
    lines = draw(POINTS, 60)
    assert lines[0].startswith(" 90.0 % |")
    assert lines[0].rstrip().endswith("b")
    assert "*" in lines[0]
    assert lines[9].startswith(" 70.0 % |a")
    assert lines[11].split() == ["1", "ms", "10", "ms"]
    assert lines[12:] == [
        "  a  small: 70.0 % at 1.00 ms",
        "  b  large: 90.0 % at 10.00 ms",
        "  *  edge: 90.0 % at 2.00 ms",
    ]
    # 2 ms is 0.301 of the way from 1 to 10 on a logarithmic scale
    assert lines[0].index("*") - lines[0].index("|") - 1 == round(0.30103 * (60 - 10 - 1))


@pytest.mark.parametrize("width", [40, 60, 100, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    points = [*POINTS, Point("a name that is longer than forty columns are wide", 3.0, 0.8)]
    assert max(map(len, draw(points, width))) <= width


@pytest.mark.parametrize(
    ("points", "width"), [(POINTS, 39), (POINTS[:1], 80), ([Point("a", float("nan"), 0.5), POINTS[0]], 80)]
)
def test_nothing_is_drawn_where_nothing_can_be(points: list[Point], width: int) -> None:
    assert draw(points, width) == []


def test_equal_figures_are_drawn() -> None:
    assert len(draw([Point("a", 1.0, 0.5), Point("b", 1.0, 0.5)], 80)) == 14


def test_a_pipe_gets_no_picture(monkeypatch: Any) -> None:
    assert terminal_picture(POINTS) == []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "50")
    assert len(terminal_picture(POINTS)) == 16
