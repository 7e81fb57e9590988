"""What a manifest entry states of a Python callable, read and completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from premodel.backends.python_answers import EVERY_OTHER
from premodel.backends.python_source import TARGET, TARGET_FORM, package_versions
from premodel.fields import Fields, is_text
from premodel.zoo.call import Call

MAX_MAPPED = 1 << 16
NAME = "call"
"""The table in which a store or bundle keeps it."""


def read_call(fields: Fields) -> Call:
    """Read what a manifest entry states, or the table that a store or bundle keeps.

    Raises
    ------
    ZooError, or the error class of `fields`
        A field is missing or wrong.
    """
    if not fields.has(NAME):
        target = _target(fields, "callable")
        label_map = _texts(fields, "label_map")
        return Call(target, fields.flag("factory", False), fields.flag("batch", False), label_map)
    table = fields.table(NAME)
    call = Call(
        _target(table, "target"),
        table.flag("factory", False),
        table.flag("batch", False),
        _texts(table, "label_map"),
        table.texts("labels"),
        _texts(table, "packages"),
    )
    table.done()
    return call


def completed(call: Call, labels: Sequence[str], file: Path, fields: Fields) -> Call:
    """The call with the labels of its zoo, and the packages that its source imports here.

    Raises
    ------
    ZooError
        The label map names what is no label.
    """
    wrong = [(said, name) for said, name in call.label_map.items() if name not in labels]
    if wrong and labels:
        said, name = wrong[0]
        raise fields.error(
            f"label_map maps {said!r} to what is no label", where=fields.where, given=name,
            allowed="a name of the zoo's labels", do=f"correct it, or map every other answer with {EVERY_OTHER!r}",
        )  # fmt: skip
    if call.label_map and not labels:
        raise fields.fail("label_map", "none: the answers are no labels")
    packages = package_versions(file, call.module) if file.is_file() else {}
    return Call(call.target, call.factory, call.batch, dict(call.label_map), tuple(labels), packages)


def _target(fields: Fields, name: str) -> str:
    target = fields.text(name)
    if not TARGET.fullmatch(target):
        raise fields.fail(name, TARGET_FORM)
    return target


def _texts(fields: Fields, name: str) -> Mapping[str, str]:
    """A table of texts."""
    value = fields.value(name, {})
    if not isinstance(value, Mapping) or len(value) > MAX_MAPPED or not all(map(_is_pair, value.items())):
        raise fields.fail(name, "a table of strings")
    return dict(value)


def _is_pair(pair: tuple[Any, Any]) -> bool:
    said, name = pair
    return isinstance(said, str) and isinstance(name, str) and bool(name) and is_text(said) and is_text(name)
