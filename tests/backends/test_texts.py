"""Texts as arrays: what goes in comes out, and what is no text is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from premodel.backends.texts import pack_answer, read_text, text_tensor, unpack_answer
from premodel.errors import RunError


@pytest.mark.parametrize("text", ["", "a", "Grüße", "日本", "a\0b"])
def test_a_text_comes_back(text: str) -> None:
    assert read_text(text_tensor(text)) == text
    assert unpack_answer(pack_answer(text, 0.25)) == (text, 0.25)


def test_an_answer_without_a_probability_says_so_and_padding_is_dropped() -> None:
    packed = pack_answer("ja")
    padded = np.zeros((1, 40), np.uint8)
    padded[0, : packed.size] = packed
    text, probability = unpack_answer(padded)
    assert text == "ja"
    assert math.isnan(probability)


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert unpack_answer(pack_answer("a\ud800b", 1.0)).text == "a?b"


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
