"""Digests of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from premodel.errors import ModelError
from premodel.files import file_git_blob_sha1, file_sha256


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
