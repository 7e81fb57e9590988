"""`--seed` of every command."""

from __future__ import annotations

import pytest

from premodel.cli.main import main

COMMANDS = {
    "train": ["s.db", "--out", "x.premodel"],
    "evaluate": ["s.db"],
    "doctor": ["s.db"],
    "bench": ["x.premodel", "images"],
    "reproduce": ["s.db"],
    "profile": ["zoo.toml", "images"],
    "demo": [],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.5", "one"])
def test_a_seed_that_no_generator_takes_is_refused(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, *COMMANDS[command], f"--seed={seed}"])
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"--seed: wrong seed; given: {seed}; allowed: whole numbers from 0 to 4294967295" in last
