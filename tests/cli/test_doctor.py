"""`premodel doctor` on a small profile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from premodel.cli.main import main


def test_the_advice_comes_first(profiled: Any, capsys: Any) -> None:
    assert main(["doctor", str(profiled.store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    advice = lines[1 if lines[0].startswith("premodel is hardly worth it here: ") else 0]
    assert advice.startswith("use ")
    assert "60 samples, 3 candidates, top1" in lines
    assert main(["doctor", str(profiled.store), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["samples"] == data["used"] == 60
    assert [one["name"] for one in data["candidates"]] == list(profiled.small.names)


@pytest.mark.parametrize("words", [["absent.db"], ["--criterion", "top7", "absent.db"]])
def test_wrong_input_is_refused(words: list[str], capsys: Any) -> None:
    try:
        code = main(["doctor", *words])
    except SystemExit as refused:  # argparse itself
        code = int(str(refused.code))
    assert code == 2
    assert capsys.readouterr().err
