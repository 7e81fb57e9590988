"""One verdict: the same figures give the same words in every command."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from premodel.cli.common import format_rows
from premodel.demo.folder import Folder
from premodel.demo.state import Demo, DemoOptions
from premodel.errors import OptionError
from premodel.evaluation.bench import Bench
from premodel.evaluation.diagnosis import Diagnosis, OracleGap
from premodel.evaluation.evaluate import Evaluation
from premodel.evaluation.reachable import Reachable, Reached
from premodel.evaluation.report.page import verdicts
from premodel.evaluation.rows import Row, best_premodel, describe, headline, invalid_reasons
from premodel.paper import reproduce as paper
from premodel.profiling.progress import Silent
from premodel.records import Timing
from premodel.training.objective import Floor, Objective
from premodel.verdict import MIN_SAMPLES, MINUS, Verdict
from premodel.zoo.manifest import Zoo

VALID = Timing(100, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, True)


def row(
    name: str,
    kind: str,
    accuracy: float,
    ms: float,
    *,
    gain: tuple[float, float, float] = (0, 0, 0),
    mix: tuple[float, float, float] | None = None,
    samples: int = 1000,
    timing: Timing | None = None,
) -> Row:
    """`gain` and `mix` are points, low, high; the best single takes 4 ms."""
    return Row(
        name=name,
        kind=kind,
        policy=name,
        accuracy=accuracy,
        accuracy_ci=(accuracy - 0.01, accuracy + 0.01),
        coverage=1.0,
        latency_ms=ms,
        latency_p50_ms=ms,
        latency_p99_ms=ms,
        speedup_vs_best=4 / ms,
        gain_points_vs_best=gain[0],
        gain_ci=gain[1:],
        share={},
        samples=samples,
        timing=timing,
        extra={} if mix is None else {"gain_points_vs_mix": mix[0], "mix_ci": mix[1:]},
    )  # fmt: skip


LARGE = "the best single candidate large (90.0 % at 4.00 ms)"
RETIME = (
    "measure them again with premodel profile --retime on an idle machine; "
    "on one that is as busy as before the verdict will be the same."
)
LONGER = "give more time, or an idle machine."
SINGLES = (row("small", "single", 0.7, 1.0), row("large", "single", 0.9, 4.0))


@st.composite
def intervals(draw: st.DrawFn) -> tuple[float, float, float]:
    """A difference in points within its interval, of any width and on either side of zero."""
    low, middle, high = sorted(draw(st.tuples(*[st.floats(-30, 30).map(lambda value: round(value, 3))] * 3)))
    return middle, low, high


@settings(deadline=None, max_examples=300)
@given(
    gain=intervals(),
    mix=intervals(),
    ms=st.one_of(st.floats(0.05, 80), st.floats(3.97, 4.03)),
    samples=st.one_of(st.integers(10, 100), st.integers(100, 20_000)),
)
def test_all_commands_say_the_same_of_the_same_figures(
    gain: tuple[float, float, float], mix: tuple[float, float, float], ms: float, samples: int
) -> None:
    premodel = row("p", "premodel", 0.85, ms, gain=gain, mix=mix, samples=samples)
    rows = (*SINGLES, premodel)
    expected = Verdict(samples, 4 / ms, gain[0], gain[1:], mix[0], mix[1:])
    sentence = expected.sentence(LARGE)

    evaluated = Evaluation("top1", samples, 10, 0, rows, (), {})
    reported, reported_text = verdicts(rows, Objective(cost_weight=1.0))[0]
    benched = Bench("top1", rows, samples, 1, (), np.zeros(0, np.int32), (), {})
    folder, zoo = Folder.__new__(Folder), Zoo.__new__(Zoo)  # of a demo that only speaks
    demo = Demo(DemoOptions(), folder, Silent(), zoo, ())
    demo.made_evaluation, demo.made_chosen = evaluated, premodel
    reached = Reached("p", samples, 0.85, ms, 4 / ms, (4 / ms, 4 / ms), gain[0], gain[1:], mix[0], mix[1:])

    texts = {
        "evaluate": evaluated.headline,
        "report": reported_text,
        "bench": benched.headline,
        "demo": demo.verdict,
        "reproduce": paper.verdict(premodel, SINGLES),
    }
    for command, text in texts.items():
        assert text.partition(": ")[2] == sentence, command
    assert str(reached).startswith(expected.sentence()), "doctor"
    found = {
        "evaluate": evaluated.to_json()["rows"][-1]["comparison"],
        "report": reported.to_json(),
        "bench": benched.to_json()["rows"][-1]["comparison"],
        "doctor": reached.verdict.to_json(),
    }
    for command, comparison in found.items():
        assert comparison == expected.to_json(), command
    assert premodel.verdict == expected.short
    for text in (*texts.values(), expected.short, str(reached)):
        assert re.search(r"(?<!\d)1\.00x", text) is None, "a factor that rounds to one is the same speed"


@settings(deadline=None)
@given(gain=intervals(), mix=intervals(), samples=st.integers(1, 20_000), speedup=st.floats(0.01, 100))
def test_a_word_needs_its_interval_and_enough_samples(
    gain: tuple[float, float, float], mix: tuple[float, float, float], samples: int, speedup: float
) -> None:
    found = Verdict(samples, speedup, gain[0], gain[1:], mix[0], mix[1:])
    assert found.accuracy != "higher" or gain[1] > 0
    assert found.accuracy != "lower" or gain[2] < 0
    assert found.choice != "above" or mix[1] > 0
    assert found.choice != "below" or mix[2] < 0
    assert found.margin >= -gain[1]
    if samples < MIN_SAMPLES:
        assert (found.accuracy, found.choice, found.outcome) == (
            "no difference shown", "not distinguishable", "too few samples",
        )  # fmt: skip
        assert found.sentence().startswith(f"too few samples for a verdict: {samples}, at least 50")
    if found.samples_needed is not None:
        assert found.samples_needed > samples
        assert found.choice == "not distinguishable"


TO_BEST = f"no accuracy difference shown (0.0 points [{MINUS}0.5, +0.5], at most 0.5 points lower)."
TO_MIX = f"from the random mix of the same latency (+1.0 points [{MINUS}1.0, +3.0]); about 4,000 samples would tell."


@pytest.mark.parametrize(
    ("ms", "gain", "mix", "outcome", "words"),
    [
        (2.0, (0, -0.5, 0.5), (4, 3, 5), "better", f"2.00x faster than {LARGE}, {TO_BEST}"),
        (8.0, (5, 4, 6), (5, 4, 6), "traded", "2.00x slower than"),
        (2.0, (5, 4, 6), (5, 4, 6), "better", "accuracy higher (+5.0 points [+4.0, +6.0])"),
        (4.0, (5, 4, 6), (5, 4, 6), "better", "the same speed as"),
        (2.0, (-5, -6, -4), (4, 3, 5), "traded", f"accuracy lower ({MINUS}5.0 points"),
        (2.0, (-5, -6, -4), (-2, -3, -1), "worse", "The choice per input is below the random mix"),
        (5.0, (-5, -6, -4), (-5, -6, -4), "worse", "1.25x slower"),
        (5.0, (0, -1, 1), (1, 0.5, 2), "worse", "The choice per input is above the random mix"),
        (4.004, (0, 0, 0), (0, 0, 0), "no difference", "not lower)"),
        (2.0, (0, -1, 1), (1, -1, 3), "better", f"The choice per input is not distinguishable {TO_MIX}"),
        (2.0, (0, -1, 1), (0.01, -1, 1), "better", "too small to say how many samples would tell"),
    ],
)  # fmt: skip
def test_both_answers_are_given_in_plain_words(
    ms: float, gain: tuple[float, float, float], mix: tuple[float, float, float], outcome: str, words: str
) -> None:
    premodel = row("p", "premodel", 0.85, ms, gain=gain, mix=mix)
    assert premodel.comparison is not None
    assert premodel.comparison.outcome == outcome
    text = describe(premodel, [*SINGLES, premodel])
    assert text.startswith(f"p (85.0 % at {ms:.2f} ms): ")
    assert words in text


def test_what_rounds_to_zero_is_neither_higher_nor_lower() -> None:
    for bounds, gain in (((-0.06, -0.02), -0.04), ((0.02, 0.06), 0.04)):
        found = Verdict(10_000, 1.5, gain, bounds, gain, bounds)
        assert (found.accuracy, found.choice) == ("no difference shown", "not distinguishable")
    assert Verdict(10_000, 1.5, -0.06, (-0.08, -0.04)).accuracy == "lower"
    assert Verdict(10_000, 1.5, -0.06, (-0.08, -0.04)).choice is None


def test_latencies_that_rest_on_invalid_timings_are_named() -> None:
    premodel = row("p", "premodel", 0.9, 4.0, mix=(0, 0, 0))
    bad = Timing(3, 1.0, 1.0, 1.0, 1.0, 0.5, 1.5, False, "3 runs, 30 needed")
    doubtful = row("small", "single", 0.7, 1.0, timing=bad)
    said = describe(premodel, [doubtful, SINGLES[1]])
    assert said.endswith(" The latencies rest on INVALID timings (small): " + RETIME)
    decoding = replace(SINGLES[0], extra={"decode_valid": False})
    assert describe(premodel, [decoding, SINGLES[1]]).endswith(" INVALID timings (decode): " + RETIME)
    benched = replace(doubtful, extra={"runs": 3})
    assert describe(premodel, [benched, SINGLES[1]]).endswith(" INVALID timings (small): " + LONGER)
    assert doubtful.verdict == "latency INVALID: 3 runs, 30 needed"
    assert doubtful.shown_verdict == "latency INVALID"
    assert invalid_reasons([doubtful, premodel]) == ["latency of small is INVALID: 3 runs, 30 needed"]
    *table, below = format_rows([doubtful, SINGLES[1], premodel]).splitlines()
    assert below == "latency of small is INVALID: 3 runs, 30 needed"
    assert not any("3 runs" in line for line in table)
    assert headline([doubtful, SINGLES[1], premodel, replace(premodel, name="q")]).count("INVALID") == 1
    assert row("p", "premodel", 0.9, 2.0, timing=VALID).verdict.endswith("; VALID")


def test_a_speed_up_that_is_not_distinguishable_from_one_is_no_difference() -> None:
    slower = Verdict(200, 0.89, 0.0, (0.0, 0.0), speedup_ci=(0.78, 1.04))
    assert (slower.pace, slower.outcome) == ("no difference shown", "no difference")
    assert slower.sentence("m0").startswith("no speed difference shown to m0 (speed-up 0.89 [0.78, 1.04]), no accuracy")
    assert slower.short == "no speed difference shown, no accuracy difference shown"
    assert Verdict(200, 0.89, 0.0, (0.0, 0.0), speedup_ci=(0.85, 0.93)).pace == "slower"
    assert json.loads(json.dumps(slower.to_json()))["speedup_ci"] == [0.78, 1.04]


def test_what_always_runs_one_candidate_makes_no_choice_per_input() -> None:
    alone = replace(row("p", "premodel", 0.9, 4.0, mix=(0, 0, 0)), share={"large": 1.0, "small": 0.0})
    assert "choice per input" not in describe(alone, SINGLES)
    both = replace(alone, share={"large": 0.4, "small": 1.0})
    assert "choice per input" in describe(both, SINGLES)


def test_the_objective_chooses_the_premodel_to_speak_of() -> None:
    quick, exact = row("quick", "premodel", 0.89, 1.0), row("exact", "premodel", 0.91, 3.0)
    rows = [*SINGLES, quick, exact]
    assert best_premodel(rows, Objective()) is exact
    assert best_premodel(rows, Objective(Floor.parse("best-2pt"))) is quick
    assert best_premodel(rows, Objective(Floor.parse("best+5pt"))) is exact, "the nearest where none meets it"
    with pytest.raises(OptionError, match="no premodel"):
        best_premodel(SINGLES, Objective())


def test_the_first_line_begins_with_what_is_worse() -> None:
    better = row("better", "premodel", 0.9, 2.0, mix=(4, 3, 5))
    worse = row("worse", "premodel", 0.7, 2.0, gain=(-20, -21, -19), mix=(-4, -5, -3))
    line = headline([*SINGLES, better, worse])
    assert line.index("worse (") < line.index("better (")
    assert headline(SINGLES) == "nothing to compare"


def test_doctor_shows_the_same_words_beside_its_advice() -> None:
    reached = Reached("p", 800, 0.9, 2.0, 2.0, (1.9, 2.1), 0.5, (-0.3, 1.3), 2.0, (1.0, 3.0))
    oracle = OracleGap(0.95, (0.9, 1.0), 5.0, (4.0, 6.0), 1.0, 4.0, (3.9, 4.1))
    found = Diagnosis(
        "use p", "p", None, "top1", 800, 800, "large", (), oracle, (), (), (), (Reachable("p", reached, reached),),
        None, (), {},
    )  # fmt: skip
    written = found.to_json()["reachable"][0]["no_loss"]
    assert written["comparison"] == reached.verdict.to_json() | {
        "accuracy_difference_ci": [-0.3, 1.3], "difference_to_random_mix_ci": [1.0, 3.0]
    }  # fmt: skip
    assert written["verdict"] == reached.verdict.short
