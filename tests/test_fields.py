"""Reading untrusted tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from premodel.errors import BundleError, InputError, ZooError
from premodel.fields import Fields, is_json, shown


def test_values_come_back() -> None:
    fields = Fields(
        {
            "text": "a",
            "name": "m.1",
            "texts": ["a", "b"],
            "count": 3,
            "share": 1,
            "mean": 0.5,
            "std": [1, 2, 3],
            "on": True,
            "digest": "AB" * 20,
            "inner": {"x": "y"},
            "list": [{"z": 1}],
        },
        "here",
    )
    assert fields.has("text")
    assert not fields.has("absent")
    assert (fields.text("text"), fields.name("name"), fields.texts("texts")) == ("a", "m.1", ("a", "b"))
    assert (fields.integer("count", 0, 3), fields.number("share", 0, 1)) == (3, 1.0)
    assert (fields.numbers("mean", 3), fields.numbers("std", 3)) == ((0.5,) * 3, (1.0, 2.0, 3.0))
    assert (fields.flag("on", False), fields.digest("digest", 40)) == (True, "ab" * 20)
    assert fields.table("inner").text("x") == "y"
    assert fields.tables("list") == [{"z": 1}]
    fields.done()


def test_defaults_for_what_is_absent() -> None:
    fields = Fields({}, "here")
    assert (fields.text("a", ""), fields.texts("b"), fields.integer("c", 1, 9, 2)) == ("", (), 2)
    assert (fields.numbers("d", 3), fields.flag("e", True), fields.digest("f", 4), fields.tables("g")) == (
        None,
        True,
        None,
        [],
    )
    fields.done()


@pytest.mark.parametrize(
    ("value", "read", "states"),
    [
        (" ", lambda fields: fields.text("f"), "wrong f; given: ' '; allowed: a non-empty string"),
        ("c", lambda fields: fields.text("f", allowed=("a", "b")), "wrong f; given: 'c'; allowed: a, b"),
        (float("nan"), lambda fields: fields.number("f", 0, 1), "wrong f; given: nan"),
        (0, lambda fields: fields.number("f", 0, 1), "allowed: a number above 0 and up to 1"),
        (4, lambda fields: fields.integer("f", 0, 3), "given: 4; allowed: a whole number from 0 to 3"),
        ([1, 2], lambda fields: fields.numbers("f", 3), "allowed: one number or a list of 3 numbers"),
        ([1, 2], lambda fields: fields.numbers("f", 1), "wrong f"),
        (0, lambda fields: fields.numbers("f", 3, positive=True), "positive numbers"),
        (1, lambda fields: fields.flag("f", False), "allowed: true, false"),
        ("xyz", lambda fields: fields.digest("f", 3), "allowed: 3 hexadecimal digits"),
        (3, lambda fields: fields.table("f"), "f is not a table; given: 3"),
        ({}, lambda fields: fields.tables("f"), "allowed: a list of tables"),
        ("y" * 200, lambda fields: fields.integer("f", 0, 1), r"given: 'y{76}\.\.\.;"),
    ],
)
@pytest.mark.parametrize("error", [ZooError, BundleError])
def test_mistakes_are_named(value: Any, read: Callable[[Fields], object], states: str, error: type[InputError]) -> None:
    with pytest.raises(error, match=states) as caught:
        read(Fields({"f": value}, "here", error))
    assert str(caught.value).startswith("here: ")


def test_missing_and_unknown_fields() -> None:
    with pytest.raises(ZooError, match=r"^here: inner\.f is missing$"):
        Fields({"inner": {}}, "here").table("inner").text("f")
    fields = Fields({"known": "a", "knwon": 2}, "here")
    fields.text("known")
    with pytest.raises(ZooError, match=r"^here: unknown field knwon; given: 2; allowed: known$"):
        fields.done()


def test_json_values() -> None:
    assert is_json({"a": [1, 2.5, "x", True, {"b": []}]})
    for value in (float("inf"), {1: "a"}, [object()], {"a": None}):
        assert not is_json(value)
    assert shown("a") == "'a'"
