"""Lines of the tables on translation, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.paper.corpus import Corpus
from premodel.paper.fit_rules import OF_TRANSLATIONS
from premodel.paper.study import Study
from premodel.paper.translation.premodels import MAIN, PERMUTED
from premodel.paper.translation.rows import (
    Line,
    candidate_line,
    chosen_line,
    harmonic,
    ratio_of_means,
    served_line,
    worth_of_features,
)
from translation_profiles import drawn, three_sentences


def test_f1_is_the_harmonic_mean_and_that_of_the_means_is_another() -> None:
    assert harmonic(25.0, 75.0) == pytest.approx(37.5)
    assert harmonic(0.0, 0.0) == 0.0
    tables = replace(
        three_sentences(),
        graded={
            "bleu": np.array([[0.2, 0.2], [0.8, 0.8], [0.5, 0.5]]),
            "rouge": np.array([[0.8, 0.8], [0.2, 0.2], [0.5, 0.5]]),
            "f1": np.array([[0.32, 0.32], [0.32, 0.32], [0.5, 0.5]]),
        },
    )
    found = candidate_line(Study(tables, criterion="bleu", folds=2), 0)
    assert found.means == {"bleu": pytest.approx(50), "rouge": pytest.approx(50), "f1": pytest.approx(38)}
    assert found.f1_of_means == pytest.approx(50)


def test_a_choice_by_hand() -> None:
    study = Study(three_sentences(), criterion="bleu", folds=2)
    found = Line(study, "by hand", np.array([0, 1, 0]), np.array([1.0, 2.0, 1.0]), chooses=True)
    assert found.means["bleu"] == pytest.approx(100 * (0.5 + 0.8 + 0.5) / 3)
    assert found.latency_ms == pytest.approx(4 / 3)
    # The most capable takes 2 ms and has 0.8, 0.8, 0.5.
    assert found.speedup == found.speed[0] == pytest.approx(1.5)
    assert found.to_best[0] == pytest.approx(-10)
    # At 4/3 ms the mix is two thirds of the first candidate: 53.33 + (70 - 53.33) / 3 = 58.89; here it is 60.
    mix = found.to_mix("bleu")
    assert mix is not None
    assert mix[0] == pytest.approx(10 / 9)
    assert found.choice("bleu") == "not distinguishable", "three sentences tell nothing"
    assert candidate_line(study, 1).to_mix("bleu") is None
    assert candidate_line(study, 1).choice("bleu") == "no choice per sentence"


def test_what_was_not_answered_scores_0() -> None:
    study = Study(three_sentences(), criterion="bleu", folds=2)
    assert chosen_line(study, "all", np.array([1, 1, 1])).means["bleu"] == pytest.approx(70)
    assert Line(study, "none", np.array([1, -2, 1]), np.ones(3)).means["bleu"] == pytest.approx(100 * 1.3 / 3)


def test_the_interval_of_a_ratio_is_narrow_where_both_times_grow_with_the_sentence() -> None:
    length = np.arange(1.0, 101.0)
    ratio, (low, high) = ratio_of_means(3 * length, length)
    assert (ratio, low, high) == pytest.approx((3, 3, 3))
    ratio, (low, high) = ratio_of_means(np.full(100, 3.0), length)
    assert ratio == pytest.approx(3 / 50.5)
    assert low < ratio < high


def test_corpus_scores_are_those_of_the_answers_that_were_served() -> None:
    said = [[("ein Hund läuft schnell", "ein Hund läuft schnell"), None], [("nichts", "das Haus"), ("b", "das Haus")]]
    corpus = Corpus("translation", said)
    assert corpus.figures(np.array([0, 0]))["bleu"] == pytest.approx(1)
    assert corpus.figures(np.array([0, -2]))["chrf"] == pytest.approx(1)
    assert corpus.figures(np.array([1, 1]))["bleu"] == 0
    tables = drawn(60, 2)
    study = Study(tables, criterion="bleu", folds=2, corpus=Corpus("translation", [[said[0][0]] * 60] * 2))
    assert candidate_line(study, 0).corpus == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}


def test_features_are_worth_what_real_ones_are_above_the_mix_beyond_permuted_ones() -> None:
    study = Study(drawn(200, 2, tell=True), criterion="bleu", folds=2, features=None, rules=OF_TRANSLATIONS)
    real, blind = study.served(MAIN), study.served(PERMUTED)
    lines = served_line(study, "real", real), served_line(study, "permuted", blind)
    worth, (low, _) = worth_of_features(*lines, "bleu")
    assert worth == pytest.approx(real.row.extra["gain_points_vs_mix"] - blind.row.extra["gain_points_vs_mix"])
    assert low > 0
    assert worth_of_features(lines[1], lines[1])[0] == 0
