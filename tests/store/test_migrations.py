"""A store of an older schema version, made from its own tables, is brought to the present one when it is opened."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from premodel.errors import StoreError
from premodel.store import engines as engines_module
from premodel.store.features import read_extractor, read_features, read_vectors
from premodel.store.groups import group_key
from premodel.store.schema import EXTRACTORS, FEATURES
from premodel.store.store import Store
from premodel.store.summary import summarise_store

VERSION_1 = """
CREATE TABLE premodel_store (name VARCHAR(32) NOT NULL, value VARCHAR(255) NOT NULL, PRIMARY KEY (name));
CREATE TABLE labels (label INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (label));
CREATE TABLE candidates (
    timing_key CHAR(64) NOT NULL, name VARCHAR(255) NOT NULL, position INTEGER, prediction_key CHAR(64) NOT NULL,
    network CHAR(64) NOT NULL, manifest TEXT NOT NULL, PRIMARY KEY (timing_key, name)
);
CREATE TABLE samples (
    sample CHAR(64) NOT NULL, label INTEGER NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL,
    status VARCHAR(16) NOT NULL, reason TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    PRIMARY KEY (sample)
) WITHOUT ROWID;
CREATE TABLE predictions (
    prediction_key CHAR(64) NOT NULL, sample CHAR(64) NOT NULL, truth INTEGER NOT NULL, truth_rank INTEGER NOT NULL,
    status VARCHAR(8) NOT NULL, reason TEXT NOT NULL, entropy DOUBLE, latency_ms DOUBLE, labels BLOB,
    probabilities BLOB, PRIMARY KEY (prediction_key, sample)
) WITHOUT ROWID;
CREATE TABLE timings (
    device VARCHAR(128) NOT NULL, subject VARCHAR(64) NOT NULL, count INTEGER NOT NULL, mean_ms DOUBLE,
    median_ms DOUBLE, p90_ms DOUBLE, p99_ms DOUBLE, ci_low_ms DOUBLE, ci_high_ms DOUBLE, valid BOOLEAN NOT NULL,
    reason TEXT NOT NULL, preprocess_mean_ms DOUBLE, load_ms DOUBLE, memory_mb DOUBLE, energy_mj DOUBLE,
    run INTEGER NOT NULL, samples_ms BLOB, PRIMARY KEY (device, subject)
);
CREATE TABLE extractors (version VARCHAR(64) NOT NULL, names TEXT NOT NULL, needs TEXT NOT NULL, PRIMARY KEY (version));
CREATE TABLE features (
    version VARCHAR(64) NOT NULL, sample CHAR(64) NOT NULL, vector BLOB, PRIMARY KEY (version, sample)
) WITHOUT ROWID;
CREATE TABLE feature_costs (
    device VARCHAR(128) NOT NULL, version VARCHAR(64) NOT NULL, threads INTEGER NOT NULL, part VARCHAR(64) NOT NULL,
    count INTEGER NOT NULL, mean_ms DOUBLE NOT NULL, PRIMARY KEY (device, version, threads, part)
);
CREATE TABLE runs (
    run INTEGER NOT NULL, started VARCHAR(32) NOT NULL, finished VARCHAR(32), command TEXT NOT NULL,
    conditions TEXT NOT NULL, outcome TEXT, PRIMARY KEY (run)
);
INSERT INTO premodel_store VALUES ('schema_version', '1'), ('made_by', 'premodel 0.1.0'), ('opencv_threads', '1');
"""
NAMES = [
    *("n_keypoints", "avg_brightness", "brightness_rms", "avg_perceived_brightness", "perceived_brightness_rms"),
    *("contrast", *(f"edge_length{i}" for i in range(1, 8)), *(f"edge_angle{i}" for i in range(1, 8))),
    *("area_by_perim", "aspect_ratio", *(f"hue{i}" for i in range(1, 8))),
]
NEEDS = {name: ["check", f"part of {name}", "assembly"] for name in NAMES}
KEYS = ["keypoints:1", "brightness:1", "perceived_brightness:1", "contrast:1", "edge_lengths:1", "edge_angles:1"]
KEYS += ["main_object:1", "hue:1"]
WIDTHS = [1, 2, 2, 1, 7, 7, 2, 7]
FAMILIES = {
    key: NAMES[end - width : end] for key, width, end in zip(KEYS, WIDTHS, np.cumsum(WIDTHS).tolist(), strict=True)
}
BEHIND = "penultimate:" + "a" * 52
N = 40
SAMPLES = [f"{i:064x}" for i in range(N)]
VECTORS = np.random.default_rng(0).normal(size=(N, len(NAMES))).astype("<f4")


def make(file: Path, names: list[str] = NAMES, vectors: np.ndarray = VECTORS) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(VERSION_1)
        needs = json.dumps({name: NEEDS.get(name, ["check"]) for name in names})
        rows = [("1", json.dumps(names), needs), (BEHIND, '["m.0", "m.1"]', '{"m.0": ["m"], "m.1": ["m"]}')]
        connection.executemany("INSERT INTO extractors VALUES (?, ?, ?)", rows)
        values = [("1", sample, row.tobytes()) for sample, row in zip(SAMPLES, vectors, strict=True)]
        values += [(BEHIND, sample, row[:2].tobytes()) for sample, row in zip(SAMPLES, vectors, strict=True)]
        connection.executemany("INSERT INTO features VALUES (?, ?, ?)", values)
        samples = [(sample, 0, f"{sample}.png", 1, "ok", "", 1, 1) for sample in SAMPLES]
        connection.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", samples)


def make_2(file: Path) -> None:
    """The same as version 2 kept it: a row for each sample and family."""
    make(file, vectors=VECTORS)
    places = np.cumsum([0, *(len(names) for names in FAMILIES.values())])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM features WHERE version = '1'")
        connection.execute("DELETE FROM extractors WHERE version = '1'")
        described = [
            (key, json.dumps(names), json.dumps({name: NEEDS[name] for name in names}))
            for key, names in FAMILIES.items()
        ]
        connection.executemany("INSERT INTO extractors VALUES (?, ?, ?)", [*described, ("1", json.dumps(KEYS), "{}")])
        for key, start, end in zip(FAMILIES, places, places[1:], strict=False):
            rows = [(key, one, row[start:end].tobytes()) for one, row in zip(SAMPLES, VECTORS, strict=True)]
            connection.executemany("INSERT INTO features VALUES (?, ?, ?)", rows)
        connection.execute("UPDATE premodel_store SET value = '2' WHERE name = 'schema_version'")


MAKERS = {"1": make, "2": make_2}


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def check(file: Path) -> None:
    """All values are there, under their families, and in the order of the vectors."""
    with Store(file) as store:
        with store.reading() as connection:
            extractor = read_extractor(connection)
            vectors, there = read_features(connection, extractor.families, SAMPLES)
            left = connection.scalars(select(FEATURES.c.version).distinct()).all()
            described = connection.scalars(select(EXTRACTORS.c.version)).all()
        behind = read_vectors(store, BEHIND, SAMPLES)
        assert summarise_store(store).features == {"1": N}
    assert extractor.version == "1"
    assert [family.key for family in extractor.families] == KEYS
    assert list(extractor.names) == NAMES
    assert extractor.needs == {name: tuple(parts) for name, parts in NEEDS.items()}
    assert there.all()
    assert np.array_equal(vectors, VECTORS)
    assert behind is not None
    assert np.array_equal(behind, VECTORS[:, :2])
    group = group_key(KEYS)
    assert sorted(left) == sorted([group, BEHIND]), "one row for each sample"
    assert sorted(described) == sorted([*KEYS, group, BEHIND, "1"])


@pytest.mark.parametrize("version", MAKERS)
@pytest.mark.parametrize("create", [False, True])
def test_an_old_store_keeps_all_its_values(tmp_path: Path, create: bool, version: str) -> None:
    MAKERS[version](tmp_path / "s.db")
    Store(tmp_path / "s.db", create=create).close()
    check(tmp_path / "s.db")
    before = dump(tmp_path / "s.db")
    check(tmp_path / "s.db")
    assert dump(tmp_path / "s.db") == before
    assert "INSERT INTO \"premodel_store\" VALUES('schema_version','4');" in before


def test_a_damaged_vector_is_left_out(tmp_path: Path) -> None:
    make(tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("UPDATE features SET vector = x'00' WHERE version = '1' AND sample = ?", (SAMPLES[3],))
    with Store(tmp_path / "s.db") as store, store.reading() as connection:
        _, there = read_features(connection, read_extractor(connection).families, SAMPLES)
    assert np.flatnonzero(~there).tolist() == [3]


def test_what_only_some_families_have_stays_and_is_joined_with_what_comes_later(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    make_2(file)
    with closing(sqlite3.connect(file)) as connection, connection:
        keys = [*KEYS[:-1], "hue:2"]  # a changed family, computed of some samples before the run was broken off
        connection.execute("INSERT INTO extractors VALUES ('2', ?, '{}')", (json.dumps(keys),))
        names = FAMILIES["hue:1"]
        needs = json.dumps({name: ["hue"] for name in names})
        connection.execute("INSERT INTO extractors VALUES ('hue:2', ?, ?)", (json.dumps(names), needs))
        rows = [("hue:2", one, (row[-7:] + 1).tobytes()) for one, row in zip(SAMPLES[:9], VECTORS, strict=False)]
        connection.executemany("INSERT INTO features VALUES (?, ?, ?)", rows)
    with Store(file) as store:
        with store.reading() as connection:
            extractor = read_extractor(connection)
            assert [family.key for family in extractor.families] == keys
            vectors, there = read_features(connection, extractor.families, SAMPLES)
            assert there.tolist() == [True] * 9 + [False] * (N - 9)
            assert np.array_equal(vectors[:9, -7:], VECTORS[:9, -7:] + 1)
            assert np.array_equal(vectors[:, :-7], VECTORS[:, :-7])
        assert summarise_store(store).features == {"1": N, "2": 9}
        for row, key in enumerate(KEYS):
            values = read_vectors(store, key, SAMPLES)
            assert values is not None, key
            end = sum(WIDTHS[: row + 1])
            assert np.array_equal(values, VECTORS[:, end - WIDTHS[row] : end])


def test_features_of_unknown_names_stay_together(tmp_path: Path) -> None:
    make(tmp_path / "s.db", NAMES[:2], VECTORS[:, :2])
    with Store(tmp_path / "s.db") as store, store.reading() as connection:
        extractor = read_extractor(connection)
        vectors, there = read_features(connection, extractor.families, SAMPLES)
    assert (list(extractor.names), there.all()) == (NAMES[:2], True)
    assert np.array_equal(vectors, VECTORS[:, :2])


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from premodel.store.store import Store
left = int(sys.argv[2])
@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    global left
    if statement.startswith(("INSERT", "DELETE", "UPDATE")):
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
Store(sys.argv[1])
"""


@pytest.mark.parametrize(
    ("version", "statements"), [("1", 0), ("1", 1), ("1", 3), ("1", 4), ("2", 0), ("2", 2), ("2", 5), ("2", 11)]
)
def test_a_killed_migration_leaves_the_old_store(tmp_path: Path, version: str, statements: int) -> None:
    file = tmp_path / "s.db"
    MAKERS[version](file)
    before = dump(file)
    done = subprocess.run([sys.executable, "-c", KILLED, str(file), str(statements)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert dump(file) == before
    check(file)


@pytest.mark.parametrize("version", MAKERS)
def test_two_that_open_it_at_once_migrate_it_once(tmp_path: Path, version: str) -> None:
    MAKERS[version](tmp_path / "s.db")
    threads = [threading.Thread(target=lambda: Store(tmp_path / "s.db").close()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(tmp_path / "s.db")


@pytest.mark.parametrize("version", MAKERS)
def test_a_store_that_cannot_be_written_is_refused_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    MAKERS[version](tmp_path / "s.db")
    before = dump(tmp_path / "s.db")
    monkeypatch.setattr(engines_module, "BUSY_SECONDS", 0.1)
    message = (
        rf"of schema version {version} and cannot be brought to version 4; given: database is locked; another process"
    )
    with closing(sqlite3.connect(tmp_path / "s.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=message):
            Store(tmp_path / "s.db")
    assert dump(tmp_path / "s.db") == before
    check(tmp_path / "s.db")


def test_a_store_of_version_3_gets_tables_for_scores_and_keeps_all_else(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    Store(file, create=True).close()
    with closing(sqlite3.connect(file)) as connection, connection:
        for table in ("truths", "outcomes", "scores"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("UPDATE premodel_store SET value = '3' WHERE name = 'schema_version'")
        connection.execute("INSERT INTO labels VALUES (0, 'cat')")
    before = dump(file)
    Store(file).close()
    after = dump(file)
    assert [line for line in before if "'schema_version'" not in line and line not in after] == []
    added = {line.split()[2].strip('"') for line in after if line.startswith("CREATE TABLE") and line not in before}
    assert added == {"truths", "outcomes", "scores"}
    assert "INSERT INTO \"premodel_store\" VALUES('schema_version','4');" in after
