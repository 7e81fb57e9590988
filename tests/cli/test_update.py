"""`premodel update` on a small profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from premodel.cli.main import main
from premodel.runtime.bundle import read_bundle


def test_it_writes_what_is_no_worse_and_says_so(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    old, new = tmp_path / "old.premodel", tmp_path / "new.premodel"
    assert main(["train", str(profiled.store), "--policy", "single", "--out", str(old)]) == 0
    capsys.readouterr()
    assert main(["update", str(old), str(profiled.store), "--out", str(new)]) == 0
    printed = capsys.readouterr().out
    assert "the new premodel (" in printed
    assert "the old one (" in printed
    assert f"wrote {new}" in printed
    assert "no accuracy difference shown" in str(read_bundle(new).training_record["test"])
    assert main(["update", str(old), str(profiled.store), "--out", str(new), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["policy"] == "single"
    assert report["update"]["comparison"]["samples"] == 60


def test_what_may_be_worse_is_not_written(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    old, new = tmp_path / "old.premodel", tmp_path / "new.premodel"
    store = str(profiled.store)
    assert main(["train", store, "--policy", "single", "--out", str(old)]) == 0
    capsys.readouterr()
    words = ["update", str(old), store, "--out", str(new)]
    assert main([*words, "--policy", "cascade", "--margin", "0"]) == 2
    errors = capsys.readouterr().err.splitlines()[-1]
    assert "the new premodel is not packaged: " in errors
    assert not new.exists()
    assert main([*words, "--margin", "-1"]) == 2
    assert "wrong margin; given: -1.0; allowed: points from 0 to 100" in capsys.readouterr().err
