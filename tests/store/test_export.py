"""Exports hold what the store holds."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from premodel.errors import OptionError, StoreError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.export import export
from premodel.store.rows import merge
from premodel.store.schema import METADATA
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.training.tables import Tables
from premodel.zoo.manifest import read_zoo
from zoos import write_zoo


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(6), (7, 2))
    probabilities[3, 1] = np.nan
    small = write_zoo(folder, probabilities)
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    profile(zoo, dataset, folder / "s.db", ProfileOptions(max_timing_seconds=0.3))
    return folder / "s.db"


def whole(store: Path) -> dict[str, list[Any]]:
    with Store(store) as opened, opened.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
            if table.name != "premodel_store"
        }


def run(store: Path, to: str) -> int:
    with Store(store) as opened:
        return export(opened, to)


def check_row(row: dict[str, Any], tables: Tables, i: int) -> None:
    assert row["sample"] == tables.samples[i]
    assert int(row["label"]) == tables.truth[i]
    assert row["label_name"] == tables.label_names[tables.truth[i]]
    for f, name in enumerate(tables.feature_names):
        assert float(row[name]) == pytest.approx(float(tables.features[i, f]), rel=1e-6)


def test_parquet(store: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run(store, str(tmp_path / "p.parquet")) == 7
    table = parquet.read_table(tmp_path / "p.parquet")
    tables = load_tables(store)
    for i, row in enumerate(table.to_pylist()):
        check_row(row, tables, i)
        for j, name in enumerate(tables.candidates):
            if tables.prediction(i, j) is None:
                assert row[f"{name}.rank"] is row[f"{name}.labels"] is row[f"{name}.entropy"] is None
            else:
                assert row[f"{name}.rank"] == tables.rank[i, j]
                assert row[f"{name}.labels"] == tables.top_labels[i, j].tolist()
                np.testing.assert_array_equal(np.float32(row[f"{name}.probabilities"]), tables.top_probabilities[i, j])
                assert row[f"{name}.latency_ms"] > 0
    summary = json.loads(table.schema.metadata[b"premodel"])
    assert [one["name"] for one in summary["candidates"]] == list(tables.candidates)
    assert summary["candidates"][0]["latency_ms"] == tables.latency_ms[0]


def test_csv(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("what was there before")
    assert run(store, str(file)) == 7
    tables = load_tables(store)
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7
    for i, row in enumerate(rows):
        check_row(row, tables, i)
        for j, name in enumerate(tables.candidates):
            if tables.prediction(i, j) is None:
                assert row[f"{name}.label"] == row[f"{name}.probability"] == ""
            else:
                assert int(row[f"{name}.label"]) == tables.top_labels[i, j, 0]
                assert float(row[f"{name}.probability"]) == pytest.approx(float(tables.top_probabilities[i, j, 0]))
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("form", ["{}/copy.db", "sqlite:///{}/copy.db"])
def test_a_copy_is_the_same_store(store: Path, tmp_path: Path, form: str) -> None:
    for _ in range(2):  # a second copy over the first changes nothing
        count = run(store, form.format(tmp_path))
        assert whole(tmp_path / "copy.db") == whole(store)
    assert count == sum(len(rows) for rows in whole(store).values()) + 1  # and the number of OpenCV's threads
    one, two = load_tables(store), load_tables(tmp_path / "copy.db")
    assert one.samples == two.samples
    np.testing.assert_array_equal(one.latency_ms, two.latency_ms)


def test_what_cannot_be_exported(store: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"unknown kind of export; given: p.txt; allowed: .parquet, .csv"):
        run(store, "p.txt")
    with pytest.raises(StoreError, match="cannot be exported to itself"):
        run(store, str(store))
    with pytest.raises(StoreError, match="the export cannot be written: No such file or directory"):
        run(store, str(tmp_path / "none" / "p.csv"))
    small = write_zoo(tmp_path / "zoo", np.random.default_rng(0).dirichlet(np.ones(5), (3, 1)))
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    profile(zoo, dataset, tmp_path / "other.db", ProfileOptions(passes=("predictions",)))
    before = whole(tmp_path / "other.db")
    with pytest.raises(StoreError, match="the target belongs to another list of labels"):
        run(store, str(tmp_path / "other.db"))
    assert whole(tmp_path / "other.db") == before


def test_an_export_to_a_store_that_ends_early_leaves_nothing_and_changes_nothing(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy" / "t.db"
    target.parent.mkdir()
    with Store(store) as opened:
        export(opened, str(target))
        before = target.read_bytes()
        left = 3

        def fail(*rows: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt
            merge(*rows)  # type: ignore[arg-type]

        monkeypatch.setattr("premodel.store.export.merge", fail)
        with pytest.raises(KeyboardInterrupt):
            export(opened, str(target))
        assert sorted(path.name for path in target.parent.iterdir()) == ["t.db"]
        assert target.read_bytes() == before
        left = 3
        with pytest.raises(KeyboardInterrupt):
            export(opened, str(target.with_name("new.db")))
    assert not [path for path in target.parent.iterdir() if path.name.startswith("new") or path.suffix == ".part"]
