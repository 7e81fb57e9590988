"""What makes a profile unfit for a comparison is said first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.cli.evaluate import format_evaluation
from premodel.evaluation.degenerate import accuracy_drops, degenerate_cases, latency_drifts
from premodel.evaluation.diagnosis import format_diagnosis
from premodel.evaluation.doctor import diagnose
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.signal import confidence_signals
from premodel.runtime.conditions import busy_note
from premodel.training.options import TrainOptions
from premodel.training.tables import Tables
from profiles import make_tables


def ordinary(n: int = 100) -> Tables:
    return make_tables(np.random.default_rng(0).random((n, 2)) < [0.6, 0.8], seed=3)


def twins() -> Tables:
    made = ordinary()
    return replace(
        made,
        top_labels=np.repeat(made.top_labels[:, :1], 2, axis=1),
        top_probabilities=np.repeat(made.top_probabilities[:, :1], 2, axis=1),
        rank=np.repeat(made.rank[:, :1], 2, axis=1),
    )


def one_label() -> Tables:
    made = ordinary()
    return replace(made, truth=np.full(len(made), 2, np.int32))


def one_answer() -> Tables:
    made = ordinary()
    labels = made.top_labels.copy()
    labels[:, 1, 0] = 5
    return replace(made, top_labels=labels)


HALF = [(sample, 1) for sample in range(50)]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (make_tables(np.zeros((60, 2), bool)), "no candidate gives a right answer on any of 60 samples"),
        (make_tables(np.repeat([[True, False]], 60, axis=0)), "c1 gives no right answer on any of 60 samples"),
        (one_label(), "all samples have one label, 'label 2'"),
        (one_answer(), "c1 gives one answer, 'label 5', to all samples"),
        (make_tables(np.ones((100, 2), bool), failed=HALF), "c1 failed on 50.0 % of the samples"),
        (twins(), "c0 and c1 give the same answers on all samples"),
    ],
)
def test_a_degenerate_profile_is_named(tables: Tables, words: str) -> None:
    assert any(words in warning for warning in degenerate_cases(tables, "top1"))


def test_candidates_that_failed_share_a_line() -> None:
    n, half = 100, 50
    failed = [(sample, column) for column in range(4) for sample in range(half - 10 * column)]
    found = degenerate_cases(make_tables(np.ones((n, 6), bool), failed=failed), "top1")
    (line,) = [warning for warning in found if "failed on" in warning]
    assert line.startswith(
        "4 candidates failed on some samples: c0 on 50.0 %, c1 on 40.0 %, c2 on 30.0 %, c3 on 20.0 %"
    )
    assert "unless another candidate of a premodel answers them" in line


def test_an_ordinary_profile_has_no_warning() -> None:
    assert degenerate_cases(ordinary(), "top1") == ()
    assert degenerate_cases(make_tables(np.ones((100, 1), bool), failed=[]), "top1") == ()


def test_doctor_and_evaluate_begin_with_the_warning() -> None:
    tables = twins()
    (words,) = degenerate_cases(tables, "top1")
    assert format_diagnosis(diagnose(tables))[0] == f"warning: {words}"
    assert diagnose(tables).to_json()["warnings"] == [words]
    evaluation = evaluate(tables, {"single": TrainOptions("single")}, folds=2)
    assert format_evaluation(evaluation).splitlines()[0] == f"warning: {words}"
    assert evaluation.to_json()["warnings"] == [words]


def test_the_report_shows_the_warning_above_its_verdict() -> None:
    pytest.importorskip("bokeh", reason="the extra report is not installed")
    from premodel.evaluation.report.page import Report, render

    tables = twins()
    html = render(Report("t", evaluate(tables, {"single": TrainOptions("single")}, folds=2), tables))
    assert html.index("give the same answers on all samples") < html.index('id="verdict"')


def test_failures_do_not_make_a_confidence_informative() -> None:
    """A failure is wrong and has no confidence: counted, it would be predicted perfectly."""
    right = np.random.default_rng(5).random((400, 1)) < 0.5
    whole = confidence_signals(make_tables(right[200:]), "top1", 0)[0]
    failing = confidence_signals(make_tables(right, failed=[(sample, 0) for sample in range(200)]), "top1", 0)[0]
    assert not failing.informative
    assert failing.auc == pytest.approx(0.5, abs=0.1)
    assert abs(failing.control[1] - whole.control[1]) < 0.05


def test_an_accuracy_far_below_the_profile_is_a_warning() -> None:
    assert accuracy_drops("c0", 70, 100, 0.75) is None
    assert accuracy_drops("c0", 70, 100, None) is None
    warning = accuracy_drops("c0", 50, 100, 0.9)
    assert warning is not None
    assert warning.startswith("c0 is right on 50.0 % here [40.4, 59.6], on 90.0 % of the profile's samples")


def test_a_latency_far_from_that_of_the_profile_is_a_warning() -> None:
    warning = latency_drifts("m0", 8.8, 21.0)
    assert warning is not None
    assert warning.startswith("m0 takes 8.80 ms here, 21.00 ms in the profile: ")
    assert "premodel profile --retime all" in warning
    assert latency_drifts("m0", 21.0, 8.8) is not None
    assert latency_drifts("m0", 21.0, 18.0) is None
    assert latency_drifts("m0", 21.0, None) is None


def test_words_on_a_busy_machine_name_who_was_busy() -> None:
    assert busy_note(None) == busy_note(0.1, {"cc1": 0.1}) == ""
    assert busy_note(1.7, {"python": 0.9, "cc1": 0.6}) == "other programs kept 1.7 cores busy (python 0.9, cc1 0.6)"
    assert busy_note(1.7).startswith("other programs kept 1.7 cores busy")


def test_a_candidate_whose_labels_are_in_another_order_is_named() -> None:
    """Labels 1 and 2 of eight are swapped in one candidate's list."""
    tables = make_tables(np.ones((160, 2), bool))
    answers = tables.top_labels.copy()
    answers[:, 1, 0] = np.select([tables.truth == 1, tables.truth == 2], [2, 1], tables.truth)
    moved = replace(tables, top_labels=answers, rank=(answers[:, :, 0] != tables.truth[:, None]).astype(np.int32))
    (warning,) = degenerate_cases(moved, "top1")
    assert warning.startswith("c1 is right on ")
    assert "it would be 100.0 % with other names for the classes: it answers " in warning
