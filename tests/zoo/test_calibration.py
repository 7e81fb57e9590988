"""The list of calibration samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from premodel.errors import ZooError
from premodel.zoo.calibration import calibration_text, read_calibration


def test_what_is_written_is_read(tmp_path: Path) -> None:
    samples = {"a" * 64: "photos/one two.png", "0" * 64: ""}
    file = tmp_path / "c.txt"
    file.write_text(calibration_text(samples))
    assert read_calibration(file) == samples


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"abc photo.png\n", "SHA-256"), (b"g" * 64, "SHA-256"), (b"\xff\xfe\xff", "UTF-8")],
)
def test_what_is_no_such_list_is_one_line(tmp_path: Path, content: bytes, what: str) -> None:
    file = tmp_path / "c.txt"
    file.write_bytes(content)
    with pytest.raises(ZooError, match=what) as caught:
        read_calibration(file)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="cannot be read"):
        read_calibration(tmp_path / "none.txt")
