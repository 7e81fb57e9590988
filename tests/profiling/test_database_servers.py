"""The same profile in PostgreSQL and MariaDB: equal rows, two writers, restarts, foreign and older databases."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, func, select, text, update
from sqlalchemy.pool import NullPool

from premodel.errors import StoreError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.profiling.progress import Silent
from premodel.store import engines as engines_module
from premodel.store.export import copy_store
from premodel.store.rows import merge
from premodel.store.runs import begin_run
from premodel.store.schema import (
    FEATURES,
    LABELS,
    METADATA,
    PREDICTIONS,
    RUNS,
    SAMPLES,
    STORE,
    TIMINGS,
)
from premodel.store.store import Store
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo

pytest.importorskip("psycopg", reason="the extra `databases` is not installed")
pytest.importorskip("pymysql", reason="the extra `databases` is not installed")

from database_servers import SERVERS, DatabaseServer
from zoos import SmallZoo, write_zoo

N = 40
# PyMySQL leaves the Unix socket open where it cannot connect; it is closed with the error.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        started = SERVERS[request.param]()
        gc.collect()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def leave_no_socket_to_other_tests() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def url(server: DatabaseServer) -> str:
    return server.fresh()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.random.default_rng(5).random((N, 3)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=correct)


def run(small: SmallZoo, store: str | Path, progress: Any = None, **options: Any) -> Any:
    options = {"passes": ("predictions", "features"), **options}
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    return profile(zoo, dataset, store, ProfileOptions(**options), progress or Silent())


def rows_of(store: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with Store(store) as opened, opened.reading() as connection:
        for table in METADATA.sorted_tables:
            found[table.name] = sorted(map(tuple, connection.execute(select(table)).all()), key=repr)
    return found


def refuse(message: str, where: str, create: bool = False) -> str:
    with pytest.raises(StoreError, match=message) as caught:
        Store(where, create=create).close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def vector(sample: int, value: float = 0.0) -> dict[str, object]:
    return {"version": "t", "sample": f"{sample:064x}", "vector": np.float32(value).tobytes()}


def test_a_profile_is_the_same_as_in_a_file(url: str, small: SmallZoo, tmp_path: Path) -> None:
    refuse("the store is empty", url)
    run(small, tmp_path / "s.db")
    first = run(small, url, passes=("predictions", "timings", "features"), max_timing_seconds=0.1)
    assert first.predictions.predictions == 3 * N
    again = run(small, url, passes=("predictions", "timings", "features"), max_timing_seconds=0.1)
    assert (again.predictions.predictions, again.predictions.kept, again.features.kept) == (0, 3 * N, N)
    passes = ("predictions", "features")
    ours, theirs = load_tables(url, passes=passes), load_tables(tmp_path / "s.db", passes=passes)
    for name in ("samples", "truth", "top_labels", "top_probabilities", "entropy", "rank", "features"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.candidates == theirs.candidates
    with Store(url) as opened, opened.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(RUNS)) == 2


def test_every_value_comes_back_as_it_went(url: str, tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
    odd = "ünïcode \U0001f642 'quoted' \"twice\" 100 % \\ and a \t tab"
    prediction = {
        "prediction_key": "a" * 64, "sample": "b" * 64, "truth": 2**31 - 1, "truth_rank": 0, "status": "ok",
        "reason": odd * 3000, "entropy": float(np.float32(0.1)), "latency_ms": math.pi * 1e-3, "labels": large,
        "probabilities": b"",
    }  # fmt: skip
    other = {**prediction, "sample": "c" * 64, "entropy": None, "latency_ms": 1 / 3, "labels": None, "reason": ""}
    with Store(tmp_path / "a.db", create=True) as file, Store(url, create=True) as shared:
        rows = [prediction, other]
        file.write(lambda connection: merge(connection, PREDICTIONS, rows))
        names = [{"label": 0, "name": "CASE"}, {"label": 1, "name": odd}, {"label": 2, "name": ""}]
        file.write(lambda connection: merge(connection, LABELS, names))
        # Keys that differ only in case are two.
        timings = [
            {"device": device, "subject": "s", "count": 1, "valid": True, "reason": "", "run": 1, "mean_ms": value}
            for device, value in (("Board", 1e-300), ("board", 0.1 + 0.2))
        ]
        file.write(lambda connection: merge(connection, TIMINGS, timings))
        assert copy_store(file, shared) == 2 + 3 + 2
        with Store(tmp_path / "b.db", create=True) as back:
            copy_store(shared, back)
    before, between, after = rows_of(tmp_path / "a.db"), rows_of(url), rows_of(tmp_path / "b.db")
    assert before == between == after
    assert len(before["predictions"]) == 2


def test_what_does_not_fit_is_an_error_and_not_cut_off(url: str) -> None:
    with Store(url, create=True) as store, pytest.raises(StoreError, match="too long") as caught:
        store.write(lambda connection: merge(connection, STORE, [{"name": "n" * 33, "value": "v"}]))
    assert "\n" not in str(caught.value)


def test_two_writers_at_once(url: str) -> None:
    Store(url, create=True).close()
    failures, runs = [], []

    def write(start: int) -> None:
        try:
            with Store(url, create=True) as store:
                for batch in range(10):
                    runs.append(begin_run(store, {"started": "", "command": "", "conditions": "{}"}))
                    rows = [vector(start + 10 * batch + i, start) for i in range(10)]
                    rows = rows if start else rows[::-1]  # keys in opposite orders invite deadlocks
                    store.write(lambda connection, rows=rows: merge(connection, FEATURES, rows))
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 0, 100, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(runs) == list(range(1, 41))
    with Store(url) as store, store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(FEATURES)) == 200


def test_two_profiles_at_once(url: str, small: SmallZoo, tmp_path: Path) -> None:
    words = ["profile", small.zoo, small.data, "--labels", small.labels, "--store", url, "--only", "predictions"]
    command = [sys.executable, "-m", "premodel.cli.main", *map(str, words)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors
    run(small, tmp_path / "s.db", passes=("predictions",))
    ours, theirs = load_tables(url, passes=("predictions",)), load_tables(tmp_path / "s.db", passes=("predictions",))
    np.testing.assert_array_equal(ours.top_probabilities, theirs.top_probabilities)


def test_many_that_make_the_store_at_once(url: str) -> None:
    failures: list[Exception] = []

    def make() -> None:
        try:
            with Store(url, create=True) as store, store.reading() as connection:
                assert len(connection.execute(select(STORE)).all()) == 2
        except (StoreError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class Restart(Silent):
    """Restarts the server in the middle of the prediction pass."""

    def __init__(self, server: DatabaseServer, up_again: bool = True) -> None:
        self.server = server
        self.up_again = up_again
        self.count = 0
        self.what = ""

    def begin(self, what: str, total: int, unit: str) -> None:
        self.what = what

    def advance(self, count: int = 1) -> None:
        self.count += self.what == "predicting"
        if self.count == N // 4 and self.what == "predicting":
            self.server.stop()
            if self.up_again:
                self.server.start()


def whole(url: str, small: SmallZoo) -> None:
    found = load_tables(url, passes=("predictions", "features"))
    right = (small.probabilities.argmax(axis=2) == small.truth[:, None]).sum(0)
    np.testing.assert_array_equal(found.correct("top1").sum(0), right)
    counted = rows_of(url)
    assert len(counted["predictions"]) == 3 * N
    assert len(counted["samples"]) == N
    assert len(counted["features"]) == N


def test_a_restarted_server_is_waited_for(server: DatabaseServer, url: str, small: SmallZoo) -> None:
    restart = Restart(server)
    run(small, url, restart)
    assert restart.count > N // 4
    whole(url, small)


def test_a_server_that_stays_away(
    server: DatabaseServer, url: str, small: SmallZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines_module, "BUSY_SECONDS", 0.5)
    run(small, url, limit=10)
    before = rows_of(url)["predictions"]
    try:
        with pytest.raises(StoreError, match="see whether the server is running") as caught:
            run(small, url, Restart(server, up_again=False))
        assert "\n" not in str(caught.value)
        assert "see whether the server is running" in refuse("the database failed", url)
    finally:
        server.start()
    monkeypatch.undo()
    run(small, url)
    whole(url, small)
    assert set(before) <= set(rows_of(url)["predictions"])


def test_urls_without_a_driver_and_databases_that_are_not_there(server: DatabaseServer, url: str) -> None:
    short = url.replace("+psycopg", "").replace("+pymysql", "")
    Store(short, create=True).close()
    Store(short).close()
    with_password = url.replace("@", ":secret-word@")
    for wrong in (with_password.replace("profiles", "nowhere"), with_password.replace(str(server.folder), "/nowhere")):
        assert "secret-word" not in refuse("the database failed", wrong)


def test_a_half_made_store_is_finished(server: DatabaseServer, url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    STORE.create(engine)
    SAMPLES.create(engine)
    refuse("the store is empty", url)
    with Store(url, create=True) as store:
        store.write(lambda connection: merge(connection, FEATURES, [vector(1)]))
    Store(url).close()


def test_foreign_and_older_databases_are_refused(server: DatabaseServer, url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE samples (x INTEGER)"))
    for create in (False, True):
        refuse("not a premodel store, or is damaged; given: tables samples", url, create)
    older = server.fresh()
    with Store(older, create=True) as store:
        change = update(STORE).where(STORE.c.name == "schema_version").values(value="0")
        store.write(lambda connection: connection.execute(change))
    for create in (False, True):
        refuse("another schema version; given: 0; allowed: 4", older, create)
