"""Killed at any moment, short of disk, or run twice at once: every row once, and none lost."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from premodel.backends.replay import ReplayBackend
from premodel.cli.main import main
from premodel.errors import StoreError
from premodel.store.schema import FEATURES, PREDICTIONS
from premodel.store.store import Store
from premodel.training.load import load_tables
from zoos import SmallZoo, write_zoo

N = 150


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.random.default_rng(5).random((N, 3)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=correct, latency_ms=5.0)


def command(small: SmallZoo, store: Path, *options: str) -> list[str]:
    words = ["profile", str(small.zoo), str(small.data), "--labels", str(small.labels), "--store", str(store)]
    return [sys.executable, "-m", "premodel.cli.main", *words, *options]


def answers(store: Path) -> dict[tuple[str, str], Any]:
    with Store(store) as opened, opened.reading() as connection:
        c = PREDICTIONS.c
        rows = connection.execute(select(c.prediction_key, c.sample, c.latency_ms, c.labels, c.probabilities)).all()
    found = {(row.prediction_key, row.sample): row for row in rows}
    assert len(found) == len(rows)
    return found


def count(store: Path) -> int:
    try:
        with Store(store) as opened, opened.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(PREDICTIONS)) or 0)
    except StoreError:  # not made yet
        return 0


def check_whole(small: SmallZoo, store: Path) -> None:
    found = load_tables(store, passes=("predictions", "features"))
    assert len(found) == N
    expected = small.probabilities.argmax(axis=2)
    right = (expected == small.truth[:, None]).sum(0)
    np.testing.assert_array_equal(found.correct("top1").sum(0), right)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_at_random_moments(small: SmallZoo, tmp_path: Path, workers: int) -> None:
    store = tmp_path / "s.db"
    rng = random.Random(workers)
    before: dict[tuple[str, str], Any] = {}
    kills = 0
    for attempt in range(12):
        process = subprocess.Popen(
            command(small, store, "--only", "predictions", "--workers", str(workers)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Once new rows are coming, kill at a random moment; the last attempts run to their end.
        while attempt < 3 and process.poll() is None and count(store) <= len(before):
            time.sleep(0.02)
        if attempt < 3:
            time.sleep(rng.uniform(0, 0.6))
            process.kill()
        code = process.wait()
        kills += code == -signal.SIGKILL
        after = answers(store)
        # No committed row is lost or made again: a new one would have taken another time.
        assert all(after[key] == row for key, row in before.items())
        assert len(after) >= len(before)
        before = after
        if code == 0:
            break
    assert kills >= 1
    assert len(before) == 3 * N
    subprocess.run(command(small, store, "--only", "features"), check=True, capture_output=True)
    check_whole(small, store)


def test_a_full_disk_loses_nothing(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    subprocess.run(command(small, store, "--only", "predictions", "--limit", "40"), check=True, capture_output=True)
    before = answers(store)
    assert len(before) == 120

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        command(small, store, "--only", "predictions"), capture_output=True, text=True, preexec_fn=limited, check=False
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"premodel profile: {store}: the database failed: ")
    assert "what was stored is kept" in last
    assert "Traceback" not in done.stderr
    after = answers(store)
    assert len(after) < 3 * N
    assert all(after[key] == row for key, row in before.items())
    subprocess.run(command(small, store, "--only", "predictions"), check=True, capture_output=True)
    whole = answers(store)
    assert len(whole) == 3 * N
    assert all(whole[key] == row for key, row in after.items())


def test_two_runs_at_once(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    processes = [
        subprocess.Popen(
            command(small, store, "--only", only), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for only in ("predictions", "predictions", "features")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len(answers(store)) == 3 * N
    with Store(store) as opened, opened.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(FEATURES)) == N
    check_whole(small, store)


def test_ctrl_c_is_one_line_and_code_130(small: SmallZoo, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    process = subprocess.Popen(
        command(small, store, "--only", "predictions", "--workers", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and count(store) == 0:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted; what was stored is kept" in errors
    assert "Traceback" not in errors
    assert 0 < len(answers(store)) < 3 * N


@pytest.mark.parametrize("everyone", [True, False], ids=["as a terminal sends it", "to the command alone"])
@pytest.mark.parametrize("options", [["--only", "timings"], ["--only", "predictions", "--workers", "2"]], ids=" ".join)
def test_ctrl_c_while_processes_start_is_one_line(
    small: SmallZoo, tmp_path: Path, options: list[str], everyone: bool
) -> None:
    store = tmp_path / "s.db"
    subprocess.run(command(small, store, "--only", "predictions", "--limit", "4"), check=True, capture_output=True)
    begins = "weighing" if "timings" in options else "predicting"
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            command(small, store, *options), stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        while process.poll() is None and begins not in (tmp_path / "said").read_text():
            time.sleep(0.02)
        time.sleep(0.8 if everyone else 0.1)  # processes are starting
        (os.killpg if everyone else os.kill)(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        until_gone(process.pid)
    text = (tmp_path / "said").read_text()
    assert text.splitlines()[-1] == "premodel profile: interrupted; what was stored is kept"
    assert "Traceback" not in text, text
    assert "Error" not in text, text


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_is_one_line_and_code_143(small: SmallZoo, tmp_path: Path, workers: int) -> None:
    store = tmp_path / "s.db"
    process = subprocess.Popen(
        command(small, store, "--only", "predictions", "--workers", str(workers)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and count(store) == 0:
        time.sleep(0.02)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "terminated; what was stored is kept" in errors
    assert "Traceback" not in errors
    assert len(answers(store)) > 0
    until_gone(process.pid)


def until_gone(group: int) -> None:
    """Wait until no process of a session is left."""
    end = time.monotonic() + 60
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < end, "a worker is left"
        time.sleep(0.02)


def test_a_model_larger_than_memory_is_named(
    small: SmallZoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ReplayBackend, "open", no_room)
    words = [str(small.zoo), str(small.data), "--labels", str(small.labels), "--store", str(tmp_path / "s.db")]
    assert main(["profile", *words]) == 1
    assert "not enough memory to open m0; free some" in capsys.readouterr().err


def test_memory_that_runs_out_elsewhere_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(*_: object) -> int:
        raise MemoryError("Unable to allocate 1.00 TiB")

    monkeypatch.setattr("premodel.cli.store.run", no_room)
    assert main(["store", "info", "x.db"]) == 1
    assert capsys.readouterr().err == (
        "premodel store: out of memory (Unable to allocate 1.00 TiB); free some, or give it less to do\n"
    )
