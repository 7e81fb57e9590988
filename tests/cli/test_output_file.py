from __future__ import annotations

import os
from pathlib import Path

import pytest

from premodel.cli.common import output_file
from premodel.errors import OptionError


def test_a_new_file_and_one_to_replace(tmp_path: Path) -> None:
    new = tmp_path / "new.html"
    assert output_file(str(new), "report") == new
    new.write_text("old")
    assert output_file(str(new), "report") == new


@pytest.mark.parametrize("name", ["", "absent/new.html"])
def test_a_folder_or_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="the report cannot be written there"):
        output_file(str(tmp_path / name), "report")


def test_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answer is that of another user."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(OptionError, match="for want of permission"):
        output_file(str(tmp_path / "new.html"), "report")
