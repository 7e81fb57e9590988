"""A command that is broken off states in one line what becomes of its work."""

from __future__ import annotations

from pathlib import Path

import pytest

from premodel.cli import doctor, profile, zoo
from premodel.cli.main import main
from premodel.store.runs import begin_run, end_run
from premodel.store.store import Store
from premodel.store.summary import summarise_store


@pytest.fixture
def broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes as soon as a command has begun."""

    def run(_args: object) -> int:
        raise KeyboardInterrupt

    for command in (doctor, profile, zoo):
        monkeypatch.setattr(command, "run", run)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("profile z d --store NEW", "premodel profile: interrupted; nothing was stored yet"),
        ("profile z d --store OLD", "premodel profile: interrupted; what was stored is kept"),
        ("profile z d --store sqlite:///s.db", "premodel profile: interrupted; what was stored is kept"),
        ("zoo pull edge --dest there", "premodel zoo: interrupted; what was stored is kept"),
        ("zoo list", "premodel zoo: interrupted"),
        ("doctor OLD", "premodel doctor: interrupted"),
    ],
)
def test_what_is_kept_is_said_only_where_something_is(
    broken_off: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    (tmp_path / "old.db").touch()
    named = words.replace("NEW", str(tmp_path / "new.db")).replace("OLD", str(tmp_path / "old.db"))
    assert main(named.split()) == 130
    assert capsys.readouterr().err == f"\n{line}\n"


def test_runs_that_were_broken_off_are_said_with_what_came_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.db"

    def said() -> str:
        assert main(["store", "info", str(path)]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    def begin() -> int:
        with Store(path, create=True) as store:
            return begin_run(store, {"started": "2026-11-28T12:00:00+00:00", "command": "profile", "conditions": "{}"})

    def end(run: int) -> None:
        with Store(path) as store:
            end_run(store, run, {"finished": "2026-11-28T12:01:00+00:00", "outcome": "{}"})

    begin()
    goes_on = "no run has reached its end since: the same command goes on where it stopped"
    assert said() == f"1 of 1 runs was broken off, and {goes_on}"
    end(begin())
    assert said() == "1 of 2 runs was broken off; a later run reached its end"
    begin()
    assert said() == f"2 of 3 runs were broken off, and {goes_on}"
    with Store(path) as store:
        assert not summarise_store(store).resumed
