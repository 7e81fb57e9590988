"""`premodel update` on a small profile."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from premodel.cli.main import main
from premodel.runtime.bundle import read_bundle, write_bundle
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Kept


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


def test_the_timings_are_of_the_kind_that_the_old_one_was_trained_on(
    profiled: Any, tmp_path: Path, capsys: Any
) -> None:
    old, sustained, new = tmp_path / "old.premodel", tmp_path / "sustained.premodel", tmp_path / "new.premodel"
    assert main(["train", str(profiled.store), "--policy", "single", "--out", str(old)]) == 0
    bundle = read_bundle(old)
    conditions = {**bundle.conditions, "timings": "sustained"}
    write_bundle(sustained, dataclasses.replace(bundle, conditions=conditions), folder=profiled.small.zoo.parent)
    capsys.readouterr()
    assert main(["update", str(sustained), str(profiled.store), "--out", str(new)]) == 2
    assert "the store holds no sustained latencies" in capsys.readouterr().err


def test_records_that_were_labelled_make_a_bundle(profiled: Any, tmp_path: Path, capsys: Any) -> None:
    old, new, records = (tmp_path / name for name in ("old.premodel", "new.premodel", "records.db"))
    assert main(["train", str(profiled.store), "--policy", "cascade", "--out", str(old)]) == 0
    capsys.readouterr()
    images = profiled.small.images
    with RecordStore(records, create=True) as store:
        store.adopt("image-classification", read_bundle(old).label_names)
        rows = [Kept(0.0, 0.5, image.read_bytes(), {"label": 0}) for image in images]
        numbers = store.add(store.begin_run(0.0, {}), rows)
        assert main(["update", str(old), str(records), "--out", str(new)]) == 2
        assert "no record has a label" in capsys.readouterr().err
        store.label({number: int(profiled.small.truth[row]) for row, number in enumerate(numbers[:55])})
    code = main(["update", str(old), str(records), "--out", str(new), "--json"])
    captured = capsys.readouterr()
    if code == 2:  # timings decide which candidates are worth their time: a refusal is one line
        assert captured.err.splitlines()[-1].startswith("premodel update: the new premodel is not packaged: ")
        assert not new.exists()
    else:
        report = json.loads(captured.out)
        assert (report["samples"], report["labelled"], report["update"]["comparison"]["samples"]) == (60, 55, 55)
        record = read_bundle(new).training_record
        assert record["training"]["update"]["labels"] == 55
        assert sum(record["reference"]["choices"].values()) == 60
    assert main(["update", str(old), str(profiled.store), "--out", str(new), "--limit", "5"]) == 2
    assert "--limit and --zoo are for records" in capsys.readouterr().err
