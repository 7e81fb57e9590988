"""The documentation: its Python runs, its links and its navigation lead somewhere."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from premodel.backends.registry import BACKENDS, EXPORTED_RUNTIMES
from premodel.training.policies.registry import TRAINERS
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


def first_words(page: Path) -> set[str]:
    """The words in code style that begin a row of a table."""
    rows = re.findall(r"^ *\| (`[^|]*)\|", page.read_text(), re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_policy_that_can_be_trained_is_described() -> None:
    assert set(TRAINERS) <= first_words(DOCS / "policies.md")
    (row,) = re.findall(r"^\| `premodel train` \|.*", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert set(TRAINERS) <= set(re.findall(r"`([^`]+)`", row))


def test_every_runtime_that_a_manifest_may_name_is_described() -> None:
    assert set(BACKENDS) - set(EXPORTED_RUNTIMES) <= first_words(DOCS / "manifest.md")


def test_every_folder_and_file_that_contributing_names_is_there() -> None:
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| a ")]
    assert len(rows) >= 8
    for path in re.findall(r"`((?:src|tests)/[\w/.]+)`", "\n".join(rows)):
        assert (ROOT / path).exists() or (path.endswith("/NAME.py") and (ROOT / path).parent.is_dir()), path


def test_what_is_installed_is_a_checkout() -> None:
    """Another project has the name in the package index: `pip install premodel` would bring that."""
    for page in (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        found = re.findall(r"pip install [^#`\n]*", page.read_text())
        wrong = [
            line for line in found for word in line.replace("'", " ").split() if re.match(r"premodel\b(?!/)", word)
        ]
        assert not wrong, (page.name, wrong)


def test_python_of_texts_makes_and_loads_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn", reason="the lab extra is not installed")
    fit, models, *_ = re.findall(r"^```python\n(.*?)^```", (DOCS / "texts.md").read_text(), re.MULTILINE | re.DOTALL)
    rows = ["text,label", *["ein Hund und ein Ball,de", "a dog and a ball,en"] * 5]
    (tmp_path / "train.csv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(fit, "fit.py", "exec"), {})
    names: dict[str, Any] = {"__file__": str(tmp_path / "my_models.py"), "__name__": "my_models"}
    exec(compile(models, "my_models.py", "exec"), names)
    said = names["Pipeline"]()("ein Ball")
    assert max(said, key=said.get) == "de"
    assert {"Pipeline", "Langid"} <= set(names)
