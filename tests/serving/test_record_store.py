"""The record store: what is added is there, bounded, and gone when it is deleted."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from premodel.errors import StoreError
from premodel.serving.record_store import RecordStore
from premodel.serving.record_tables import Kept, is_record_store

ANSWER = {"label": 1, "confidence": 0.5}


def opened(path: Path, **more: float) -> RecordStore:
    store = RecordStore(path / "records.db", create=True, **more)
    store.adopt("image-classification", ("cat", "dog"))
    return store


def filled(path: Path, count: int = 6) -> RecordStore:
    store = opened(path)
    run = store.begin_run(1000.0, {})
    store.add(run, [Kept(float(row), 0.25, b"input %d" % row, ANSWER) for row in range(count)])
    return store


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    filled(tmp_path).close()
    path = tmp_path / "records.db"
    assert is_record_store(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with RecordStore(path) as again:
        assert again.labels == ("cat", "dog")
        first = list(again.records())[-1]
        assert (first.record, first.arrived, first.kept, first.data) == (1, 1000.0, 0.25, b"input 0")
        assert (first.answer, first.shadow, first.drawn, first.truth) == (ANSWER, None, None, None)
        again.add(again.begin_run(2000.0, {}), [Kept(1.0, 1.0, b"more", ANSWER)])
        assert [one.arrived for one in again.records()][:2] == [2001.0, 1005.0]


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="must exist"):
        RecordStore(tmp_path / "none.db")
    other = tmp_path / "other.db"
    other.write_bytes(b"SQLite format 3\0" + bytes(100))
    for path in (other, tmp_path):
        assert not is_record_store(path)
    with pytest.raises(StoreError, match="not a record store"):
        RecordStore(other)
    assert not is_record_store("postgresql://user@host/name")


def test_a_store_of_other_labels_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.adopt("image-classification", ("cat", "dog"))
        with pytest.raises(StoreError, match="another list of labels"):
            store.adopt("image-classification", ("dog", "cat"))
        with pytest.raises(StoreError, match="another task"):
            store.adopt("text-classification", ("cat", "dog"))


def test_a_store_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "records.db") as raw:
        raw.execute("UPDATE about SET value = '9' WHERE name = 'schema'")
    with pytest.raises(StoreError, match="another schema version; given: 9"):
        RecordStore(tmp_path / "records.db")


def test_the_oldest_give_way_and_those_that_are_being_labelled_last(tmp_path: Path) -> None:
    """20 MB of inputs in 10 MB: what is on the disk stays below."""
    with opened(tmp_path, max_mb=10) as store:
        run = store.begin_run(0.0, {})
        (first,) = store.add(run, [Kept(0.0, 1.0, bytes(100_000), ANSWER)])
        assert store.draw(1, seed=0) == [first]  # somebody labels it now
        for row in range(200):
            store.add(run, [Kept(float(row), 1.0, bytes(100_000), ANSWER)])
            assert store.disk_bytes <= 10_000_000
        numbers = [one.record for one in store.records()]
    assert numbers[0] == 201
    assert numbers[-1] == first
    assert 50 < len(numbers) < 75
    assert numbers[:-1] == list(range(201, 201 - len(numbers) + 1, -1))


def test_a_reader_that_holds_the_store_makes_it_refuse_and_not_grow(tmp_path: Path) -> None:
    with opened(tmp_path, max_mb=10) as store, closing(sqlite3.connect(tmp_path / "records.db")) as reader:
        run = store.begin_run(0.0, {})
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        one = [Kept(0.0, 1.0, bytes(400_000), ANSWER)]
        for _ in range(5):
            store.add(run, one)
        with pytest.raises(StoreError, match="log is full"):
            store.add(run, one)
        with pytest.raises(StoreError, match="too large for the record store"):
            store.add(run, one * 9)
        assert store.disk_bytes < 10_000_000
        reader.execute("COMMIT")
        store.add(run, one)


def test_what_is_too_old_goes_and_leaves_no_trace(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        store.label({1: 0})
        assert store.forget(1003.0) == 3
        assert [one.record for one in store.records()] == [6, 5, 4]
    content = (tmp_path / "records.db").read_bytes()
    assert b"input 5" in content
    assert b"input 1" not in content


def test_a_run_from_the_future_ends_now(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        store.begin_run(500.0, {})
        assert next(store.records()).arrived == 500.0
        assert store.forget(600.0) == 6


def test_the_draw_keeps_its_probability_and_lists_what_waits_first(tmp_path: Path) -> None:
    with filled(tmp_path, 10) as store:
        first = store.draw(4, seed=1)
        assert len(first) == 4
        assert store.draw(4, seed=2) == first
        store.label(dict.fromkeys(first[:3], 1))
        second = store.draw(4, seed=2)
        assert second[0] == first[3]
        assert not set(second[1:]) & set(first)
        drawn = {one.record: one.drawn for one in store.records()}
        assert drawn[first[0]] == 0.4
        assert drawn[second[1]] == 0.5
        assert store.counts().drawn == 4
        assert len(store.draw(50, seed=3)) == 7


def test_truths_are_added_all_or_none(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        with pytest.raises(StoreError, match="no such record; given: 77"):
            store.label({1: 0, 77: 1})
        assert store.counts().labelled == 0
        assert store.label({1: 0, 2: "a text"}) == 0
        assert store.label({1: 1, 2: "a text"}) == 1
        assert {one.record: one.truth for one in store.records(labelled=True)} == {1: 1, 2: "a text"}
        assert len(list(store.records(labelled=False))) == 4


def test_counts(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        store.compared(1, {"candidate": "best", "outcome": "agree", "answer": 1})
        store.compared(2, {"candidate": "best", "outcome": "differ", "answer": 0})
        found = store.counts()
        assert (found.records, found.compared, found.agreed, found.oldest, found.newest) == (6, 2, 1, 1000.0, 1005.0)
        assert next(iter(store.records(numbers=[1]))).shadow == {"candidate": "best", "outcome": "agree", "answer": 1}
