"""`premodel label`: list what to label, add the truths."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from premodel.cli.main import main
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Kept


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "records.db"
    with RecordStore(path, create=True) as made:
        made.adopt("image-classification", ("cat", "dog"))
        inputs = [b"\x89PNG %d" % row for row in range(9)]
        made.add(made.begin_run(0.0, {}), [Kept(0.0, 0.5, data, {"label": 1}) for data in inputs])
    return path


def report(capsys: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_list_fill_in_add(store: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "to-label"
    assert main(["label", str(store), "--next", "4", "--out", str(folder), "--json"]) == 0
    assert report(capsys)["listed"] == 4
    with (folder / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["answer"] for row in rows] == ["dog"] * 4
    assert all((folder / row["path"]).read_bytes().startswith(b"\x89PNG") for row in rows)
    assert main(["label", str(store), str(folder / "labels.csv")]) == 2
    assert "no row has a label" in capsys.readouterr().err
    for row, label in zip(rows, ("cat", "1", "", "dog"), strict=True):
        row["label"] = label
    with (folder / "labels.csv").open("w", newline="", encoding="utf-16") as stream:  # as a spreadsheet may write it
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert main(["label", str(store), str(folder / "labels.csv")]) == 2
    assert "unknown label" in capsys.readouterr().err  # numbers and names in one list
    rows[1]["label"] = "Dog"
    with (folder / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert main(["label", str(store), str(folder / "labels.csv")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 records labelled\n9 records, 3 of them labelled, 1 drawn and not labelled yet; ")
    with RecordStore(store) as opened:
        truths = {one.record: one.truth for one in opened.records(labelled=True)}
    assert truths == {int(rows[0]["record"]): 0, int(rows[1]["record"]): 1, int(rows[3]["record"]): 1}
    assert main(["label", str(store), "--json"]) == 0
    assert report(capsys)["counts"]["labelled"] == 3


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("record,label\n1,bird\n", "unknown label"),
        ("record,label\n99,cat\n", "no such record; given: 99"),
        ("record,label\nx,cat\n", "record must be a number"),
        ("record,label\n1,cat\n1,dog\n", "a record has two labels"),
        ("path,label\n1,cat\n", "must have a column record"),
        ("", "must have a column record"),
    ],
)
def test_a_wrong_list(store: Path, tmp_path: Path, capsys: Any, text: str, match: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    assert main(["label", str(store), str(tmp_path / "labels.csv")]) == 2
    assert match in capsys.readouterr().err
    with RecordStore(store) as opened:
        assert opened.counts().labelled == 0


def test_wrong_options(store: Path, tmp_path: Path, capsys: Any) -> None:
    for words in (["--next", "3"], ["--out", "x"], ["--next", "0", "--out", "x"]):
        assert main(["label", str(store), *words]) == 2
    assert main(["label", str(tmp_path / "none.db")]) == 2
    assert "make it with: premodel serve --record STORE" in capsys.readouterr().err
