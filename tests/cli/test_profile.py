"""`premodel profile` and `premodel store` as the user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from premodel.cli.main import main
from premodel.evaluation.degenerate import degenerate_cases
from premodel.training.load import load_tables
from zoos import SmallZoo, write_zoo


@pytest.fixture
def small(tmp_path: Path) -> SmallZoo:
    correct = np.zeros((10, 2), bool)
    correct[:7, 0] = correct[2:, 1] = True
    return write_zoo(tmp_path / "zoo", correct=correct)


def words(small: SmallZoo, *more: str) -> list[str]:
    return ["profile", str(small.zoo), str(small.data), "--labels", str(small.labels), *more]


def test_profile_and_info(small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "s.db")
    small.images[9].write_bytes(b"")
    assert main(words(small, "--store", store, "--max-timing-seconds", "0.3")) == 0
    shown = capsys.readouterr()
    assert "1 of 10 images could not be read:" in shown.err
    assert "images/00009.png" in shown.err
    lines = {line.split()[0]: line.split() for line in shown.out.splitlines()}
    assert lines["m0"][1:4] == ["9", "0", "77.78"]
    assert lines["m1"][1:4] == ["9", "0", "77.78"]
    assert "9 samples, 1 unreadable, 6 labels, features of version 1@16: 9" in shown.out
    assert main(["store", "info", store]) == 0
    assert capsys.readouterr().out == shown.out
    assert main(["store", "info", store, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in info["candidates"]] == ["m0", "m1"]
    assert info["candidates"][0]["top1"] == pytest.approx(7 / 9)
    assert info["unreadable_first"][0]["name"] == "images/00009.png"
    assert (info["runs"], info["unfinished_runs"]) == (1, 0)


def test_why_a_candidate_failed_is_said_once_by_every_command(
    small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, why = str(tmp_path / "s.db"), "output holds NaN or infinite numbers"
    probabilities = small.probabilities.copy()
    probabilities[:3, 1] = np.nan
    some = write_zoo(small.zoo.parent, probabilities, truth=small.truth)
    assert main(words(some, "--store", store, "--max-timing-seconds", "0.3", "--energy", "off")) == 0
    line = f"m1: failed on 3 of 10 samples, most often: {why}"
    assert [one for one in capsys.readouterr().out.splitlines() if why in one] == [line]
    assert main(["store", "info", store]) == 0
    assert line in capsys.readouterr().out.splitlines()
    tables = load_tables(store)
    assert tables.failures == {"m1": why}
    assert [one for one in degenerate_cases(tables, "top1") if "failed on" in one] == [
        "m1 failed on 30.0 % of the samples; they count as wrong answers, unless another candidate of a premodel "
        f"answers them; most often: {why}"
    ]
    assert why not in json.dumps(tables.conditions), "it may name files, and a bundle holds the conditions"


def test_json_is_one_object(small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--store", str(tmp_path / "s.db"), "--only", "predictions", "--limit", "6", "--json"]
    assert main(words(small, *options)) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["rows"], first["samples"], first["unreadable"], first["duplicates"]) == (6, 6, [], [])
    repeated = first["predictions"].pop("repeated")
    assert list(repeated.values()) == [[0, 5], [0, 5]]
    assert first["predictions"] == {"new": 12, "kept": 0, "failed": {}}
    assert first["timings"] is first["features"] is None
    assert {one["name"]: one["predictions"] for one in first["candidates"]} == {"m0": 6, "m1": 6}
    assert main(words(small, *options)) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["predictions"] == {"new": 0, "kept": 12, "failed": {}, "repeated": {}}
    assert second["run"] == 2


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--store", "none/s.db"], "the folder of the store is not there"),
        (["--store", "s.db", "--limit", "0"], "wrong limit; given: 0; allowed: 1 or more"),
        (["--store", "s.db", "--labels", "none.csv"], "none.csv: not there"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(
    small: SmallZoo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words(small, *more)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("premodel profile: ")
    assert line in shown.err
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "s.db").exists()


def test_a_bad_label_names_file_and_row(small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with small.labels.open("a") as stream:
        stream.write("images/00000.png,77\n")
    assert main(words(small, "--store", str(tmp_path / "s.db"))) == 2
    assert "labels.csv, line 12: unknown label; given: '77'; allowed: 0 to 5" in capsys.readouterr().err


def test_a_missing_model_is_named(small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small.zoo.parent / "models" / "m1.npz").unlink()
    assert main(words(small, "--store", str(tmp_path / "s.db"))) == 2
    assert "models/m1.npz: model file of m1 is missing" in capsys.readouterr().err


def test_store_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    assert main(["store", "info", str(tmp_path / "text.db")]) == 2
    assert "file is not a database" in capsys.readouterr().err
    assert main(["store", "info", str(tmp_path / "none.db")]) == 2
    assert "store must exist" in capsys.readouterr().err


def test_export(small: SmallZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "s.db")
    assert main(words(small, "--store", store, "--only", "predictions")) == 0
    capsys.readouterr()
    assert main(["store", "export", store, "--to", str(tmp_path / "p.csv")]) == 0
    assert capsys.readouterr().out == f"10 rows written to {tmp_path / 'p.csv'}\n"
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 11
    assert main(["store", "export", store, "--to", str(tmp_path / "p.xls"), "--json"]) == 2


@pytest.mark.parametrize("words", [["profile"], ["store", "info"], ["store", "export"]])
def test_help_has_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0
    assert "example" in capsys.readouterr().out


def test_the_main_job_on_some_images(imagenet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    labels = str(imagenet / "labels.csv")
    words = [
        "profile",
        str(imagenet / "zoo.toml"),
        str(imagenet),
        "--labels",
        labels,
        "--store",
        str(tmp_path / "s.db"),
    ]
    assert main([*words, "--limit", "60", "--only", "predictions", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["predictions"]["new"] == 360
    top1 = {one["name"]: one["top1"] for one in found["candidates"]}
    # 60 images tell little (5 points of standard error), but a wrong crop, label offset or channel order costs more.
    assert top1["mobilenet_v2_100_224"] > 0.65
    assert top1["squeezenet_11_224"] > 0.45
    assert top1["mobilenet_v1_025_128"] > 0.35
