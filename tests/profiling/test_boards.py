"""A board profiled from a workstation: answers from here, times from there, joined by the digest."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

import premodel
from agents import agent, board_manifest
from foreign_server import foreign
from premodel.errors import OptionError, RemoteError, ZooError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.runtime.conditions import device_name
from premodel.store.runs import run_conditions
from premodel.store.schema import PREDICTIONS, TIMINGS
from premodel.store.store import Store
from premodel.training.load import load_candidates, load_tables
from premodel.training.options import TrainOptions
from premodel.training.package import package
from premodel.training.train import train
from premodel.zoo.manifest import read_zoo
from serving_client import running
from several_files import write_external_zoo
from zoos import SmallZoo, write_zoo

N = 24
WAIT_S = 300
CORRECT = np.random.default_rng(5).random((N, 3)) < 0.6
VIEWS = {"m1": [{"name": "mirror", "mirror": True}]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("board"), correct=CORRECT, models=["m0", "m1"], views=VIEWS)


@pytest.fixture(scope="module")
def url(small: SmallZoo) -> Generator[str]:
    with agent(small.zoo) as url:
        yield url


def run(small: SmallZoo, manifest: Path, store: Path, *passes: str, **options: Any) -> ProfileReport:
    zoo = read_zoo(manifest, require_files=True)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    passes = passes or ("predictions", "timings", "features", "energy")
    return profile(zoo, dataset, store, ProfileOptions(passes=passes, max_timing_seconds=0.5, **options))


def test_a_board_runs_a_model_of_several_files(tmp_path: Path) -> None:
    """Its digest is of all files on both sides, and what the board measured belongs to the candidate here."""
    pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    folder = write_external_zoo(tmp_path)
    (own,) = read_zoo(folder / "zoo.toml").candidates
    with agent(folder / "zoo.toml") as url:
        manifest = board_manifest(folder / "zoo.toml", url)
        data = read_dataset(folder, folder / "labels.csv", label_names=["red", "green", "blue"])
        passes = ("predictions", "timings")
        zoo = read_zoo(manifest, require_files=True)
        profile(zoo, data, tmp_path / "p.db", ProfileOptions(passes=passes, max_timing_seconds=0.2))
    tables = load_tables(tmp_path / "p.db", passes=passes)
    assert tables.correct("top1").all()
    (candidate,) = load_candidates(tmp_path / "p.db")
    assert (candidate.home.prediction_key, candidate.home.timing_key) == (own.prediction_key, own.timing_key)


def check_answers(small: SmallZoo, store: Path) -> None:
    tables = load_tables(store, passes=("predictions",))
    assert len(tables) == N
    right = (small.probabilities.argmax(axis=2) == small.truth[:, None]).sum(0)
    np.testing.assert_array_equal(tables.correct("top1").sum(0), right)


def away(small: SmallZoo, folder: Path, url: str, **settings: Any) -> Path:
    """The board's manifest on a workstation that has none of its model files."""
    folder.mkdir()
    manifest = board_manifest(small.zoo, url, "away.toml", **settings)
    shutil.copy(small.zoo.parent / "labels.txt", folder)
    return Path(shutil.move(manifest, folder / "away.toml"))


def test_answers_of_the_workstation_and_times_of_the_board_meet(small: SmallZoo, url: str, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    run(small, small.zoo, store, "predictions", "features")
    report = run(small, board_manifest(small.zoo, url), store, "timings", device="board")
    assert report.device == "board"
    assert report.timings is not None
    assert len(report.timings.timed) == 5, "three candidates, decoding, features"
    check_answers(small, store)
    tables = load_tables(store, device="board")
    assert (tables.latency_ms > 0).all()
    assert tables.decode_ms > 0
    notes = tables.conditions["latency"]
    assert list(notes) == list(small.names)
    assert all("the network is not counted" in note for note in notes.values())
    # What was trained is what the board opens by itself: no server is in it.
    candidates = load_candidates(store)
    assert {candidate.model.runtime for candidate in candidates} == {"replay"}
    options = TrainOptions(policy="single")
    bundle = package(train(tables, options), tables, candidates, options, tmp_path / "b.premodel")
    with premodel.load(tmp_path / "b.premodel") as clf:
        assert clf.predict(small.images[0]).candidate == bundle.policy.candidates[0]


def test_only_the_boards_own_durations_count(
    small: SmallZoo, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = itertools.count(start=-8.64e7 * 365, step=7.0)
    monkeypatch.setattr("premodel.serving.board.now_ms", lambda: next(days))  # a year behind, 7 ms per look
    store = tmp_path / "s.db"
    run(small, board_manifest(small.zoo, url), store, "predictions", "timings", "features", device="board")
    tables = load_tables(store, device="board", passes=("predictions", "timings"))
    np.testing.assert_allclose(tables.latency_ms, 14.0)
    assert tables.decode_ms == pytest.approx(7.0)
    with Store(store) as opened, opened.reading() as connection:
        keys = [candidate.timing_key for candidate in read_zoo(small.zoo).candidates]
        parts = connection.scalars(select(TIMINGS.c.preprocess_mean_ms).where(TIMINGS.c.subject.in_(keys)))
        np.testing.assert_allclose(list(parts), 7.0)


def test_one_command_answers_here_if_the_files_are_here(small: SmallZoo, url: str, tmp_path: Path) -> None:
    report = run(small, board_manifest(small.zoo, url), tmp_path / "s.db")
    assert report.device == device_name(), "the agent reports it; it runs on this machine"
    assert report.predictions is not None
    assert (report.predictions.predictions, report.predictions.failed) == (3 * N, {})
    assert report.energy is not None
    assert "another machine" in report.energy.reason
    check_answers(small, tmp_path / "s.db")
    # The board is not even asked where nothing is timed.
    gone = board_manifest(small.zoo, "http://127.0.0.1:9")
    assert run(small, gone, tmp_path / "t.db", "predictions", "features").predictions is not None


def test_without_the_files_the_board_answers(small: SmallZoo, url: str, tmp_path: Path) -> None:
    manifest = away(small, tmp_path / "desk", url)
    run(small, manifest, tmp_path / "s.db", "predictions", "timings", workers=2)
    check_answers(small, tmp_path / "s.db")
    # The same rows as if the files had been here.
    assert run(small, small.zoo, tmp_path / "s.db", "predictions").predictions.kept == 3 * N  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("crop_fraction = 0.875", "crop_fraction = 0.8", r"input of m0 is not what the board runs"),
        ('url = "', 'threads = 2\nurl = "', r"threads of m0 is not what the board runs.*given: 2; allowed: 1"),
        ('activation = "softmax"', 'activation = "none"', r"output of m0 is not what the board runs"),
        (
            "mirror = true",
            "mirror = true\ncrop_fraction = 0.5",
            r"the board decodes inputs otherwise; given: 24; allowed: 16",
        ),
    ],
)
def test_an_entry_unlike_the_boards_is_named(
    small: SmallZoo, url: str, tmp_path: Path, old: str, new: str, reported: str
) -> None:
    manifest = board_manifest(small.zoo, url, "other.toml")
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(ZooError, match=reported):
        run(small, manifest, tmp_path / "s.db", "timings")


def test_one_profile_has_one_machine(small: SmallZoo, url: str, tmp_path: Path) -> None:
    manifest = board_manifest(small.zoo, url, "mixed.toml")
    text = manifest.read_text()
    at = text.rindex('runtime = "oip"')
    end = text.index("\n", text.index("settings", at))
    manifest.write_text(text[:at] + 'runtime = "replay"' + text[end:])
    message = r"different machines; given: at http://[0-9.:]+, here: m1; allowed: all behind one url"
    with pytest.raises(ZooError, match=message):
        run(small, manifest, tmp_path / "s.db", "timings")


def test_a_foreign_server_is_timed_by_round_trips_and_says_so(small: SmallZoo, tmp_path: Path) -> None:
    with foreign(small.zoo) as url:
        manifest = board_manifest(small.zoo, url, "foreign.toml", remote_runtime=None)
        manifest.write_text(manifest.read_text().split("[[models.views]]")[0])
        report = run(small, manifest, tmp_path / "s.db", "predictions", "timings", "features")
        assert report.device == device_name()
        with Store(tmp_path / "s.db") as opened:
            notes = run_conditions(opened, None)["latency"]
        assert set(notes) == {"m0", "m1"}
        assert notes["m0"].startswith(f"round trip to {url}, network included")
        tables = load_tables(tmp_path / "s.db")
        right = (small.probabilities[:, :2].argmax(axis=2) == small.truth[:, None]).sum(0)
        np.testing.assert_array_equal(tables.correct("top1").sum(0), right)
        # A bundle of such candidates asks the server, and does without it when it is away.
        options = TrainOptions(policy="single")
        package(train(tables, options), tables, load_candidates(tmp_path / "s.db"), options, tmp_path / "b.premodel")
        clf = premodel.load(tmp_path / "b.premodel")
        answer = clf.predict(small.images[0])
        assert answer.failed == {}
    with clf, pytest.raises(premodel.RunError, match=r"no candidate could answer.*server does not answer"):
        clf.predict(small.images[0])


def test_a_foreign_server_on_a_board_needs_the_boards_name(small: SmallZoo, tmp_path: Path) -> None:
    with foreign(small.zoo) as url:
        manifest = board_manifest(small.zoo, url, "foreign.toml")
        manifest.write_text(manifest.read_text().split("[[models.views]]")[0])
        with pytest.raises(OptionError, match=r"does not say which device it is.*--device"):
            run(small, manifest, tmp_path / "s.db", "timings")
        report = run(small, manifest, tmp_path / "s.db", "timings", device="board")
        assert report.device == "board"


# --- a board that drops out ---


def rows(store: Path) -> dict[tuple[str, str], Any]:
    if not store.exists():
        return {}
    c = PREDICTIONS.c
    with contextlib.suppress(premodel.StoreError), Store(store) as opened, opened.reading() as connection:
        found = connection.execute(select(c.prediction_key, c.sample, c.status, c.latency_ms, c.labels)).all()
        return {(row.prediction_key, row.sample): tuple(row) for row in found}
    return {}


class Profiling:
    """`premodel profile` in a process of its own, and what it states."""

    def __init__(self, small: SmallZoo, manifest: Path, store: Path, folder: Path, *words: str) -> None:
        self.reported = folder / "reported.txt"
        command = ["profile", str(manifest), str(small.data), "--labels", str(small.labels), "--store", str(store)]
        with self.reported.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "premodel.cli.main", *command, *words], stdout=subprocess.DEVNULL, stderr=stream
            )

    def states(self, text: str, times: int = 1) -> bool:
        return self.reported.read_text().count(text) >= times


def until(condition: Any, profiling: Profiling) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert profiling.process.poll() is None, profiling.reported.read_text()
        assert time.monotonic() < end, profiling.reported.read_text()
        time.sleep(0.02)


@contextlib.contextmanager
def board(small: SmallZoo, port: int = 0) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """An agent in a process of its own; of a given port it is tried until it is free again."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            with running(small.zoo, command="agent", port=port) as (url, process):
                yield url, process
                return
        except AssertionError as error:
            if "cannot listen" not in str(error) or time.monotonic() > end:
                raise


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("slow"), correct=CORRECT, latency_ms=80.0)


def test_a_board_killed_in_mid_profile_is_waited_for_and_nothing_is_lost_or_double(
    slow: SmallZoo, tmp_path: Path
) -> None:
    store = tmp_path / "s.db"
    with board(slow) as (url, first):
        port = int(url.rpartition(":")[2])
        manifest = away(slow, tmp_path / "desk", url)
        profiling = Profiling(slow, manifest, store, tmp_path, "--max-timing-seconds", "30", "--energy", "off")
        until(lambda: len(rows(store)) >= 6, profiling)
        first.send_signal(signal.SIGKILL)
        first.wait()
        until(lambda: profiling.states("waiting for it"), profiling)
        before = rows(store)
        assert 6 <= len(before) < 3 * N
    with board(slow, port) as (_, second):
        until(lambda: profiling.states("is back after"), profiling)
        until(lambda: len(rows(store)) == 3 * N, profiling)
        until(lambda: count_timings(store) > 0, profiling)
        second.send_signal(signal.SIGKILL)
        second.wait()
        while profiling.process.poll() is None and not profiling.states("waiting for it", 2):
            time.sleep(0.02)
    with board(slow, port):
        assert profiling.process.wait(WAIT_S) == 0, profiling.reported.read_text()
    after = rows(store)
    assert len(after) == 3 * N
    assert all(after[key] == row for key, row in before.items()), "no answer was made again"
    assert {row[2] for row in after.values()} == {"ok"}, "none was taken for a failure"
    check_answers(slow, store)
    tables = load_tables(store, device=device_name())
    assert all(timing.count > 0 for timing in tables.timings)
    assert (tables.latency_ms >= 80).all()
    assert "Traceback" not in profiling.reported.read_text()


def count_timings(store: Path) -> int:
    with Store(store) as opened, opened.reading() as connection:
        return len(list(connection.scalars(select(TIMINGS.c.subject))))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_waiting_has_an_end_and_the_same_command_resumes(slow: SmallZoo, tmp_path: Path, workers: str) -> None:
    store = tmp_path / "s.db"
    words = ("--only", "predictions", "--workers", workers)
    with board(slow) as (url, process):
        port = int(url.rpartition(":")[2])
        manifest = away(slow, tmp_path / "desk", url, patience_s=0.5)
        profiling = Profiling(slow, manifest, store, tmp_path, *words)
        until(lambda: len(rows(store)) >= 6, profiling)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert profiling.process.wait(WAIT_S) == 1
    last = profiling.reported.read_text().strip().splitlines()[-1]
    assert last.startswith(f"premodel profile: {url}: server does not answer (")
    assert "did not come back within" in last
    assert "what was stored is kept" in last
    assert "Traceback" not in profiling.reported.read_text()
    before = rows(store)
    assert 6 <= len(before) < 3 * N
    with board(slow, port):
        assert Profiling(slow, manifest, store, tmp_path, *words).process.wait(WAIT_S) == 0
    after = rows(store)
    assert len(after) == 3 * N
    assert all(after[key] == row for key, row in before.items())
    assert {row[2] for row in after.values()} == {"ok"}


def test_a_board_that_never_answered_is_not_waited_for(small: SmallZoo, tmp_path: Path) -> None:
    manifest = board_manifest(small.zoo, "http://127.0.0.1:9", "never.toml")
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9: server does not answer \(connection refused\)"):
        run(small, manifest, tmp_path / "s.db", "timings")


def test_the_command_shows_the_manifest_of_the_store(small: SmallZoo, url: str, tmp_path: Path) -> None:
    manifest = board_manifest(small.zoo, url)
    done = Profiling(small, manifest, tmp_path / "s.db", tmp_path, "--max-timing-seconds", "0.5")
    assert done.process.wait(WAIT_S) == 0, done.reported.read_text()
    assert done.states("latency of m0, m1, m1@mirror: measured on the board")
    with Store(tmp_path / "s.db") as opened:
        assert json.dumps(run_conditions(opened, None)["latency"])
