"""Opening stores, foreign files, two writers, batches."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import create_engine, insert, select, text

from premodel.clock import summarise
from premodel.errors import StoreError
from premodel.records import Footprint
from premodel.store import engines as engines_module
from premodel.store import writer as writer_module
from premodel.store.measurements import StoredTiming, pack_runs, read_timings, timing_row, unpack_runs
from premodel.store.rows import merge
from premodel.store.schema import FEATURES, METADATA, PREDICTIONS, STORE, TIMINGS
from premodel.store.store import Store
from premodel.store.writer import Writer


def refuse(message: str, where: str | Path, create: bool = False) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store(where, create=create).close()
    assert "\n" not in str(caught.value)


def vector(sample: int, value: float = 0.0) -> dict[str, object]:
    return {"version": "t", "sample": f"{sample:064x}", "vector": np.float32(value).tobytes()}


def stored(store: Store) -> dict[int, float]:
    with store.reading() as connection:
        rows = connection.execute(select(FEATURES.c.sample, FEATURES.c.vector)).all()
    assert len({sample for sample, _ in rows}) == len(rows)
    return {int(sample, 16): float(np.frombuffer(blob, "<f4")[0]) for sample, blob in rows}


def test_a_new_store_opens_again(tmp_path: Path) -> None:
    file = tmp_path / "a b?#%.db"
    Store(file, create=True).close()
    assert file.is_file()
    for create in (False, True):
        with Store(file, create=create) as store:
            assert stored(store) == {}


def test_a_url_is_a_store_too(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/u.db", create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1)]))
    with Store(tmp_path / "u.db") as store:
        assert stored(store) == {1: 0.0}


def test_what_is_no_store(tmp_path: Path) -> None:
    refuse("store must exist; make it with: premodel profile", tmp_path / "none.db")
    refuse("the folder of the store is not there", tmp_path / "none" / "a.db", create=True)
    refuse("unable to open database file", tmp_path, create=True)
    (tmp_path / "text.db").write_text("hello, this is no database at all" * 9)
    for create in (False, True):
        refuse("file is not a database", tmp_path / "text.db", create=create)
    assert (tmp_path / "text.db").read_text().startswith("hello")
    (tmp_path / "empty.db").touch()
    refuse("the store is empty", tmp_path / "empty.db")
    refuse("unknown kind of database; given: nodb", "nodb://x/y")
    refuse("not an SQLAlchemy URL", "://")


def test_a_missing_driver_is_named() -> None:
    refuse("driver of this database is not installed: pymssql", "mssql+pymssql://localhost/x")


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "foreign.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE samples (sample TEXT, label INT)")
    connection.close()
    before = file.read_bytes()
    for create in (False, True):
        refuse("not a premodel store, or is damaged; given: tables samples", file, create=create)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("samples",)]
    connection.close()
    assert len(file.read_bytes()) == len(before)


def test_another_schema_version(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    Store(file, create=True).close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE premodel_store SET value = '999' WHERE name = 'schema_version'")
    connection.close()
    for create in (False, True):
        refuse("another schema version; given: 999; allowed: 4", file, create=create)


def test_an_older_store_made_by_hand(tmp_path: Path) -> None:
    """Its columns mean something else; none of them may be read as today's."""
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE premodel_store (name TEXT PRIMARY KEY, value TEXT)")
        connection.execute("INSERT INTO premodel_store VALUES ('schema_version', '0')")
        for name in sorted(set(METADATA.tables) - {"premodel_store"}):
            connection.execute(f"CREATE TABLE {name} (sample TEXT PRIMARY KEY, latency_us REAL)")
    before = file.read_bytes()
    refuse("another schema version; given: 0; allowed: 4; use the release of premodel that made it", file)
    assert file.read_bytes() == before
    refuse("another schema version; given: 0; allowed: 4", file, create=True)
    with closing(sqlite3.connect(file)) as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(timings)")] == ["sample", "latency_us"]


def test_a_store_that_lacks_a_table(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    Store(file, create=True).close()
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE timings")
    connection.close()
    refuse("not a premodel store, or is damaged", file, create=True)


def test_a_damaged_store(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with Store(file, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(i) for i in range(3000)]))
    data = bytearray(file.read_bytes())
    data[8192:-4096] = b"\xa5" * (len(data) - 8192 - 4096)
    file.write_bytes(data)
    with pytest.raises(StoreError, match=r"malformed|not a premodel store|database failed"), Store(file) as store:
        stored(store)


def test_a_store_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with Store(file, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1, 2.0)]))
    file.chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(file, os.W_OK):
        tmp_path.chmod(stat.S_IRWXU)
        pytest.skip("this user may write anywhere")
    try:
        with Store(file) as store:
            assert stored(store) == {1: 2.0}
        with pytest.raises(StoreError, match="readonly"), Store(file, create=True) as store:
            store.write(lambda connection: merge(connection, FEATURES, [vector(2)]))
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_schema_for_every_engine() -> None:
    """The same tables compile for SQLite, MySQL and PostgreSQL, with keys that MySQL can index."""
    from sqlalchemy.dialects import mysql, postgresql, sqlite
    from sqlalchemy.schema import CreateTable

    for dialect in (mysql.dialect(), postgresql.dialect(), sqlite.dialect()):
        for table in METADATA.sorted_tables:
            assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))
    for table in METADATA.sorted_tables:
        characters = sum(getattr(column.type, "length", None) or 4 for column in table.primary_key)
        assert characters * 4 <= 3072, table.name  # bytes of an index entry in MySQL


def test_merge_replaces_rows_of_the_same_key(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1, 1), vector(2, 2)]))
        store.write(lambda connection: merge(connection, FEATURES, [vector(2, 3), vector(3, 4)]))
        store.write(lambda connection: merge(connection, FEATURES, []))
        assert stored(store) == {1: 1, 2: 3, 3: 4}


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1, 1)]))

        def work(connection: object) -> None:
            merge(connection, FEATURES, [vector(1, 9), vector(2, 9)])  # type: ignore[arg-type]
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.write(work)
        assert stored(store) == {1: 1}


def test_a_key_that_another_writer_took_is_tried_again(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1, 1)]))
        attempts = []

        def work(connection: object) -> None:
            attempts.append(1)
            row = vector(1 if len(attempts) == 1 else 2, 5)
            connection.execute(insert(FEATURES), [row])  # type: ignore[attr-defined]

        store.write(work)
        assert len(attempts) == 2
        assert stored(store) == {1: 1, 2: 5}
        with pytest.raises(StoreError, match="rows of another writer"):
            store.write(lambda connection: connection.execute(insert(FEATURES), [vector(1)]))


def test_two_writers_at_once(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    Store(file, create=True).close()
    failures = []

    def write(start: int) -> None:
        try:
            with Store(file, create=True) as store:
                for batch in range(20):
                    rows = [vector(start + 10 * batch + i, start) for i in range(10)]
                    store.write(lambda connection, rows=rows: merge(connection, FEATURES, rows))
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 100, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Store(file) as store:
        assert sorted(stored(store)) == list(range(300))


MAKE_STORES = """
import sys
from sqlalchemy import select
from premodel.store.schema import STORE
from premodel.store.store import Store

print("ready", flush=True)
sys.stdin.readline()
for file in sys.argv[1:]:
    with Store(file, create=True) as store, store.reading() as connection:
        assert len(connection.execute(select(STORE)).all()) == 2
"""


def test_many_that_make_the_store_at_once(tmp_path: Path) -> None:
    """Threads and processes, each of which must find a whole store after opening it."""
    files = [tmp_path / f"{i}.db" for i in range(10)]
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_STORES, *map(str, files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    failures: list[object] = []

    def make() -> None:
        try:
            for file in files:
                with Store(file, create=True) as store, store.reading() as connection:
                    assert len(connection.execute(select(STORE)).all()) == 2
        except (StoreError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures += [errors for errors in (maker.communicate()[1] for maker in makers) if errors]
    assert failures == []


def test_a_busy_change_to_the_log_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("DROP TABLE t")
        other.execute("BEGIN IMMEDIATE")  # SQLite refuses the change at once while this lasts
        pauses = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.execute("END")

        monkeypatch.setattr(engines_module.time, "sleep", sleep)
        Store(file, create=True).close()
    assert len(pauses) == 3
    assert sorted(pauses) == pauses


def test_a_log_that_stays_busy_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s.db"
    monkeypatch.setattr(engines_module, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN IMMEDIATE")
        refuse("database is locked; another process is writing to the store: wait for it", file, create=True)


def test_a_reader_is_not_stopped_by_a_writer(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", create=True) as store, Store(tmp_path / "s.db") as other:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1)]))
        with store.writing() as connection:
            merge(connection, FEATURES, [vector(2)])
            assert sorted(stored(other)) == [1]
        assert sorted(stored(other)) == [1, 2]


class Clock:
    """A clock of which the test turns the hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ms = 0.0
        monkeypatch.setattr(writer_module, "now_ms", lambda: self.ms)


def test_the_writer_commits_within_half_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with Store(tmp_path / "s.db", create=True) as store, Writer(store) as writer:
        lost = []
        for i in range(100):
            clock.ms += 30
            writer.add(FEATURES, vector(i))
            lost.append(i + 1 - len(stored(store)))
        assert max(lost) * 30 <= 500
        assert len(stored(store)) > 0
    with Store(tmp_path / "s.db") as store:
        assert len(stored(store)) == 100


def test_slow_rows_are_committed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with Store(tmp_path / "s.db", create=True) as store, Writer(store) as writer:
        for i in range(5):
            clock.ms += 700
            writer.add(FEATURES, vector(i))
            assert len(stored(store)) == i + 1


def test_many_rows_are_committed_before_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    with Store(tmp_path / "s.db", create=True) as store, Writer(store) as writer:
        for i in range(2 * writer_module.FLUSH_ROWS + 1):
            writer.add(FEATURES, vector(i))
        assert len(stored(store)) == 2 * writer_module.FLUSH_ROWS


def test_an_interrupted_writer_commits_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    with Store(tmp_path / "s.db", create=True) as store:

        def work() -> None:
            with Writer(store) as writer:
                writer.add(FEATURES, vector(7))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        assert sorted(stored(store)) == [7]


@settings(max_examples=30, deadline=None)
@given(
    labels=arrays.arrays(np.int32, st.integers(1, 20)),
    values=arrays.arrays(np.float32, st.integers(1, 40)),
    runs=st.lists(st.floats(1e-6, 1e9, allow_nan=False), min_size=1, max_size=50),
    entropy=st.floats(0, 20, width=32),
)
def test_blobs_come_back_as_they_went(
    labels: np.ndarray, values: np.ndarray, runs: list[float], entropy: float
) -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    record = StoredTiming(summarise(runs), Footprint(1.5, float("nan")), float("nan"), float("nan"), pack_runs(runs), 3)
    row = {
        "prediction_key": "0" * 64,
        "sample": "1" * 64,
        "truth": 1,
        "truth_rank": 0,
        "status": "ok",
        "reason": "",
        "entropy": entropy,
        "latency_ms": 1.0,
        "labels": labels.astype("<i4").tobytes(),
        "probabilities": values.astype("<f4").tobytes(),
    }
    with engine.begin() as connection:
        merge(connection, PREDICTIONS, [row])
        merge(connection, TIMINGS, [timing_row("d", "s", record)])
        back = connection.execute(select(PREDICTIONS)).one()
        assert connection.execute(text("SELECT count(*) FROM timings WHERE memory_mb IS NULL")).scalar() == 1
    engine.dispose()
    assert np.frombuffer(back.labels, "<i4").tobytes() == labels.tobytes()
    assert np.frombuffer(back.probabilities, "<f4").tobytes() == values.tobytes()
    assert back.entropy == entropy
    assert unpack_runs(record.runs_ms) == runs


def test_timing_records_come_back_as_they_went(tmp_path: Path) -> None:
    runs = [float(x) for x in np.random.default_rng(0).gamma(9, 2, 200)]
    valid = StoredTiming(summarise(runs), Footprint(3.5, 12.25), 0.5, 7.0, pack_runs(runs), 2)
    nothing = StoredTiming(summarise([]), Footprint(), float("nan"), float("nan"), b"", 2)
    one = StoredTiming(summarise([4.0]), Footprint(), float("nan"), float("nan"), pack_runs([4.0]), 2)
    with Store(tmp_path / "s.db", create=True) as store:
        rows = [timing_row("d", name, record) for name, record in (("v", valid), ("n", nothing), ("1", one))]
        store.write(lambda connection: merge(connection, TIMINGS, rows))
        back = read_timings(store, "d")
        assert read_timings(store, "other") == {}
    assert back["v"] == valid
    assert back["v"].timing.valid
    assert not back["n"].timing.valid
    assert back["n"].timing.reason == "no runs"
    assert np.isnan(back["n"].timing.mean_ms)
    assert back["1"].timing.mean_ms == 4.0
    assert np.isnan(back["1"].timing.ci_low_ms)


def held(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [len(row[0]) for row in connection.execute("SELECT vector FROM features ORDER BY sample")]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_store_that_another_replaces_is_noticed_and_the_other_is_left_alone(tmp_path: Path, journal: str) -> None:
    file, moved, other = tmp_path / "s.db", tmp_path / "moved.db", tmp_path / "other.db"
    with Store(other, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(7)]))
    with closing(sqlite3.connect(other)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = other.read_bytes()
    with Store(file, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1)]))
        file.rename(moved)
        other.rename(file)
        for use in (
            lambda: store.write(lambda connection: merge(connection, FEATURES, [vector(2)])),
            lambda: store.reading().__enter__(),
        ):
            with pytest.raises(StoreError, match="another file took the store's place while it was open") as caught:
                use()
            assert "\n" not in str(caught.value)
    assert file.read_bytes() == before
    file.rename(other)
    assert len(held(other)) == 1


def test_a_store_that_is_moved_away_is_noticed_and_what_was_committed_stays(tmp_path: Path) -> None:
    file, moved = tmp_path / "s.db", tmp_path / "moved.db"
    with Store(file, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1)]))
        file.rename(moved)
        (tmp_path / "s.db-wal").rename(tmp_path / "moved.db-wal")
        with pytest.raises(StoreError, match="was moved or deleted while it was open"):
            store.write(lambda connection: merge(connection, FEATURES, [vector(2)]))
        assert not file.exists(), "no new store at the old place"
    assert len(held(moved)) == 1


def test_a_store_that_is_moved_while_it_is_written_is_reported(tmp_path: Path) -> None:
    file, moved = tmp_path / "s.db", tmp_path / "moved.db"

    def work(connection: object) -> None:
        merge(connection, FEATURES, [vector(2)])  # type: ignore[arg-type]
        file.rename(moved)

    with Store(file, create=True) as store, pytest.raises(StoreError, match="was moved or deleted"):
        store.write(work)
