"""The reference: what it is read from, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from premodel.errors import BundleError
from premodel.runtime.reference import CONFIDENCE, PROBABILITY, Reference, answer_confidence, reference_of

REFERENCE = Reference({"a": 3, "": 1}, (0.5, 0.9), (1, 0, 2), PROBABILITY, {0: 1, 7: 2})


def test_it_is_read_as_it_was_written() -> None:
    record = json.loads(json.dumps({"reference": REFERENCE.to_json(), "other": 1}))
    assert reference_of(record, "b") == REFERENCE


def test_an_older_bundle_has_none() -> None:
    assert reference_of({"summary": []}, "b") is None


@pytest.mark.parametrize(
    "change",
    [
        {"choices": []},
        {"choices": {}},
        {"choices": {"a": 0}},
        {"choices": {"a": -1}},
        {"choices": {"a": 0.5}},
        {"choices": {"a": True}},
        {"confidence": []},
        {"confidence": [1, 2]},
        {"confidence": [1, 2, "3"]},
        {"confidence": [1] * 2000},
        {"edges": [0.9, 0.5]},
        {"edges": [0.5, 0.5]},
        {"edges": [0.5]},
        {"edges": ["a", "b"]},
        {"of": "entropy"},
        {"labels": [1]},
        {"labels": {"a": 1}},
        {"labels": {"-1": 1}},
        {"labels": {"1": -1}},
        {"other": 1},
    ],
)
def test_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"x\.premodel: .*training_record\.reference\.\w+"):
        reference_of({"reference": {**REFERENCE.to_json(), **change}}, "x.premodel")


def test_a_bundle_without_labels_is_read() -> None:
    written = REFERENCE.to_json()
    del written["of"], written["labels"]
    found = reference_of({"reference": written}, "b")
    assert found == Reference(REFERENCE.choices, REFERENCE.edges, REFERENCE.confidence)
    assert found.of == CONFIDENCE


def test_what_is_binned_is_the_probability_where_the_confidence_is_constant() -> None:
    assert REFERENCE.binned(0.25, 0.75) == 0.75
    assert Reference({"a": 1}, (), (1,)).binned(0.25, 0.75) == 0.25


def test_no_table_is_refused() -> None:
    with pytest.raises(BundleError, match=r"training_record\.reference"):
        reference_of({"reference": 1}, "x.premodel")


def test_confidence_is_the_confidence_or_else_the_probability() -> None:
    assert answer_confidence(0.25, 0.75) == 0.25
    assert answer_confidence(float("nan"), 0.75) == 0.75
