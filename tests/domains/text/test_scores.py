"""Scores of one sentence and of a corpus: worked out by hand, and as sacrebleu 2.6 and rouge-score 0.1.2 give them."""

from __future__ import annotations

import math

import pytest

from premodel.domains.registry import domain_of
from premodel.domains.text.scores import SCORES, bleu, chrf, corpus_bleu, corpus_chrf, f1, rouge

OF_OTHERS = (
    ("the cat sat on the mat", "the cat is on the mat", 0.379918, 0.645779, 0.833333),
    ("a dog", "a big dog runs fast", 0.157777, 0.143936, 0.571429),
    ("Hello , world !", "Hello, world!", 1.0, 1.0, 1.0),
    ("one", "one", 1.0, 1.0, 1.0),
    ("it costs 3.50 today", "it costs 3,50 today", 0.353553, 0.720011, 1.0),
    ("nothing in common", "xyz uvw", 0.0, 0.0, 0.0),
)
"""Hypothesis, reference, and sacrebleu's BLEU with effective order, its chrF2, and rouge-score's ROUGE-L."""
HOSTILE = ("", " ", "\0", "\u202eab", "&quot;", "." * 300, "日本語", "a" * 3000)


@pytest.mark.parametrize(("hypothesis", "reference", "of_bleu", "of_chrf", "of_rouge"), OF_OTHERS)
def test_sentence_scores_are_those_of_the_fields_tools(
    hypothesis: str, reference: str, of_bleu: float, of_chrf: float, of_rouge: float
) -> None:
    assert bleu(hypothesis, reference) == pytest.approx(of_bleu, abs=1e-6)
    assert chrf(hypothesis, reference) == pytest.approx(of_chrf, abs=1e-6)
    assert rouge(hypothesis, reference) == pytest.approx(of_rouge, abs=1e-6)
    harmonic = 2 / (1 / of_bleu + 1 / of_rouge) if of_bleu and of_rouge else 0
    assert f1(hypothesis, reference) == pytest.approx(harmonic, abs=1e-5)


def test_corpus_figures_are_those_of_sacrebleu_and_no_means_of_sentences() -> None:
    pairs = [row[:2] for row in OF_OTHERS]
    assert corpus_bleu(pairs) == pytest.approx(0.359795, abs=1e-6)
    assert corpus_chrf(pairs) == pytest.approx(0.558703, abs=1e-6)
    assert abs(corpus_bleu(pairs) - sum(row[2] for row in OF_OTHERS) / len(OF_OTHERS)) > 0.05


def test_two_words_by_hand() -> None:
    # One of two words and no pair right: precisions 1/2 and, smoothed, 1/2; no brevity penalty.
    assert bleu("a x", "a y") == pytest.approx(math.sqrt(1 / 2 * 1 / 2))
    # Half as long as it should be: the brevity penalty is exp(1 - 2).
    assert bleu("a", "a b") == pytest.approx(math.exp(-1))


def test_a_perfect_text_of_two_words_scores_1_alone_and_0_as_a_corpus() -> None:
    assert bleu("guten Tag", "guten Tag") == 1.0
    assert corpus_bleu([("guten Tag", "guten Tag")]) == 0.0


def test_rubbish_scores_near_0_whatever_the_number_of_references_elsewhere() -> None:
    assert bleu("qqq www", "ein Hund läuft über die Wiese") == 0.0
    assert corpus_bleu([("qqq www eee rrr", "ein Hund läuft schnell"), ("yyy", "Katze")]) == 0.0


@pytest.mark.parametrize("criterion", SCORES)
def test_every_score_is_within_0_and_1(criterion: str) -> None:
    for hypothesis in HOSTILE:
        for reference in HOSTILE:
            assert 0 <= SCORES[criterion](hypothesis, reference) <= 1


def test_the_domain_offers_all_scores_under_their_names() -> None:
    domain = domain_of("translation")
    assert set(domain.graded) == set(SCORES)
    assert domain.graded[0] == "chrf"
