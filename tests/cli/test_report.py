"""`premodel report` on a small profile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main

pytest.importorskip("bokeh", reason="the extra report is not installed")


def report(store: Path, out: Path, *words: object) -> int:
    return main(["report", str(store), "--out", str(out), "--folds", "3", *(str(word) for word in words)])


def test_the_page_is_written_and_its_verdict_printed(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "report.html"
    assert report(profiled.store, out, "--policy", "paper", "--policy", "single") == 0
    printed = capsys.readouterr().out.splitlines()
    html = out.read_text()
    assert "peer" in printed[1]
    assert printed[2] == f"wrote {out} ({len(html.encode()):,} bytes)"
    assert "data:image/jpeg" in html, "the images are where they were"
    assert "the number of candidates that are wrong" in html
    assert "the best single candidate m" in printed[0]
    assert "choice per input" not in printed[0], "one candidate alone makes none"


def test_json_is_the_evaluation_and_where_the_page_is(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert report(profiled.store, tmp_path / "r.html", "--policy", "single", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(tmp_path / "r.html")
    assert found["bytes"] == (tmp_path / "r.html").stat().st_size
    assert {row["kind"] for row in found["rows"]} == {"single", "baseline", "premodel"}


def test_images_that_are_gone_or_changed_are_left_out_with_a_word(
    profiled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "profile.db"
    shutil.copy(profiled.store, store)
    folder, aside = profiled.small.data, profiled.small.data.with_name("aside")
    folder.rename(aside)
    try:
        shutil.copytree(aside, folder)
        for image in (folder / "images").iterdir():
            image.write_bytes(image.read_bytes() + b"changed")
        assert report(store, tmp_path / "r.html", "--policy", "single") == 0
    finally:
        shutil.rmtree(folder)
        aside.rename(folder)
    html = (tmp_path / "r.html").read_text()
    assert "data:image/jpeg" not in html
    assert "were not found where they were" in html


@pytest.mark.parametrize(
    ("words", "said"), [(["--folds", "1"], "too few folds"), (["--min-accuracy", "much"], "wrong min-accuracy")]
)
def test_wrong_input_is_one_line(profiled: Any, tmp_path: Path, capsys: Any, words: list[str], said: str) -> None:
    assert report(profiled.store, tmp_path / "r.html", *words) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    assert report(profiled.store, tmp_path / "absent" / "r.html") == 2
    assert "cannot be written there" in capsys.readouterr().err
