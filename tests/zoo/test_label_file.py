"""Label files."""

from __future__ import annotations

from pathlib import Path

import pytest

from premodel.errors import ZooError
from premodel.zoo.label_files import read_label_file


def test_line_i_names_label_i(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcrane\r\n Käfer \r\ncrane\r\n\r\n".encode())
    assert read_label_file(file) == ("crane", "Käfer", "crane")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a\n\nb\n", "empty line in the label file"),
        (b"a\n", r"too few labels; given: 1; allowed: 2 or more"),
        (b"", "too few labels; given: 0"),
        (b"\xff\xfea\n", "not UTF-8"),
    ],
)
def test_wrong_files(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(ZooError, match=reason):
        read_label_file(file)


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"absent\.txt: label file cannot be read"):
        read_label_file(tmp_path / "absent.txt")


def test_only_line_breaks_separate(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("a\u2028b\nc\x0bd\n", encoding="utf-8")
    assert read_label_file(file) == ("a\u2028b", "c\x0bd")
