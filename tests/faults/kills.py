"""Killed with SIGKILL at random moments: whatever writes a store, a bundle, an export, a page or a model."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from faults.finding import Finding, answers, premodel, profile_words, run
from flaky_server import flaky_server
from premodel.cli.main import main
from premodel.errors import PremodelError
from premodel.runtime.bundle import read_bundle
from premodel.store.store import Store
from premodel.training.load import load_tables
from zoos import SmallZoo

WRITE_FOREVER = """
import sys
from pathlib import Path
from premodel.runtime.bundle import read_bundle, write_bundle
first, second, goal = map(Path, sys.argv[1:])
bundles = [(read_bundle(path), path.parent) for path in (first, second)]
print("ready", flush=True)
while True:
    for bundle, folder in bundles:
        write_bundle(goal, bundle, folder=folder, embed=True)
"""


def kill_profile(small: SmallZoo, folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill it, run it again, and so on; a store that gets finished is checked and a new one begun."""
    found = Finding("`kill -9` of `profile`", "at a random moment of its run, then the same command again")
    rng = random.Random(100 * seed + 1)
    finished, kept, number = 0, 0, 0
    store = folder / "kill0.db"
    while found.times < times:
        before = answers(store)
        options = ("--only", "predictions", "--workers", rng.choice((1, 2)))
        process = subprocess.Popen(
            premodel(*profile_words(small, store, *options)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Most kills fall where rows are being committed, the others anywhere, such as in the making of the store.
        while found.times % 5 and process.poll() is None and len(answers(store)) <= len(before):
            time.sleep(0.02)
        try:
            process.wait(rng.uniform(0.02, 0.6) if found.times % 5 else rng.uniform(0.1, 2.5))
        except subprocess.TimeoutExpired:
            before |= answers(store)  # committed while it was running
            process.kill()
            process.wait()
        after = answers(store)
        found.expect(all(after.get(key) == row for key, row in before.items()), "a committed row was lost or replaced")
        if process.returncode == -signal.SIGKILL:
            found.times += 1
            kept += len(after) > 0
            found.expect(
                found.times < times or times < 5 or kept > 0, "no kill fell behind a commit: nothing was tried"
            )
        else:
            found.expect(process.returncode == 0, f"exit code {process.returncode}")
        if process.returncode == 0 or found.times == times:
            _finish(small, store, found)
            finished, number = finished + 1, number + 1
            store = folder / f"kill{number}.db"
    found.seen = f"{kept} of {times} kills left rows, all of which stayed as they were; {finished} stores completed"
    return found


def _finish(small: SmallZoo, store: Path, found: Finding) -> None:
    done = run(*profile_words(small, store, "--only", "predictions"))
    found.expect(done.returncode == 0, f"the run to the end: {done.stderr[-300:]}")
    n, m, _ = small.probabilities.shape
    found.expect(len(answers(store)) == n * m, "not every answer is there once")
    right = (small.probabilities.argmax(axis=2) == small.truth[:, None]).sum(0)
    tables = load_tables(store, passes=("predictions",))
    found.expect(bool(np.array_equal(tables.correct("top1").sum(0), right)), "an answer is not the model's")


def kill_train(store: Path, folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill it while it trains and packages; the file is absent or whole, and once there it stays whole."""
    found = Finding(
        "`kill -9` of `train`", "at a random moment of training and packaging, over an older bundle half the time"
    )
    rng = random.Random(100 * seed + 2)
    out, words = folder / "killed.premodel", ("--policy", "cascade", "--embed")
    start = time.monotonic()
    done = run("train", store, "--out", out, *words)
    found.expect(done.returncode == 0, done.stderr[-300:])
    length, reference = time.monotonic() - start, out.read_bytes()
    there = 0
    while found.times < times:
        out.unlink(missing_ok=True)
        if rng.random() < 0.5:
            out.write_bytes(reference)
        process = subprocess.Popen(premodel("train", store, "--out", out, *words), stdout=-3, stderr=-3)
        try:
            process.wait(rng.uniform(0.4, 1.05) * length)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        found.times += process.returncode == -signal.SIGKILL
        if out.exists():
            there += 1
            _whole(out, found)
            found.expect(out.read_bytes() == reference, "another bundle than an undisturbed run writes")
    parts = len(list(folder.glob(".killed.premodel.*.part")))
    found.seen = (
        f"{there} times a bundle was there, each byte for byte that of an undisturbed run; "
        f"{parts} hidden `.part` files left"
    )
    return found


def _whole(path: Path, found: Finding) -> None:
    try:
        read_bundle(path)
    except PremodelError as error:
        found.failures.append(f"a half-written bundle: {error}")


def kill_writer(first: Path, second: Path, folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill a process that does nothing but replace one embedding bundle by another."""
    found = Finding(
        "`kill -9` while packaging",
        "a process that writes two large bundles by turns to one path, killed at a random moment",
    )
    rng = random.Random(100 * seed + 3)
    goal = folder / "goal.premodel"
    sizes: dict[int, int] = {}
    for _ in range(times):
        command = [sys.executable, "-c", WRITE_FOREVER, str(first), str(second), str(goal)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.6))
        process.kill()
        process.communicate()
        found.times += 1
        if goal.exists():
            _whole(goal, found)
            sizes[goal.stat().st_size] = sizes.get(goal.stat().st_size, 0) + 1
    half = sum(path.stat().st_size > 0 for path in folder.glob(".goal.premodel.*.part"))
    found.expect(len(sizes) <= 2, f"bundles of {len(sizes)} sizes")
    found.seen = (
        f"a whole bundle at the path after {sum(sizes.values())} kills; "
        f"{half} fell into a write and left a hidden `.part` file"
    )
    return found


def kill_pull(folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill it while it downloads; what has a model's name is whole, and the next run goes on."""
    found = Finding("`kill -9` of `zoo pull`", "at a random moment of downloading, then the same command again")
    rng = random.Random(100 * seed + 4)
    contents = [np.random.default_rng(number).bytes(6 << 20) for number in range(3)]
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    complete = 0
    with flaky_server() as server:
        urls = [server.add(f"/m{number}", content) for number, content in enumerate(contents)]
        manifest = _pull_manifest(folder / "from", contents, urls)
        for goal in _goals(folder):
            if found.times >= times:
                break
            killed = True
            while killed:
                command = premodel("zoo", "pull", manifest, "--dest", goal)
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                while process.poll() is None and not _has_begun(goal):
                    time.sleep(0.005)
                try:
                    process.communicate(timeout=rng.uniform(0, 0.2) if found.times < times else 600)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                killed = process.returncode == -signal.SIGKILL
                found.times += killed
                for number, content in enumerate(contents):
                    file = goal / "models" / f"m{number}.onnx"
                    found.expect(not file.exists() or file.read_bytes() == content, f"{file.name} is not whole")
                found.expect(killed or process.returncode == 0, f"exit code {process.returncode}")
            complete += all((goal / "models" / f"m{number}.onnx").exists() for number in range(3))
        resumed = sum("Range" in request for page in server.pages.values() for request in page.requests)
    found.expect(complete >= 1, "no pull was completed")
    found.seen = (
        f"no file under a model's name was ever half; {resumed} requests went on where a file had been cut; "
        f"{complete} pulls completed"
    )
    return found


def _has_begun(goal: Path) -> bool:
    return any(path.is_file() and path.stat().st_size > 0 for path in goal.rglob("*") if path.name.endswith(".part"))


def _goals(folder: Path) -> Iterator[Path]:
    for number in range(1000):
        yield folder / f"pulled{number}"


def _pull_manifest(folder: Path, contents: list[bytes], urls: list[str]) -> Path:
    folder.mkdir()
    (folder / "names.txt").write_text("cat\ndog\n")
    text = 'name = "flaky"\ntask = "image-classification"\nlabels = "names.txt"\n'
    for number, (content, url) in enumerate(zip(contents, urls, strict=True)):
        fields = {
            "name": f"m{number}", "file": f"models/m{number}.onnx", "runtime": "onnx", "url": url,
            "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        text += "[[models]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
        text += (
            'input = { size = [8, 8], layout = "NCHW", dtype = "float32", resize = "squash", crop_fraction = 1.0, '
            'interpolation = "bilinear" }\noutput = { activation = "none" }\n'
        )
    (folder / "zoo.toml").write_text(text)
    return folder / "zoo.toml"


def kill_outputs(store: Path, folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill whatever writes one file from a store; the file is the old one, or whole, and nothing else can be seen."""
    found = Finding(
        "`kill -9` of `store export` and `report`",
        "to CSV, Parquet, a new store and an older one, and a page; at a random moment of a run, over an older file "
        "half the time",
    )
    rng = random.Random(100 * seed + 9)
    place = folder / "outputs"
    place.mkdir()
    kinds = {
        "out.csv": ["store", "export", store, "--to", place / "out.csv"],
        "out.parquet": ["store", "export", store, "--to", place / "out.parquet"],
        "out.db": ["store", "export", store, "--to", place / "out.db"],
        "out.html": ["report", store, "--out", place / "out.html"],
    }
    lengths: dict[str, float] = {}
    references: dict[str, bytes] = {}
    for name, words in kinds.items():
        start = time.monotonic()
        code = _in_child(words, None)
        found.expect(code == 0, f"{name}: exit code {code}")
        lengths[name] = time.monotonic() - start
        references[name] = (place / name).read_bytes()
    killed = whole = 0
    while found.times < times:
        name = rng.choice(tuple(kinds))
        file = place / name
        old = references[name] if rng.random() < 0.5 else None
        for other in place.iterdir():
            if not other.name.startswith("."):
                other.unlink()
        if old is not None:
            file.write_bytes(old)
        killed += _in_child(kinds[name], rng.uniform(0, 1.1) * lengths[name]) == -signal.SIGKILL
        found.times += 1
        seen = sorted(one.name for one in place.iterdir() if not one.name.startswith(".") and one.suffix != "")
        allowed = {name, f"{name}-wal", f"{name}-shm"} if name.endswith(".db") and old is not None else {name}
        found.expect(set(seen) <= allowed, f"{name}: left behind {seen}")
        if old is not None or file.exists():
            whole += 1
            found.expect(_same_output(file, references[name]), f"{name}: neither the old one nor a whole one")
    found.seen = (
        f"{killed} were killed before their end; {whole} times a file was there, each whole; nothing else to be seen"
    )
    return found


def _same_output(file: Path, reference: bytes) -> bool:
    if file.suffix == ".db":
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT count(*) FROM predictions").fetchone()[0]
            right = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        copy = file.with_name(".reference.db")
        copy.write_bytes(reference)
        with closing(sqlite3.connect(copy)) as connection:
            return bool(right and rows == connection.execute("SELECT count(*) FROM predictions").fetchone()[0])
    data = file.read_bytes()
    return data == reference or (file.suffix == ".html" and data.rstrip().endswith(b"</html>"))


def _in_child(words: Sequence[object], seconds: float | None) -> int:
    """Run a command in a child of this process, which has all modules loaded; killed after so many seconds."""
    child = os.fork()
    if not child:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            os._exit(main([str(word) for word in words]))
        finally:
            os._exit(99)
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, 0 if end is None else os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            end = None
        time.sleep(0.002)


def kill_migration(store: Path, folder: Path, times: int, seed: int = 0) -> Finding:
    """Kill the opening of a store of an older schema version; afterwards it opens, and holds what it held."""
    found = Finding("`kill -9` of a migration", "a store of schema version 2 opened, killed at a random moment")
    rng = random.Random(100 * seed + 10)
    before = answers(store)
    old = folder / "old.db"
    shutil.copyfile(store, old)
    _to_version_2(old)
    start = time.monotonic()
    copy = folder / "migrated.db"
    shutil.copyfile(old, copy)
    found.expect(_in_child(["store", "info", copy], None) == 0, "an undisturbed migration failed")
    length = time.monotonic() - start
    features = _feature_bytes(copy)
    killed = 0
    for _ in range(times):
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(old, copy)
        killed += _in_child(["store", "info", copy], rng.uniform(0, 1.0) * length) == -signal.SIGKILL
        found.times += 1
        found.expect(answers(copy) == before, "an answer was lost")
        found.expect(_feature_bytes(copy) == features, "a feature was lost")
    found.seen = f"{killed} were killed before their end; every store opened afterwards and held all it had"
    return found


def _to_version_2(file: Path) -> None:
    """Lay the features of a store out as schema version 2 did: a row for each family."""
    with closing(sqlite3.connect(file)) as connection, connection:
        described = dict(connection.execute("SELECT version, names FROM extractors"))
        for group in [version for version in described if version.startswith("families:")]:
            place = 1
            for key in json.loads(described[group]):
                width = 4 * len(json.loads(described[key]))
                connection.execute(
                    "INSERT INTO features SELECT ?, sample, substr(vector, ?, ?) FROM features WHERE version = ?",
                    (key, place, width, group),
                )
                place += width
            connection.execute("DELETE FROM features WHERE version = ?", (group,))
            connection.execute("DELETE FROM extractors WHERE version = ?", (group,))
        connection.execute("UPDATE premodel_store SET value = '2' WHERE name = 'schema_version'")


def _feature_bytes(file: Path) -> list[tuple[str, bytes]]:
    with Store(file), closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT sample, vector FROM features ORDER BY sample, version").fetchall()
    return [(str(sample), bytes(vector)) for sample, vector in rows]
