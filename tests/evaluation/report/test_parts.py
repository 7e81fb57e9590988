"""Pictures, classes, timings and places of labels."""

from __future__ import annotations

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest

from premodel.domains.registry import domain_of
from premodel.evaluation.baselines import FixedChoice
from premodel.evaluation.cross_validation import Method, cross_validate
from premodel.evaluation.report.charts import wrapped
from premodel.evaluation.report.classes import class_gains
from premodel.evaluation.report.label_places import place_labels
from premodel.evaluation.report.pictures import Album, Difficulty, measured_difficulty
from premodel.evaluation.report.text import short_label, timings_table
from premodel.evaluation.report.timings import spreads
from premodel.records import Timing
from premodel.runtime.policies.base import FUSED
from profiles import make_tables


def png(side: int) -> bytes:
    return cv2.imencode(".png", np.full((side, 2 * side, 3), 128, np.uint8))[1].tobytes()


def test_thumbnails_are_small_and_keep_their_shape() -> None:
    uri = domain_of("image-classification").preview(png(200))
    assert uri is not None
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (48, 96, 3)
    assert domain_of("image-classification").preview(b"no image") is None


def album(correct: list[list[int]]) -> Album:
    tables = make_tables(correct)
    method = Method("first", "premodel", "fixed", lambda *_: FixedChoice("c0"))
    return Album(tables, "top1", cross_validate(tables, [method], criterion="top1", folds=2)[0], 1, lambda _: png(8))


def test_mistakes_are_those_where_somebody_is_right() -> None:
    count, pictures = album([[1, 1], [0, 1], [0, 0], [0, 1]]).mistakes()
    assert count == len(pictures) == 2
    assert all(one.others_right == ("c1",) and one.by == "c0" and not one.right for one in pictures)
    assert all(one.served != one.truth for one in pictures)


def test_bins_hold_every_sample_once_and_count_who_is_right() -> None:
    made = album([[1, 1], [0, 1], [0, 0], [0, 1]])
    bins = made.bins(measured_difficulty(made.tables, "top1"))
    assert [(one.title, one.samples, one.right, one.best_right) for one in bins] == [
        ("0", 1, 1, 1),
        ("1", 2, 0, 2),
        ("2", 1, 0, 0),
    ]
    many = album([[1, 0]] * 50)
    parts = many.bins(Difficulty("d", np.linspace(0, 1, 50)))
    assert [one.samples for one in parts] == [10] * 5
    assert parts[0].title == "0.00 to 0.18"
    whole = many.bins(Difficulty("d", np.repeat([0.0, 1, 2, 3, 4, 5, 6, 9], [20, 3, 5, 5, 5, 5, 5, 2])))
    assert [one.title for one in whole] == ["0", "0", "1 to 3", "3 to 5", "5 to 9"]


def test_class_gains_by_hand() -> None:
    tables = replace(make_tables([[1]] * 6), truth=np.array([0, 0, 0, 1, 1, 2], np.int32))
    premodel = np.array([1, 0, 0, 1, 1, 0], bool)
    best = np.array([1, 1, 1, 0, 1, 0], bool)
    found = class_gains(tables, premodel, best)
    assert [(one.name, one.samples, one.gained, one.lost) for one in found] == [
        ("label 0", 3, 0, 2),
        ("label 2", 1, 0, 0),
        ("label 1", 2, 1, 0),
    ]
    assert found[0].points == pytest.approx(-200 / 3)
    assert found[2].points == pytest.approx(50)
    assert [one.ci for one in found] == [None] * 3, "too few samples"


def test_a_class_with_enough_samples_has_an_interval() -> None:
    tables = replace(make_tables([[1]] * 20), truth=np.zeros(20, np.int32))
    best = np.ones(20, bool)
    (found,) = class_gains(tables, np.arange(20) >= 10, best)
    assert found.ci is not None
    assert -100 < found.ci[0] < found.points == -50 < found.ci[1] < 0


def test_spreads_use_the_runs_where_there_are_some() -> None:
    tables = make_tables([[1, 0]])
    timings = (Timing(100, 2.0, 1.5, 3.0, 4.0, 1.9, 2.1, True), Timing(0, *[float("nan")] * 6, False, "not timed"))
    tables = replace(tables, timings=timings)
    (bare,) = spreads(tables, {})
    assert (bare.q1_ms, bare.median_ms, bare.q3_ms, bare.p99_ms) == (1.5, 1.5, 3.0, 4.0)
    (full,) = spreads(tables, {"c0": [float(value) for value in range(101)]})
    assert (full.low_ms, full.q1_ms, full.q3_ms) == (1.0, 25.0, 75.0)


def test_energy_and_memory_stand_with_the_timings_or_are_not_measured() -> None:
    tables = replace(make_tables([[1, 0]]), energy_mj=np.array([12.34, np.nan]), memory_mb=np.array([np.nan, 7.6]))
    table = timings_table(spreads(tables, {}))
    energy, memory = table.header.index("energy, mJ"), table.header.index("memory, MB")
    assert [(row[0], row[energy], row[memory]) for row in table.rows] == [
        ("c0", "12.34", "not measured"),
        ("c1", "not measured", "8"),
    ]


def test_a_fused_answer_has_a_short_caption() -> None:
    made = album([[0, 1], [0, 1]])
    both = replace(made.outcome, source=np.full(2, FUSED), ran=np.ones((2, 2), np.bool_))
    _, pictures = Album(made.tables, "top1", both, 1, lambda _: png(8)).mistakes()
    assert {one.by for one in pictures} == {"2 candidates fused"}


def test_names_on_an_axis_break_at_underscores() -> None:
    assert wrapped("mobilenet_v2_100_224_ptq") == "mobilenet_v2_100_\n224_ptq"
    assert wrapped("squeezenet_11_224") == "squeezenet_11_224"
    assert wrapped("") == ""


def test_labels_do_not_lie_on_one_another() -> None:
    places = place_labels([(0.5, 0.5, "one"), (0.5, 0.5, "two"), (0.99, 0.5, "at the right edge")], [], drop=True)
    assert (places[0].align, places[0].y_offset) != (places[1].align, places[1].y_offset)
    assert places[2].align == "right"
    assert [place.shown for place in place_labels([(0.5, 0.5, "same place")] * 8, [], drop=True)][-1] is False
    assert all(place.shown for place in place_labels([(0.5, 0.5, "same place")] * 8, [], drop=False))


def test_labels_below_pictures_are_short() -> None:
    assert short_label("n01440764 tench, Tinca tinca") == "tench"
    assert short_label("7") == "7"
    assert short_label(",") == ","
    assert short_label("a" * 40) == "a" * 27 + "\N{HORIZONTAL ELLIPSIS}"
