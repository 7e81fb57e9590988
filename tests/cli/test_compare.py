"""`premodel compare` on a small zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from premodel.cli.main import main


def test_lines_and_json(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    old, new = tmp_path / "old.premodel", tmp_path / "new.premodel"
    assert main(["train", str(profiled.store), "--policy", "single", "--out", str(old)]) == 0
    assert main(["train", str(profiled.store), "--policy", "single", "--cost-weight", "1", "--out", str(new)]) == 0
    words = ["compare", str(old), str(new), str(profiled.small.data), "--labels", str(profiled.small.labels), "--quick"]
    capsys.readouterr()
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("new (")
    assert " old (" in lines[0]
    assert lines[2].startswith("50 images, top1, 1 passes, ")
    assert lines[3].startswith("right in new alone: ")
    assert [line.split()[0] for line in lines[4:6]] == ["old", "new"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["comparison"]["speedup"] == report["first"]["latency_ms"] / report["second"]["latency_ms"]
    assert report["comparison"]["samples"] == report["samples"] == 50
    assert report["first"]["policy"] == report["second"]["policy"] == "single"
    assert report["headline"].startswith("new (")
    assert report["conditions"]["device"]
    assert main(["compare", str(old), str(tmp_path / "absent.premodel"), str(profiled.small.data)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
