"""Whether answers are as often right as they were said to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.evaluation.cross_validation import Method, cross_validate
from premodel.evaluation.evaluate import evaluate
from premodel.evaluation.report.reliability import Calibration, calibrations, chance_error
from premodel.evaluation.report.text import bins_table, calibration_note, calibration_table
from premodel.runtime.policies.base import AnswersSoFar, CallOptions, Policy, Run, Stop
from premodel.stats import reliability
from premodel.training.options import TrainOptions
from profiles import make_tables, predictable_tables


class Sure(Policy):
    """Always the first candidate, and always as sure."""

    kind = "sure"
    candidates = ("c0",)
    features = ()

    def __init__(self, confidence: float) -> None:
        self.confidence = confidence

    def next(self, so_far: AnswersSoFar, options: CallOptions) -> Run | Stop:
        return Stop(so_far.predictions[0], 0, self.confidence) if so_far.predictions else Run(0)

    settings = arrays = from_components = None  # type: ignore[assignment]


def reported(confidence: float, right: list[int]) -> list[Calibration]:
    tables = make_tables([[one] for one in right])
    method = Method("sure", "premodel", "sure", lambda *_: Sure(confidence))
    outcomes = cross_validate(tables, [method], criterion="top1", folds=2)
    assert outcomes[0].confidence.tolist() == pytest.approx([confidence] * len(right))
    return calibrations(tables, outcomes, "top1")


def test_a_premodel_is_judged_by_its_own_estimate() -> None:
    premodel, candidate = reported(0.8, [1, 0] * 50)
    assert (premodel.name, premodel.kind, candidate.name, candidate.kind) == ("sure", "premodel", "c0", "candidate")
    assert (premodel.samples, premodel.said, premodel.right) == (100, pytest.approx(0.8), 0.5)
    assert premodel.diagram.error == pytest.approx(0.3)
    assert premodel.verdict == "BADLY calibrated: overconfident, off by 30.0 points (calibration error)"
    (low, high) = next(part.ci for part in premodel.diagram.bins if part.count)
    assert 0.4 < low < 0.5 < high < 0.6
    assert "sure is BADLY calibrated" in calibration_note([premodel, candidate], "sure")


def test_one_that_is_right_as_often_as_it_says_is_calibrated() -> None:
    premodel = reported(0.8, [1, 1, 1, 1, 0] * 20)[0]
    assert premodel.diagram.error == pytest.approx(0)
    assert premodel.verdict == "calibrated, as far as 100 samples can tell"
    assert reported(0.4, [1, 1, 1, 1, 0] * 20)[0].verdict == (
        "BADLY calibrated: underconfident, off by 40.0 points (calibration error)"
    )


def test_errors_that_cancel_out_are_distinguished() -> None:
    said = np.repeat([0.15, 0.85], 500)
    right = np.concatenate([np.arange(500) % 2 == 0, np.arange(500) % 2 == 0])
    one = Calibration("x", "premodel", 1000, 0, said.mean(), right.mean(), reliability(said, right), 0.01)
    assert one.verdict == (
        "BADLY calibrated: overconfident in some answers and underconfident in others, off by 35.0 points "
        "(calibration error)"
    )
    assert replace(one, chance=0.5).verdict.startswith("calibrated")


@pytest.mark.parametrize(("error", "grade"), [(0.015, "nearly"), (0.03, "not well"), (0.06, "BADLY")])
def test_the_words_of_a_calibration_match_its_number(error: float, grade: str) -> None:
    one = reported(0.9, [1] * 100)[0]
    measured = replace(one, diagram=replace(one.diagram, error=error), chance=0.0)
    assert (
        measured.verdict == f"{grade} calibrated: underconfident, off by {100 * error:.1f} points (calibration error)"
    )


def test_what_estimates_nothing_says_so() -> None:
    evaluation = evaluate(predictable_tables(60, 3), {"paper": TrainOptions("paper")}, folds=2)
    outcome = next(one for one in evaluation.outcomes if one.method.kind == "premodel")
    found = calibrations(predictable_tables(60, 3), [outcome], "top1")
    assert (found[0].samples, found[0].silent) == (0, 60)
    assert found[0].verdict == "gives no confidence"
    assert calibration_table(found).rows[0][1:6] == ("0", "", "", "", "")
    assert "gives no confidence" in calibration_note(found, "paper")
    assert {row[0] for row in bins_table(found).rows} == {"c0", "c1", "c2"}


def test_candidates_by_their_top_probability_without_failed_predictions() -> None:
    tables = make_tables([[1], [0], [1], [1]], failed=[(3, 0)])
    probabilities = tables.top_probabilities.copy()
    probabilities[:, 0, 0] = [0.95, 0.97, 0.55, 0.0]
    (one,) = calibrations(replace(tables, top_probabilities=probabilities), [], "top1")
    bins = [part for part in one.diagram.bins if part.count]
    assert [part.count for part in bins] == [1, 2]
    assert [part.mean_score for part in bins] == pytest.approx([0.55, 0.96])
    assert [part.share_right for part in bins] == [1.0, 0.5]
    assert one.diagram.error == pytest.approx((1 * 0.45 + 2 * 0.46) / 3)
    assert (one.samples, one.silent) == (3, 1)
    assert bins_table([one]).rows[1][:5] == ("c0", "90 to 100", "2", "96.0", "50.0")


def test_for_top5_a_candidate_says_the_probability_of_its_five_labels_together() -> None:
    tables = make_tables([[1], [1]])
    probabilities = np.zeros_like(tables.top_probabilities)
    probabilities[:, 0, :5] = [0.3, 0.2, 0.1, 0.1, 0.05]
    tables = replace(tables, top_probabilities=probabilities)
    assert calibrations(tables, [], "top1")[0].said == pytest.approx(0.3)
    assert calibrations(tables, [], "top5")[0].said == pytest.approx(0.75)


def test_chance_gives_less_error_the_more_samples_there_are() -> None:
    few, many = (chance_error(np.full(n, 0.5), 0) for n in (100, 10_000))
    # of 100 fair coins the share of heads is within 0.1 of a half in 95 of 100 draws; of 10,000 within 0.01
    assert few == pytest.approx(0.1, abs=0.02)
    assert many == pytest.approx(0.01, abs=0.002)
    assert chance_error(np.zeros(50), 0) == 0
    assert np.isnan(chance_error(np.zeros(0), 0))
