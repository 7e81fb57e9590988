from __future__ import annotations

from dataclasses import replace

import pytest

from premodel.errors import OptionError
from premodel.evaluation.report.verdict import best_premodel, interval, judge, points
from premodel.evaluation.rows import Row
from premodel.training.objective import Floor, Objective

MINUS = "\N{MINUS SIGN}"


def row(
    name: str,
    kind: str,
    accuracy: float,
    ms: float,
    *,
    gain: tuple[float, float, float] = (0, 0, 0),
    mix: tuple[float, float, float] | None = None,
) -> Row:
    """`gain` and `mix` are points, low, high; the best single takes 4 ms."""
    extra = {} if mix is None else {"gain_points_vs_mix": mix[0], "mix_ci": (mix[1], mix[2])}
    interval = (accuracy - 0.01, accuracy + 0.01)
    return Row(
        name, kind, name, accuracy, interval, 1.0, ms, ms, ms, 4 / ms, gain[0], gain[1:], {}, "", extra=extra
    )  # fmt: skip


SINGLES = (row("small", "single", 0.7, 1.0), row("large", "single", 0.9, 4.0))


@pytest.mark.parametrize(
    ("premodel", "outcome", "words"),
    [
        (row("p", "premodel", 0.9, 2.0, gain=(0, -0.5, 0.5), mix=(4, 3, 5)), "won", "2.00 times as fast as"),
        (row("p", "premodel", 0.95, 8.0, gain=(5, 4, 6), mix=(5, 4, 6)), "won", "2.00 times as slow as"),
        (row("p", "premodel", 0.85, 2.0, gain=(-5, -6, -4), mix=(4, 3, 5)), "traded", f"{MINUS}5.0 points"),
        (row("p", "premodel", 0.85, 2.0, gain=(-5, -6, -4), mix=(-2, -3, -1)), "lost", "LESS accurate"),
        (row("p", "premodel", 0.85, 5.0, gain=(-5, -6, -4), mix=(-5, -6, -4)), "lost", "1.25 times as slow as"),
        (row("p", "premodel", 0.9, 2.0, gain=(0, -1, 1), mix=(1, -1, 2)), "nothing won", "cannot be told apart"),
        (row("p", "premodel", 0.9, 5.0, gain=(0, -1, 1), mix=(1, 0.5, 2)), "nothing won", "is more accurate"),
    ],
)  # fmt: skip
def test_a_word_of_winning_or_losing_needs_its_interval(premodel: Row, outcome: str, words: str) -> None:
    verdict = judge(premodel, [*SINGLES, premodel])
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert "the best single candidate large (90.0 % in 4.00 ms)" in verdict.sentence


def test_latencies_that_are_not_to_be_trusted_are_named() -> None:
    premodel = row("p", "premodel", 0.9, 4.0, gain=(0, 0, 0), mix=(0, 0, 0))
    doubtful = replace(SINGLES[0], verdict="latency INVALID: 3 runs, 30 needed")
    sentence = judge(premodel, [doubtful, SINGLES[1], premodel]).sentence
    assert sentence.endswith("; the latencies rest on INVALID timings (small).")
    assert "on average, as fast as the best single" in sentence


def test_the_objective_chooses_the_premodel_to_speak_of() -> None:
    quick, exact = row("quick", "premodel", 0.89, 1.0), row("exact", "premodel", 0.91, 3.0)
    rows = [*SINGLES, quick, exact]
    assert best_premodel(rows, Objective()) is exact
    assert best_premodel(rows, Objective(Floor.parse("best-2pt"))) is quick
    assert best_premodel(rows, Objective(Floor.parse("best+5pt"))) is exact, "the nearest where none meets it"
    with pytest.raises(OptionError, match="no premodel"):
        best_premodel(SINGLES, Objective())


def test_points_that_round_to_zero_have_no_sign() -> None:
    assert [points(value) for value in (-0.04, 0.04, -0.06, 1.26)] == ["0.0", "0.0", f"{MINUS}0.1", "+1.3"]


def test_an_interval_shows_on_which_side_of_zero_it_ends() -> None:
    assert interval((-1.24, 2.0)) == f"[{MINUS}1.2, +2.0]"
    assert interval((0.02, 2.0)) == "[+0.02, +2.00]"
    assert interval((-2.0, -0.04)) == f"[{MINUS}2.00, {MINUS}0.04]"
    assert interval((0.0, 2.0)) == "[0.0, +2.0]"
    assert interval((0.001, 2.0)) == "[0.00, +2.00]"
