"""Both readings of the optimum, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.paper.readings import BEST_SCORE, SQUARE_OVER_TIME, judged, square_over_time, study_labels
from profiles import make_tables
from translation_profiles import SCORES, TIMES_MS, three_sentences


def test_a_better_translation_is_labelled_only_if_it_is_worth_its_time() -> None:
    # First sentence: 0.5^2 / 1 = 0.25 and 0.8^2 / 2 = 0.32; second: 0.6^2 / 1 = 0.36 and 0.32; third: equal scores.
    assert square_over_time(SCORES, TIMES_MS).tolist() == [[False, True], [True, False], [True, False]]
    assert study_labels(SQUARE_OVER_TIME, SCORES, TIMES_MS).argmax(axis=1).tolist() == [1, 0, 0]
    assert study_labels(BEST_SCORE, SCORES, TIMES_MS).argmax(axis=1).tolist() == [1, 1, 0]


def test_each_sentence_may_have_times_of_its_own() -> None:
    own_ms = np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 1.0]])
    # 0.25 against 0.64 / 4 = 0.16; 0.18 against 0.32; 0.0833 against 0.25.
    assert square_over_time(SCORES, own_ms).argmax(axis=1).tolist() == [0, 1, 1]


def test_where_every_translation_scores_0_the_cheapest_is_labelled() -> None:
    assert square_over_time(np.zeros((1, 3)), np.array([2.0, 1.0, 3.0])).tolist() == [[False, True, False]]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(OptionError, match="label scheme"):
        study_labels("square", SCORES, TIMES_MS)


def test_graded_answers_are_judged_by_their_scores_and_labels_by_right_and_wrong() -> None:
    assert judged(three_sentences(), "bleu").tolist() == SCORES.tolist()
    assert judged(make_tables([[1, 0]]), "top1").tolist() == [[True, False]]
