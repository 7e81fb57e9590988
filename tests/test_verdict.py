"""How the figures of a verdict are written."""

from __future__ import annotations

from premodel import verdict


def test_points_that_round_to_zero_have_no_sign() -> None:
    assert [verdict.points(value) for value in (-0.04, 0.04, -0.06, 1.26)] == [
        "0.0",
        "0.0",
        f"{verdict.MINUS}0.1",
        "+1.3",
    ]


def test_an_interval_shows_on_which_side_of_zero_it_ends() -> None:
    assert verdict.interval((-1.24, 2.0)) == f"[{verdict.MINUS}1.2, +2.0]"
    assert verdict.interval((0.02, 2.0)) == "[+0.02, +2.00]"
    assert verdict.interval((-2.0, -0.04)) == f"[{verdict.MINUS}2.00, {verdict.MINUS}0.04]"
    assert verdict.interval((0.0, 2.0)) == "[0.0, +2.0]"
    assert verdict.interval((0.001, 2.0)) == "[0.00, +2.00]"
