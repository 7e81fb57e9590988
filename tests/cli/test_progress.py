"""Progress is shown on stderr and never on stdout."""

from __future__ import annotations

import pytest

from premodel.cli.common import TerminalProgress


def test_passes_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress()
    progress.begin("predicting", 10, "predictions")
    progress.advance(4)
    progress.note("something to know")
    progress.advance(6)
    progress.end()
    progress.end()
    progress.advance()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "predicting: 100%" in shown.err
    assert "10/10" in shown.err
    assert "predictions/s" in shown.err
    assert "something to know\n" in shown.err
