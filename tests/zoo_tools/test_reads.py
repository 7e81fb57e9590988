"""Which files code reads: those that Python opens for reading, while somebody watches."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import pytest

from premodel.zoo_tools.reads import files_read, read_beneath


def test_files_that_are_opened_for_reading_are_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("before.bin", "a.pickle", "deep/b.bin", "as_bytes.bin", "code.py", "after.bin"):
        (tmp_path / name).write_bytes(pickle.dumps(1))
    (tmp_path / "before.bin").read_bytes()
    with files_read() as found:
        with (tmp_path / "a.pickle").open("rb") as stream:
            pickle.load(stream)
        (tmp_path / "deep" / ".." / "deep" / "b.bin").read_bytes()
        with open(os.fsencode(tmp_path / "as_bytes.bin"), "rb") as stream:  # noqa: PTH123 - as bytes
            stream.read()
        (tmp_path / "code.py").read_bytes()
        (tmp_path / "written.bin").write_bytes(b"")
    (tmp_path / "after.bin").read_bytes()
    assert [one.as_posix() for one in read_beneath(found, tmp_path)] == ["a.pickle", "as_bytes.bin", "deep/b.bin"]


def test_files_of_other_folders_and_those_that_are_gone_are_left_out(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for file in (tmp_path / "outside.bin", inside / "gone.bin", inside / "kept.bin"):
        file.write_bytes(b"x")
    with files_read() as found:
        for file in (tmp_path / "outside.bin", inside / "gone.bin", inside / "kept.bin"):
            file.read_bytes()
    (inside / "gone.bin").unlink()
    assert read_beneath(found, inside) == [Path("kept.bin")]


def test_what_an_installed_package_reads_of_its_own_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment often lies in the folder of the project; the version of a package tells its files."""
    packages = tmp_path / ".venv" / "lib" / "python3" / "site-packages"
    (packages / "langs").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    files = (packages / "langs" / "model.xz", packages / "entry_points.txt", tmp_path / "pipeline.pickle")
    for file in files:
        file.write_bytes(b"x")
    with files_read() as found:
        for file in files:
            file.read_bytes()
    assert read_beneath(found, tmp_path) == [Path("pipeline.pickle")]


def test_code_that_lies_among_installed_packages_itself_has_its_files_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    (packages / "mine").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    (packages / "mine" / "model.bin").write_bytes(b"x")
    with files_read() as found:
        (packages / "mine" / "model.bin").read_bytes()
    assert read_beneath(found, packages / "mine") == [Path("model.bin")]


def test_each_watcher_sees_what_was_read_in_its_own_time(tmp_path: Path) -> None:
    for name in ("one.bin", "two.bin"):
        (tmp_path / name).write_bytes(b"x")
    with files_read() as outer:
        (tmp_path / "one.bin").read_bytes()
        with files_read() as inner:
            (tmp_path / "two.bin").read_bytes()
    assert read_beneath(outer, tmp_path) == [Path("one.bin"), Path("two.bin")]
    assert read_beneath(inner, tmp_path) == [Path("two.bin")]
