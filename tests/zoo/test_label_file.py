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
        (b"a\n\xffb\n", "not UTF-8"),
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


@pytest.mark.parametrize(
    "content",
    [
        "0 ant\n1 bee\n2 wild cat\n",
        "1: ant\n2: bee\n3: wild cat",
        "0,ant\r\n1,bee\r\n2,wild cat\r\n",
        "0\tant\n1\tbee\n2\twild cat\n",
        '["ant", "bee", "wild cat"]',
        '{"1": "bee", "0": "ant", "2": "wild cat"}',
    ],
)
def test_numbers_that_count_the_lines_and_json(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(content)
    assert read_label_file(file) == ("ant", "bee", "wild cat")


@pytest.mark.parametrize(
    "content",
    ["0 ant\n2 bee\n", "0 ant\nbee\n", "1\n2\n", "2 wheels\n3 wheels\n", "[ant\nbee]\n", '{"0": 1, "1": 2}\n"'],
)
def test_lines_that_begin_with_other_numbers_are_kept_whole(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(content)
    assert read_label_file(file) == tuple(content.rstrip("\n").split("\n"))
