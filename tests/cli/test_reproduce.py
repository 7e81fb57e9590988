"""`premodel reproduce` on a small profile."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main
from text_models import make_translations

pytest.importorskip("bokeh", reason="the extra report is not installed")


def reproduce(store: Path, out: Path, *words: str) -> int:
    return main(["reproduce", str(store), "--out", str(out), "--folds", "2", *words])


def test_the_verdict_comes_first_and_the_files_are_there(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert reproduce(profiled.store, out) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("the paper's premodel (")
    assert lines[-1].startswith(f"wrote {out / 'reproduce.html'} (")
    data = json.loads((out / "reproduce.json").read_text())
    assert data["verdict"] == lines[0]
    assert all((out / name).is_file() for name in data["files"])
    assert "reproduce" in printed.err
    # once more over its own files, as one object
    assert reproduce(profiled.store, out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == data["samples"]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--folds", "1"], "too few folds"), (["--features", "0"], "wrong number of features to keep")],
)
def test_wrong_input_is_one_line(profiled: Any, tmp_path: Path, capsys: Any, words: list[str], said: str) -> None:
    assert reproduce(profiled.store, tmp_path / "out", *words) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_file_of_another_origin_is_kept(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "reproduce.html"
    page.write_text("mine")
    assert reproduce(profiled.store, tmp_path) == 2
    assert "of another origin" in capsys.readouterr().err
    assert page.read_text() == "mine"


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recorded translators on 50 sentences, profiled by the command."""
    folder = tmp_path_factory.mktemp("translated")
    make_translations(folder, 50)
    words = ["profile", folder / "zoo.toml", folder / "source.en", "--labels", folder / "reference.de"]
    words += ["--store", folder / "s.db", "--max-timing-seconds", "1", "--energy", "off"]
    assert main([str(word) for word in words]) == 0
    return folder / "s.db"


def test_the_study_of_translation_from_a_store(translated: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert reproduce(translated, out, "--study", "tecs19", "--criterion", "f1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the premodel of Marco et al. 2020, one naive Bayes over the candidates (")
    data = json.loads((out / "reproduce.json").read_text())
    assert (data["study"], data["criterion"], data["verdict"]) == ("tecs19", "f1", lines[0])
    assert all((out / name).is_file() for name in data["files"])
    page = (out / "reproduce.html").read_text()
    assert page.index(lines[0][:40].replace("'", "&#39;")) < page.index("<main>")
    with (out / "tables" / "pool-pool.csv").open() as file:
        rows = {row[""]: row for row in csv.DictReader(file)}
    # "all" loses one word of each sentence: its corpus BLEU is there, and no mean of the sentences'.
    assert 0 < float(rows["all"]["corpus BLEU"]) < 100
    assert rows["all"]["corpus BLEU"] != rows["all"]["BLEU"]
    assert rows["gnmt_8"]["whose"] == "its replication"


def test_a_study_for_other_answers_is_refused_in_one_line(
    profiled: Any, translated: Path, tmp_path: Path, capsys: Any
) -> None:
    for store, study, other in ((profiled.store, "tecs19", "lctes18"), (translated, "lctes18", "tecs19")):
        assert reproduce(store, tmp_path / "out", "--study", study) == 2
        errors = capsys.readouterr().err.strip().splitlines()
        assert len(errors) == 1
        assert f"study {study} must be given" in errors[0]
        assert f"--study {other}" in errors[0]
    assert reproduce(translated, tmp_path / "out", "--study", "tecs19", "--criterion", "top1") == 2
    assert "criterion must be one of study tecs19" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
