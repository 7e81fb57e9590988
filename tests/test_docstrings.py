"""Examples in docstrings run as they are written, in a folder like that of a reader who has profiled and trained."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import premodel
from reader import make_reader

PACKAGE = Path(premodel.__file__).parent
MIN_EXAMPLES = 50
"""Examples that ran when this was written, less a few: a docstring that loses its examples is noticed."""


def module_names() -> list[str]:
    files = (file for file in PACKAGE.rglob("*.py") if file.name != "__main__.py")
    parts = sorted(file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files)
    return [".".join(one).removesuffix(".__init__") for one in parts]


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    make_reader(tmp_path)
    monkeypatch.chdir(tmp_path)
    ran = failed = 0
    for name in module_names():
        result = doctest.testmod(importlib.import_module(name))
        ran, failed = ran + result.attempted, failed + result.failed
    assert failed == 0, capsys.readouterr().out
    assert ran >= MIN_EXAMPLES


def test_a_wrong_example_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda _: None).failed == 1
