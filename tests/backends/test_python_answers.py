"""What a callable may answer, and the one line that names each wrong answer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from premodel.backends.python_answers import LabelReader, UnknownAnswerError, read_outcome
from premodel.errors import RunError

LABELS = ("de", "en", "fr")


def row(answer: Any, label_map: dict[str, str] | None = None, activation: str = "softmax") -> list[float]:
    found = LabelReader(LABELS, label_map or {}, activation).read(answer)
    assert (found.shape, found.dtype) == ((1, 3), np.float32)
    return [round(float(value), 4) for value in found[0]]


class Tensorlike:
    """As tensors of other libraries: no array, but it can become one."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array([[0.25, 0.5, 0.25]], dtype)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"en": 0.75, "de": 0.25}, [0.25, 0.75, 0.0]),
        ({1: 0.75, np.int64(0): 0.25}, [0.25, 0.75, 0.0]),
        ([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]),
        ((0.25, 0.5, 0.25), [0.25, 0.5, 0.25]),
        (np.array([0.25, 0.5, 0.25]), [0.25, 0.5, 0.25]),
        (Tensorlike(), [0.25, 0.5, 0.25]),
        (("fr", 0.9), [0.0, 0.0, 0.9]),
        (["fr", np.float32(0.5)], [0.0, 0.0, 0.5]),
        ((2, 1), [0.0, 0.0, 1.0]),
        (("de", 0.0), [0.0, 0.0, 0.0]),
    ],
    ids=[
        "names",
        "numbers",
        "list",
        "tuple",
        "array",
        "tensor",
        "label",
        "label list",
        "label number",
        "no confidence",
    ],
)
def test_reads_distributions_and_labels_with_a_confidence(answer: Any, expected: list[float]) -> None:
    assert row(answer) == expected


def test_a_label_without_confidence_stays_the_answer() -> None:
    assert LabelReader(LABELS, {}, "softmax").read(("fr", 0.0)).argmax() == 2


def test_a_label_map_adds_what_several_names_mean() -> None:
    label_map = {"deu": "de", "gsw": "de", "eng": "en"}
    assert row({"deu": 0.25, "gsw": 0.375, "eng": 0.375}, label_map) == [0.625, 0.375, 0.0]
    assert row(("eng", 0.5), label_map) == [0.0, 0.5, 0.0]


def test_a_label_map_of_logits_adds_their_probabilities() -> None:
    answer = {"deu": math.log(2), "gsw": math.log(3), "en": 0.0, "fr": 1.0}
    label_map = {"deu": "de", "gsw": "de"}
    assert row(answer, label_map, "none") == [round(math.log(5), 4), 0.0, 1.0]


def test_what_is_no_label_is_not_the_answer_where_a_label_of_the_mapping_has_as_much() -> None:
    assert row({"xx": 0.5, "en": 0.5}) == [0.0, 0.5, 0.0]
    with pytest.raises(UnknownAnswerError, match="'xx'"):
        row({"xx": 2.0, "de": 1.0, "en": 0.5, "fr": -3.0}, activation="none")


def test_percent_stays_percent() -> None:
    assert row({"en": 75.0, "de": 25.0}, activation="percent") == [25.0, 75.0, 0.0]
    assert row(("en", 97), activation="percent") == [0.0, 97.0, 0.0]


def test_an_answer_that_is_no_label_is_named_and_counted() -> None:
    reader = LabelReader(LABELS, {"eng": "en"}, "softmax")
    for answer in (("xx", 0.9), {"xx": 0.75, "en": 0.25}, (7, 0.5)):
        with pytest.raises(UnknownAnswerError, match=r"what is no label; given: ('xx'|7); name it in label_map"):
            reader.read(answer)
    assert reader.unknown == {"xx": 2, "7": 1}


def test_probability_of_what_is_no_label_belongs_to_none_where_a_label_has_more() -> None:
    reader = LabelReader(LABELS, {}, "softmax")
    assert reader.read({"en": 0.75, "xx": 0.25})[0].tolist() == [0.0, 0.75, 0.0]
    assert (reader.dropped, not reader.unknown) == ({"xx"}, True)


def test_every_other_answer_can_be_mapped() -> None:
    assert row(("xx", 0.5), {"*": "fr"}) == [0.0, 0.0, 0.5]
    assert row(("en", 0.5), {"*": "fr"}) == [0.0, 0.5, 0.0]


def test_a_name_that_two_labels_share_is_refused() -> None:
    with pytest.raises(RunError, match="two labels have the name"):
        LabelReader(("crane", "crane", "dog"), {}, "softmax").read(("crane", 0.5))


async def waits() -> list[float]:
    return [0.25, 0.5, 0.25]


WRONG: dict[str, tuple[Any, str, str]] = {
    "none": (None, "softmax", "answered None; allowed: a distribution"),
    "label alone": ("en", "softmax", "answered a text alone; given: 'en'.*return it with 1.0"),
    "array of labels": (np.array(["en"]), "softmax", r"a list or array of labels, which is no answer; given: \['en'\]"),
    "list of labels": (["en"], "softmax", r"use predict_proba in place of predict, or return \(label, confidence\)"),
    "array of objects": (np.array(["en"], object), "softmax", "a list or array of labels, which is no answer"),
    "number of a label in an array": (
        np.array([1]),
        "softmax",
        "given: 1; allowed: 3; if it is a label, use predict_p",
    ),
    "label alone, of numpy": (np.str_("en"), "softmax", "answered a text alone; given: 'en'; "),
    "one number": (0.5, "softmax", "answered one number; given: 0.5"),
    "bool": (True, "softmax", "must answer otherwise; given: bool"),
    "object": (object(), "softmax", "must answer otherwise; given: object"),
    "generator": ((value for value in (0.5, 0.5, 0.0)), "softmax", "must answer otherwise; given: generator"),
    "too short": ([0.5, 0.5], "softmax", "wrong number of probabilities; given: 2; allowed: 3"),
    "too long": ([0.25] * 4, "softmax", "wrong number of probabilities; given: 4; allowed: 3"),
    "empty": ({}, "softmax", "empty mapping"),
    "nan": ([0.5, math.nan, 0.5], "softmax", "NaN or infinite"),
    "nan by name": ({"en": math.nan}, "softmax", "not a finite number; given: nan"),
    "text as confidence": (("en", "high"), "softmax", "not a finite number; given: 'high'"),
    "minus infinity": ([-math.inf, 0.0, 1.0], "none", "NaN or infinite"),
    "more than any float": ([10**400, 0, 0], "none", "must answer otherwise; given: list .int too large"),
    "more than any float by name": ({"en": 10**400}, "softmax", "not a finite number"),
    "far too large": ([1e39, 0.0, 0.0], "softmax", "a probability that is none; given: 1e.39"),
    "complex": (np.array([1 + 2j, 0, 0]), "softmax", "must answer otherwise; given: ndarray .complex"),
    "too small for float32": ({"en": 1e-60}, "softmax", "every label the probability 0"),
    "negative": ([0.5, -0.25, 0.75], "softmax", r"a probability that is none; given: -0.25; allowed: \[0, 1\]"),
    "sum too large": ([0.9, 0.9, 0.9], "softmax", "must sum to 1; given: 2.7; normalise them"),
    "sum too large by name": ({"en": 0.9, "de": 0.9}, "softmax", "must sum to 1; given: 1.8"),
    "sum too small": ([0.1, 0.2, 0.1], "softmax", "must sum to 1; given: 0.4"),
    "all zero": ([0.0, 0.0, 0.0], "sigmoid", "every label the probability 0"),
    "all zero by name": ({"en": 0.0, "de": 0.0}, "softmax", "every label the probability 0"),
    "only what is no label, at 0": ({"xx": 0.0}, "softmax", "every label the probability 0"),
    "logarithms": ([-54.4, -60.0, -71.5], "softmax", "answered logarithms, not probabilities; given: -71.5 to -54.4"),
    "logarithms by name": ({"en": -54.4, "de": -60.0}, "softmax", "answered logarithms, not probabilities"),
    "logarithm as confidence": (("en", -54.4), "softmax", "answered logarithms, not probabilities; given: -54.4"),
    "percent": (("en", 97.0), "softmax", r"none; given: 97; allowed: \[0, 1\]; set output.activation = 'percent'"),
    "logit of one label": (("en", 3.0), "none", "a label with a confidence is no logit"),
    "logits of some": ({"en": 3.0}, "none", "must name every label; given: 1 labels; allowed: 3"),
    "async": (waits, "softmax", "is async; allowed: a plain function"),
}


@pytest.mark.parametrize("case", WRONG)
def test_every_wrong_answer_is_named_in_one_line(case: str) -> None:
    answer, activation, message = WRONG[case]
    with pytest.raises(RunError, match=message) as caught:
        row(answer() if answer is waits else answer, activation=activation)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UnknownAnswerError)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("logits", "shares"),
    [
        ([1e39, 0.0, 1e39], [0.5, 0.0, 0.5]),
        ([10**39, 0, 1], [1.0, 0.0, 0.0]),
        ([-1e300, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([1e308, -1e308, 0.0], [1.0, 0.0, 0.0]),
    ],
)
def test_logits_beyond_float32_keep_their_softmax(logits: list[float], shares: list[float]) -> None:
    for answer in (logits, dict(zip(LABELS, logits, strict=True))):
        found = LabelReader(LABELS, {}, "none").read(answer)
        assert np.isfinite(found).all()
        weights = np.exp(found[0].astype(float) - found.max())
        assert (weights / weights.sum()).tolist() == shares


def test_a_text_with_a_score_is_read() -> None:
    assert read_outcome(("ein Hund", 0.5)).tolist() == ["ein Hund", 0.5]
    assert read_outcome(["", np.float32(1.0)]).tolist() == ["", 1.0]


@pytest.mark.parametrize("said", ["ein\0Hund", "ein\ud800Hund"])
def test_a_character_of_a_text_that_cannot_be_kept_is_replaced(said: str) -> None:
    assert read_outcome((said, 0.5)).tolist() == ["ein\ufffdHund", 0.5]


def test_long_answers_that_are_no_label_are_noted_shortened() -> None:
    reader = LabelReader(LABELS, {}, "softmax")
    with pytest.raises(UnknownAnswerError) as caught:
        reader.read(("x" * 3_000_000, 0.9))
    reader.read({"en": 0.9, "y" * 3_000_000: 0.1})
    assert len(str(caught.value)) < 200
    assert max(map(len, [*reader.unknown, *reader.dropped])) <= 80


def test_numbers_are_left_to_a_domain_without_labels() -> None:
    assert read_outcome(np.array([3.5, 0.5])).tolist() == [3.5, 0.5]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "answered None"),
        ("ein Hund", "a text alone"),
        (("ein Hund", -3.2), r"below 0; given: -3.2; .*return math.exp\(score\)"),
        (("ein Hund", 12), "a score that is none; given: 12"),
        (("ein Hund", math.nan), "not a finite number"),
        (("a" * ((1 << 20) + 1), 0.5), "too long; given: 1048577 characters; allowed: up to 1048576"),
        ((1, 2, 3), "must answer otherwise"),
    ],
)
def test_every_wrong_text_is_named_in_one_line(answer: Any, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        read_outcome(answer)
    assert "\n" not in str(caught.value)
