"""What a callable is made of is found without importing it."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from premodel.backends.python_source import check_packages, find_module, module_of, package_versions, sibling_files
from premodel.errors import ModelError

BOMB = "raise SystemExit('imported')\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the path whose every module ends the process when it is imported."""
    package = tmp_path / "site" / "bombs" / "inner"
    package.mkdir(parents=True)
    for file in (package / "__init__.py", package / "mod.py", package.parent / "__init__.py"):
        file.write_text(BOMB)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path


def test_a_target_names_a_module_or_a_file() -> None:
    assert module_of("a.b:c") == "a.b"
    assert module_of("sub/a.py:c") is None


def test_a_module_is_found_without_importing_it_or_its_package(folder: Path) -> None:
    assert find_module("bombs.inner.mod") == folder / "site" / "bombs" / "inner" / "mod.py"
    assert find_module("bombs") == folder / "site" / "bombs" / "__init__.py"
    assert not [name for name in sys.modules if name.startswith("bombs")]


@pytest.mark.parametrize("name", ["bombs.absent", "bombs.inner.mod.deeper", "no_such_package", "sys"])
def test_what_has_no_source_is_not_found(folder: Path, name: str) -> None:
    assert find_module(name) is None


def test_siblings_are_followed_through_one_another(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import json, one\n")
    (tmp_path / "one.py").write_text("def f():\n    from two import g\n    import main\n")
    (tmp_path / "two.py").write_text(BOMB)
    (tmp_path / "json.py").write_text(BOMB)
    (tmp_path / "three.py").write_text(BOMB)
    assert sibling_files(tmp_path / "main.py") == ("one.py", "two.py")


def test_a_module_of_a_package_has_no_siblings(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "main.py").write_text("import one\n")
    (tmp_path / "one.py").write_text("")
    assert sibling_files(tmp_path / "main.py") == ()


def test_versions_of_what_is_imported_are_noted(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text("import os\nimport numpy, helper\ndef f():\n    import pytest\n    import not_installed_here\n")
    (tmp_path / "helper.py").write_text("import yaml_like_absent\nimport packaging.version\n")
    assert package_versions(file, None) == {name: metadata.version(name) for name in ("pytest", "packaging")}


def test_a_package_without_a_version_is_known_by_its_sources(folder: Path) -> None:
    place = folder / "site" / "bombs" / "inner" / "mod.py"
    before = package_versions(place, "bombs.inner.mod")
    assert list(before) == ["bombs"]
    (place.parent / "__init__.py").write_text(BOMB + "# changed\n")
    after = package_versions(place, "bombs.inner.mod")
    assert before != after
    with pytest.raises(ModelError, match=r"was profiled with bombs source .*; given: source .*; allowed: source"):
        check_packages(before, "bombs.inner.mod:f", place)
    check_packages(after, "bombs.inner.mod:f", place)
    assert not [name for name in sys.modules if name.startswith("bombs")]


def test_another_version_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"given: \d.*; allowed: 0\.0\.1; .*pip install pytest==0\.0\.1"):
        check_packages({"pytest": "0.0.1"}, "a.py:f", tmp_path)
    with pytest.raises(ModelError, match=r"given: not installed; allowed: 2\.0"):
        check_packages({"no_such_package": "2.0"}, "a.py:f", tmp_path)


@pytest.mark.parametrize("source", [b"\x00\x01", b"def f(:\n", b"(" * 5000, "é".encode("latin-1")])
def test_what_is_no_source_imports_nothing(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "main.py").write_bytes(source)
    assert package_versions(tmp_path / "main.py", None) == {}
    assert sibling_files(tmp_path / "main.py") == ()
