"""Clocks that step, signals, readers beside a writer, and equal bytes from equal seeds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from faults.finding import Finding, answers, premodel, profile_words, run
from premodel.errors import StoreError
from premodel.store.schema import RUNS, TIMINGS
from premodel.store.store import Store
from serving_client import INFER, binary_request, running
from zoos import SmallZoo

STEPPING = """
import datetime, random, sys, time
rng, real, real_ns, Real = random.Random(int(sys.argv[1])), time.time, time.time_ns, datetime.datetime
step = lambda: rng.uniform(-30, 30) * 86400
time.time = lambda: real() + step()
time.time_ns = lambda: real_ns() + int(step() * 1e9)

class Stepping(Real):
    @classmethod
    def now(cls, tz=None):
        return Real.now(tz) + datetime.timedelta(seconds=step())

datetime.datetime = Stepping
from premodel.cli.main import main
sys.exit(main(sys.argv[2:]))
"""
MODEL_MS = 5.0
POLICIES = ("auto", "single", "select", "paper", "cascade", "cascade-routing")


def step_clock(small: SmallZoo, folder: Path, times: int) -> Finding:
    """The wall clock jumps by days whenever it is read; the monotonic clock goes on."""
    found = Finding(
        "the clock is set", "every reading of the wall clock is off by up to ±30 days, at random, during `profile`"
    )
    fastest, slowest = np.inf, 0.0
    for number in range(times):
        store = folder / f"clock{number}.db"
        words = profile_words(small, store, "--only", "predictions", "--limit", 40)
        command = [sys.executable, "-c", STEPPING, str(number), *map(str, words)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        found.times += 1
        found.expect(process.returncode == 0, f"code {process.returncode}: {process.stderr[-300:]}")
        latencies = [row[7] for row in answers(store).values()]
        found.expect(len(latencies) == 40 * small.probabilities.shape[1], "not every answer is there once")
        fastest, slowest = min([fastest, *latencies]), max([slowest, *latencies])
        with Store(store) as opened, opened.reading() as connection:
            started, finished = connection.execute(select(RUNS.c.started, RUNS.c.finished)).one()
        found.expect(started != finished, "the clock did not jump")
    found.expect(fastest >= MODEL_MS, f"a latency of {fastest} ms for {MODEL_MS} ms of work")
    found.expect(slowest < 60_000, f"a latency of {slowest} ms")
    found.seen = f"all answers stored; latencies of {MODEL_MS:g} ms of work read {fastest:.2f} to {slowest:.1f} ms"
    return found


def terminate_profile(small: SmallZoo, folder: Path, times: int) -> Finding:
    """SIGTERM, as from a system that shuts down."""
    found = Finding(
        "SIGTERM to `profile`", "at a random moment, with and without worker processes, then again to the end"
    )
    rng = random.Random(8)
    for number in range(times):
        store = folder / f"term{number}.db"
        words = profile_words(small, store, "--only", "predictions", "--workers", 1 + number % 2)
        process = subprocess.Popen(
            premodel(*words), stdout=-3, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        end = time.monotonic() + 60
        while not answers(store) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.3))
        before = answers(store)
        process.terminate()
        errors = process.communicate(timeout=60)[1]
        found.times += 1
        found.expect(process.returncode in (143, 0), f"code {process.returncode}: {errors[-300:]}")
        found.expect("Traceback" not in errors, f"a traceback: {errors[-300:]}")
        found.expect(_ended(process.pid), "a worker process is left")
        after = answers(store)
        found.expect(all(after.get(key) == row for key, row in before.items()), "a committed row was lost")
        done = run(*profile_words(small, store, "--only", "predictions"))
        n, m, _ = small.probabilities.shape
        found.expect(done.returncode == 0 and len(answers(store)) == n * m, "the second run did not complete it")
    found.seen = "one line and code 143, no process left behind; the second run completed the store"
    return found


def _ended(group: int) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


def terminate_serve(bundle: Path, zoo: Path, image: Path, times: int) -> Finding:
    """SIGTERM to a server that is answering: every request gets a whole answer or none."""
    import httpx2

    found = Finding("SIGTERM to `serve`", "under requests from 4 threads")
    body, headers = binary_request([image.read_bytes()])
    whole = refused = 0
    name = bundle.stem
    for _ in range(times):
        outcomes: list[str] = []
        with running(bundle, "--zoo", zoo) as (url, process):
            stop = threading.Event()
            threads = [
                threading.Thread(target=_ask, args=(httpx2, url, name, body, headers, outcomes, stop)) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            while len(outcomes) < 20:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            stop.set()
            for thread in threads:
                thread.join()
        found.times += 1
        found.expect(process.returncode == 0, f"code {process.returncode}")
        broken = [outcome for outcome in outcomes if outcome not in ("200", "503", "refused")]
        found.expect(not broken, f"{len(broken)} requests: {broken[:1]}")
        whole += outcomes.count("200")
        refused += len(outcomes) - outcomes.count("200")
    found.seen = f"{whole} whole answers, {refused} refusals, code 0 each time"
    return found


def _ask(
    httpx: Any, url: str, name: str, body: bytes, headers: Any, outcomes: list[str], stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            answer = httpx.post(url + INFER.replace("/small/", f"/{name}/"), content=body, headers=headers, timeout=30)
            outcomes.append(str(answer.status_code))
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError) as error:
            # A connection that the server had not taken up yet is reset when it stops listening.
            early = isinstance(error, httpx.ConnectError) or not str(error).startswith("peer closed connection without")
            outcomes.append("refused" if early else f"cut: {error}")
            time.sleep(0.01)


def read_while_writing(small: SmallZoo, folder: Path, times: int) -> Finding:
    """Readers that open the store again and again while it is written."""
    found = Finding("readers during a write", "4 threads reading the store over and over while `profile` fills it")
    reads = 0
    for number in range(times):
        store = folder / f"read{number}.db"
        process = subprocess.Popen(
            premodel(*profile_words(small, store, "--only", "predictions")), stdout=-3, stderr=-3
        )
        counts: list[list[int]] = [[] for _ in range(4)]
        failures: list[str] = []

        def read(mine: list[int], store: Path = store, failures: list[str] = failures) -> None:
            while process.poll() is None:  # noqa: B023
                try:
                    mine.append(len(answers(store)) if store.exists() else 0)
                    with Store(store) as opened, opened.reading() as connection:
                        connection.execute(select(TIMINGS)).all()
                except StoreError as error:
                    if "store must exist" not in str(error) and "is empty" not in str(error):
                        failures.append(str(error))
                time.sleep(0.005)

        threads = [threading.Thread(target=read, args=(mine,)) for mine in counts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.times += 1
        n, m, _ = small.probabilities.shape
        found.failures += failures
        found.expect(process.wait() == 0 and len(answers(store)) == n * m, "the writer did not complete")
        found.expect(all(mine == sorted(mine) for mine in counts), "rows that were there went away")
        reads += sum(map(len, counts))
    found.seen = f"{reads} reads, each of one state, never fewer rows than before; the writer completed"
    return found


def same_bytes(store: Path, folder: Path) -> Finding:
    """Two processes that hash differently train the same bundle."""
    found = Finding(
        "the same seed", f"`train` of {', '.join(POLICIES)}, each in two processes of different PYTHONHASHSEED"
    )
    for policy in POLICIES:
        files = []
        for seed in ("1", "4242"):
            out = folder / f"same-{seed}" / "a.premodel"
            out.parent.mkdir(exist_ok=True)
            done = run("train", store, "--out", out, "--policy", policy, env={**os.environ, "PYTHONHASHSEED": seed})
            found.expect(done.returncode == 0, f"{policy}: {done.stderr[-300:]}")
            files.append(out.read_bytes() if done.returncode == 0 else b"")
        found.times += 1
        found.expect(files[0] == files[1], f"{policy}: other bytes")
    found.seen = "equal byte for byte"
    return found
