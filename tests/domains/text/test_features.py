"""Features of texts: by hand on small texts, finite and in range on hostile ones, and each priced."""

from __future__ import annotations

import math

import numpy as np
import pytest

from premodel.domains.registry import domain_of
from premodel.domains.text.features.extractor import FEATURE_NAMES, Extractor
from premodel.domains.text.features.families import FAMILIES
from premodel.domains.text.features.parts import TextParts
from premodel.domains.text.features.tagger import tag_tokens
from premodel.errors import OptionError

PAPER = (
    "n_words", "n_bpe_chars", "avg_bpe", "n_tokens", "avg_noun", "avg_verb", "avg_adj", "avg_sat_adj", "avg_adverb",
    "avg_punc", "avg_word_length",
)  # fmt: skip
HOSTILE = (
    "a",
    ".",
    "\0",
    "x" * 300_000,
    "a " * 100_000,
    "a1" * 50_000,
    "n't" * 40_000,
    "日本" * 30_000,
    "👩‍👩‍👧",
    "\u202eab",
)


def values(text: str, *names: str) -> list[float]:
    return [round(value, 4) for value in Extractor(names).extract(text).tolist()]


def test_the_eleven_of_the_source_are_there() -> None:
    assert set(PAPER) <= set(FEATURE_NAMES)


def test_counts_words_tokens_and_signs() -> None:
    text = "Two careful dogs don't run, they walk slowly."
    assert values(text, "n_words", "n_tokens", "avg_punc") == [8, 11, 0.25]
    assert values(text, "avg_word_length") == [round((3 + 7 + 4 + 5 + 3 + 4 + 4 + 6) / 8, 4)]


def test_frequent_words_are_one_piece_and_rare_ones_many() -> None:
    assert values("the model", "n_bpe_chars", "avg_bpe") == [2, 1]
    (pieces,) = values("zyxwvut", "n_bpe_chars")
    assert pieces >= 5


def test_parts_of_speech_of_an_english_sentence() -> None:
    text = "Two careful dogs are running quickly over the old bridge ."
    assert "".join(tag_tokens(text.split())) == "OSNVVROOANO"
    names = ("avg_noun", "avg_verb", "avg_adj", "avg_sat_adj", "avg_adverb")
    assert values(text, *names) == [round(count / 11, 4) for count in (2, 2, 2, 1, 1)]


@pytest.mark.parametrize(
    ("sentence", "tags"),
    [
        ("the run", "ON"),
        ("to run", "OV"),
        ("they will paint", "OOV"),
        ("a walking stick", "OAN"),
        ("3 endless roads", "OSN"),
    ],
)
def test_a_neighbour_decides_where_a_word_may_be_either(sentence: str, tags: str) -> None:
    assert "".join(tag_tokens(sentence.split())) == tags


def test_letters_tell_scripts() -> None:
    assert values("Ab1é", "n_chars", "avg_capital", "avg_digit", "avg_accented", "avg_foreign") == [
        4,
        0.25,
        0.25,
        0.25,
        0,
    ]
    assert values("אב", "avg_accented", "avg_foreign") == [0, 1]


def test_a_bag_of_words_counts_tokens_whatever_their_case_and_order() -> None:
    bag = [f"word{number}" for number in range(1, 17)]
    assert values("Dog bites man", *bag) == values("man BITES dog", *bag)
    assert sum(values("one two three four", *bag)) == pytest.approx(1)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:4]))
def test_every_value_is_finite_and_in_its_range(text: str) -> None:
    ranges = [(feature.low, feature.high) for family in FAMILIES for feature in family.features]
    for value, (low, high) in zip(Extractor().extract(text).tolist(), ranges, strict=True):
        assert math.isfinite(value)
        assert low <= value <= high


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert len(TextParts("ab " * 100_000).text) == 10_000
    np.testing.assert_array_equal(Extractor().extract("ab " * 4_000), Extractor().extract("ab " * 200_000))


def test_each_subset_computes_and_pays_for_nothing_else() -> None:
    domain = domain_of("translation")
    needs = {name: tuple(parts) for group in domain.feature_groups for name, parts in group.needs.items()}
    whole = dict(zip(FEATURE_NAMES, Extractor().extract("Ein kurzer Satz, mehr nicht.").tolist(), strict=True))
    for names in (["n_words"], ["avg_noun", "n_chars"], ["word3", "n_bpe_chars"], list(FEATURE_NAMES)):
        extractor = domain.extractor(names)
        assert extractor.extract("Ein kurzer Satz, mehr nicht.").tolist() == [whole[name] for name in names]
        assert set(extractor.cost_items()) == {part for name in names for part in needs[name]}
        assert set(extractor.time_cost_items("Ein Satz.")) == set(extractor.cost_items())


def test_refuses_features_that_are_unknown_or_named_twice() -> None:
    with pytest.raises(OptionError, match="unknown feature; given: smell"):
        Extractor(["n_words", "smell"])
    with pytest.raises(OptionError, match="named twice; given: n_words"):
        Extractor(["n_words", "n_words"])


def test_a_group_is_stored_under_its_version() -> None:
    assert [group.key for group in domain_of("translation").feature_groups] == [family.key() for family in FAMILIES]
