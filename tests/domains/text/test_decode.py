"""What is a text, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from premodel.domains.registry import domain_of
from premodel.domains.text.decode import MAX_BYTES
from premodel.errors import SampleError

DOMAIN = domain_of("text-classification")


def refuse(match: str, source: object) -> None:
    with pytest.raises(SampleError, match=match) as caught:
        DOMAIN.decode(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_reads_a_str_bytes_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_bytes(b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\r\n")
    for source in ("Grüße", "Grüße\n", "Grüße".encode(), file, bytearray("Grüße", "utf-8")):
        assert DOMAIN.decode(source) == "Grüße"
    assert DOMAIN.decode("one.txt") == "one.txt"  # a str is the text, not the name of a file
    assert DOMAIN.size("Grüße") == {"characters": 5, "bytes": 7}


def test_names_line_and_byte_of_what_is_not_utf_8() -> None:
    refuse(r"must be UTF-8; given: byte 0xe9, line 2, byte 4 of the line", b"one\ncaf\xe9 noir\n")


@pytest.mark.parametrize("blank", ["", " \t\n ", b"", b"\n", "\u3000"])
def test_refuses_a_text_of_white_space_alone(blank: str | bytes) -> None:
    refuse("more than white space", blank)


def test_refuses_half_of_a_surrogate_pair() -> None:
    refuse(r"surrogate pair; given: U\+D800, character 3", "ab\ud800c")
    refuse("UTF-8", "ab\ud800c".encode("utf-8", "surrogatepass"))


def test_refuses_what_is_too_long_and_takes_what_is_just_not() -> None:
    refuse(f"too long; given: {MAX_BYTES + 1} bytes", "x" * (MAX_BYTES + 1))
    assert len(DOMAIN.decode("x" * MAX_BYTES)) == MAX_BYTES
    with pytest.raises(SampleError, match=r"text 3.*too long"):
        DOMAIN.check_encoded(b"x" * (MAX_BYTES + 1), 1, "text 3")


def test_refuses_other_types_and_files_that_are_not_there(tmp_path: Path) -> None:
    refuse("must be a str, bytes or a Path; given: int", 3)
    refuse(re.escape(str(tmp_path / "none.txt")), tmp_path / "none.txt")


def test_keeps_zero_characters_and_mixed_direction() -> None:
    for text in ("a\0b", "abc \u202e\u05e9\u05dc\u05d5\u05dd\u202c def", "e\u0301", "👩‍👩‍👧"):
        assert DOMAIN.decode(text) == text
