"""Texts as arrays: what goes in comes out, and what is no text is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from premodel.backends.texts import MAX_ANSWER, kept_text, pack_answer, read_text, text_tensor, unpack_answer
from premodel.errors import RunError


@pytest.mark.parametrize("text", ["", "a", "Grüße", "日本"])
def test_a_text_comes_back(text: str) -> None:
    assert read_text(text_tensor(text)) == text
    assert unpack_answer(pack_answer(text, 0.25)) == (text, 0.25)


def test_a_zero_in_an_input_comes_back() -> None:
    assert read_text(text_tensor("a\0b")) == "a\0b"


def test_an_answer_without_a_probability_says_so_and_padding_is_dropped() -> None:
    packed = pack_answer("ja")
    padded = np.zeros((1, 40), np.uint8)
    padded[0, : packed.size] = packed
    text, probability = unpack_answer(padded)
    assert text == "ja"
    assert math.isnan(probability)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("ein Hund \U0001f415", "ein Hund \U0001f415"),
        ("ein\0Hund", "ein\ufffdHund"),
        ("Hund\0", "Hund\ufffd"),
        ("a\ud800b", "a\ufffdb"),
        ("a\udc15", "a\ufffd"),
        ("a\ud83d\udc15b", "a\U0001f415b"),
    ],
)
def test_what_no_file_can_hold_is_replaced_in_an_answer(text: str, kept: str) -> None:
    assert kept_text(text) == kept
    assert unpack_answer(pack_answer(text, 1.0)).text == kept


def test_zeros_within_an_answer_that_another_packed_are_replaced() -> None:
    raw = np.frombuffer(np.float64(0.5).tobytes() + b"a\0b\0\0", np.uint8)
    assert unpack_answer(raw).text == "a\ufffdb"


def test_an_answer_of_more_than_a_mebi_of_characters_is_refused() -> None:
    assert len(unpack_answer(pack_answer("a" * MAX_ANSWER, 1.0)).text) == MAX_ANSWER
    raw = np.full(MAX_ANSWER + 9, ord("a"), np.uint8)
    raw[:8] = np.frombuffer(np.float64(1.0).tobytes(), np.uint8)
    with pytest.raises(RunError, match="answer is too long; given: 1048577 characters; allowed: up to 1048576"):
        unpack_answer(raw)


@pytest.mark.parametrize("probability", [0.0, -0.5, 1.5, math.inf])
def test_refuses_a_probability_that_is_none(probability: float) -> None:
    with pytest.raises(RunError, match=r"probability of a text must be in \(0, 1\]"):
        unpack_answer(pack_answer("ja", probability))


def test_refuses_what_is_no_answer() -> None:
    for raw in (np.zeros((1, 3), np.uint8), np.zeros((1, 40), np.float32)):
        with pytest.raises(RunError, match="must be a packed text"):
            unpack_answer(raw)
    with pytest.raises(RunError, match="must be UTF-8"):
        read_text(np.array([[97, 255]], np.uint8))
