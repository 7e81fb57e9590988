"""Digests of files, and files that are written whole or not at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import premodel
from premodel.errors import ModelError
from premodel.files import creating, file_git_blob_sha1, file_sha256, replacing, write_whole


@pytest.mark.parametrize(
    ("content", "sha256", "git"),
    [
        (
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        ),
        (
            b"hello\n",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ),
    ],
)
def test_known_digests(tmp_path: Path, content: bytes, sha256: str, git: str) -> None:
    file = tmp_path / "f"
    file.write_bytes(content)
    assert file_sha256(file) == sha256
    assert file_git_blob_sha1(file) == git


def test_unreadable_is_named(tmp_path: Path) -> None:
    for function in (file_sha256, file_git_blob_sha1):
        with pytest.raises(ModelError, match="gone"):
            function(tmp_path / "gone")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("name", ["f.txt", "x" * 255, "\N{GRINNING FACE}" * 60])
def test_a_new_file_takes_the_place_of_the_old_one(tmp_path: Path, name: str, durable: bool) -> None:
    file = tmp_path / name
    for content in (b"old", b"new"):
        write_whole(file, content, durable=durable)
        assert file.read_bytes() == content
        assert names(tmp_path) == [name]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    with replacing(file) as part:
        part.write_bytes(b"half")
        assert file.read_bytes() == b"old"
        assert all(name == "f" or name.startswith(".") for name in names(tmp_path))
    assert file.read_bytes() == b"half"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")

    def write() -> None:
        with replacing(file) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        write()
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "f", b"new")


def test_a_killed_write_leaves_only_a_hidden_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom premodel.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode != 0
    assert file.read_bytes() == b"old"
    (left,) = set(names(tmp_path)) - {"f"}
    assert left.startswith(".f.")
    assert left.endswith(".part")


def test_a_new_file_is_there_whole_or_not_at_all_and_never_takes_the_place_of_another(tmp_path: Path) -> None:
    file = tmp_path / "f"
    with creating(file) as part:
        part.write_bytes(b"first")
        assert not file.exists()
    with creating(file) as part:
        part.write_bytes(b"second")
    assert file.read_bytes() == b"first"

    def break_off() -> None:
        with creating(tmp_path / "g") as part:
            part.write_bytes(b"half")
            raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        break_off()
    assert names(tmp_path) == ["f"]


def test_on_a_disk_without_hard_links_a_new_file_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    with creating(tmp_path / "f") as part:
        part.write_bytes(b"new")
    assert (tmp_path / "f").read_bytes() == b"new"
    assert names(tmp_path) == ["f"]


def test_nothing_else_replaces_files_by_hand() -> None:
    """Two moves remain: a download that is resumed later, and a manifest that is kept under another name."""
    package = Path(premodel.__file__).parent
    moves = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "replace"
        and len(node.args) == 1
        and not node.keywords
    }
    assert moves == {"files.py", "zoo_tools/download.py", "zoo_tools/pull.py"}
