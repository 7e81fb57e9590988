"""The documentation: its Python runs, its links and its navigation lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from reader import make_reader

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def test_python_of_extending_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "extending.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    make_reader(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "extending.md", "exec"), names)
    evaluated, redness, colours = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d+\.\d % in \d+\.\d\d ms: .+", evaluated)
    assert redness == "(200.0,)"
    assert colours == "[[7. 7. 7.]]"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).is_file(), target


def test_the_navigation_names_pages_that_there_are() -> None:
    listed = re.findall(r": (\S+\.md)$", (DOCS / ".nav.yml").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed)) >= 10
    assert set(listed) <= {page.name for page in PAGES}
    assert 'glob: "*"' in (DOCS / ".nav.yml").read_text()  # where the others come


def test_the_reference_names_what_there_is() -> None:
    text = (DOCS / "api.md").read_text()
    for name, members in re.findall(r"^::: (\S+)(?:\n    options:\n      members: (\[.*\]))?", text, re.MULTILINE):
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, last = name.rpartition(".")
            found = getattr(importlib.import_module(module), last)
        for member in ast.literal_eval(re.sub(r"(\w+)", r"'\1'", members)) if members else ():
            assert hasattr(found, member), f"{name}.{member}"
