"""Short of disk, of permission and of memory."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from faults.finding import Finding, answers, cap, one_line, premodel, profile_words, run, without_powers
from premodel.runtime.bundle import read_bundle
from zoos import SmallZoo


def fill_disk(small: SmallZoo, folder: Path, times: int) -> Finding:
    """A small tmpfs where it may be mounted; else a limit on the size of every file written."""
    rng = random.Random(5)
    lines: Counter[str] = Counter()
    mounted = 0
    found = Finding("disk full during `profile`", "")
    whole = folder / "whole.db"
    run(*profile_words(small, whole, "--only", "predictions"))
    for number in range(times):
        size = rng.randint(90_000, 260_000)
        with _small_disk(folder / f"disk{number}", size) as (place, limited):
            mounted += not limited
            store = place / "s.db"
            limits = cap(resource.RLIMIT_FSIZE, size) if limited else None
            done = run(*profile_words(small, store, "--only", "predictions"), limits=limits)
            found.times += 1
            kept = answers(store)
            if done.returncode == 0:
                lines["completed"] += 1
                continue
            line = one_line(done)
            found.expect("is kept" in line or "cannot be written" in line, f"not one clear line: {done.stderr[-300:]}")
            lines["one clear line"] += 1
            if kept:
                rescued = folder / f"rescued{number}.db"
                for suffix in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copyfile(f"{store}{suffix}", f"{rescued}{suffix}")
                after = run(*profile_words(small, rescued, "--only", "predictions"))
                everything = answers(rescued)
                found.expect(after.returncode == 0, f"the run to the end: {after.stderr[-300:]}")
                found.expect(all(everything.get(key) == row for key, row in kept.items()), "a committed row was lost")
                found.expect(len(everything) == len(answers(whole)), "not every answer is there once")
    found.how = (
        f"a tmpfs of 90 to 260 kB ({mounted} of {times}), else RLIMIT_FSIZE of the same size; "
        "then with room the same command again"
    )
    found.seen = ", ".join(f"{what}: {count}" for what, count in lines.items()) + "; what was committed stayed"
    return found


@contextlib.contextmanager
def _small_disk(place: Path, size: int) -> Iterator[tuple[Path, bool]]:
    """The folder, and whether it must be limited otherwise."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield place, not mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def fill_disk_at_train(store: Path, folder: Path, times: int) -> Finding:
    """No room for the bundle: the old one stays."""
    found = Finding("disk full during `train`", "RLIMIT_FSIZE of 100 bytes to 40 kB, over an older bundle")
    rng = random.Random(6)
    out = folder / "full.premodel"
    run("train", store, "--out", out, "--policy", "single")
    old = out.read_bytes()
    for _ in range(times):
        limits = cap(resource.RLIMIT_FSIZE, rng.randint(100, 40_000))
        done = run("train", store, "--out", out, "--policy", "cascade", "--embed", limits=limits)
        found.times += 1
        found.expect(bool(one_line(done)), f"not one clear line: {done.stderr[-300:]}")
        found.expect(out.read_bytes() == old, "the old bundle was harmed")
    found.expect(not list(folder.glob(".full.premodel.*")), "something is left behind")
    found.seen = "one clear line each time; the old bundle stayed, nothing was left behind"
    return found


def read_only(small: SmallZoo, store: Path, bundle: Path, folder: Path) -> Finding:
    """Folders without write permission, for a process that permissions bind."""
    found = Finding("read-only folders", "mode 555, run without root's powers (setpriv) where root runs this")
    place = folder / "sealed"
    place.mkdir()
    shutil.copyfile(store, place / "s.db")
    shutil.copyfile(bundle, place / "b.premodel")
    for file in place.iterdir():
        file.chmod(stat.S_IRUSR | stat.S_IRGRP)
    place.chmod(0o555)
    refused = [
        profile_words(small, place / "new.db", "--only", "predictions"),
        profile_words(small, place / "s.db", "--only", "predictions", "--threads", 2),
        ["train", store, "--out", place / "new.premodel", "--policy", "single"],
        ["store", "export", store, "--to", place / "out.csv"],
        ["report", store, "--out", place / "report.html"],
    ]
    allowed = [
        ["store", "info", place / "s.db"],
        ["train", place / "s.db", "--out", folder / "elsewhere.premodel", "--policy", "single"],
        ["predict", place / "b.premodel", small.images[0]],
    ]
    before = sorted((path.name, path.read_bytes()) for path in place.iterdir())
    for words, works in [(words, False) for words in refused] + [(words, True) for words in allowed]:
        command = without_powers(premodel(*words))
        if command is None:
            return Finding(found.fault, found.how, 0, "not tried: root here, and setpriv cannot take its powers away")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        found.times += 1
        right = done.returncode == 0 if works else bool(one_line(done))
        found.expect(right, f"premodel {words[0]}: code {done.returncode}: {done.stderr[-300:]}")
    found.expect(sorted((path.name, path.read_bytes()) for path in place.iterdir()) == before, "something was written")
    place.chmod(0o755)
    found.seen = (
        f"{len(refused)} commands that would write ended in one clear line, {len(allowed)} that read did their work"
    )
    return found


def out_of_memory(small: SmallZoo, folder: Path, times: int) -> Finding:
    """One model is larger than the memory there is: said in one line, and the others can be profiled without it."""
    found = Finding("out of memory opening one model", "a recording of 2 GiB under RLIMIT_AS of 1.5 GB")
    zoo = folder / "big.toml"
    big = small.zoo.parent / "models" / "big.npz"
    with big.open("wb") as stream:
        stream.truncate(2 << 30)
    entry = small.zoo.read_text().split("[[models]]")[1]
    lines = [line for line in entry.splitlines() if not line.startswith(("name", "file", "sha256"))]
    extra = '[[models]]\nname = "big"\nfile = "models/big.npz"\n' + "\n".join(lines) + "\n"
    manifest = small.zoo.with_name(zoo.name)
    manifest.write_text(small.zoo.read_text() + extra)
    limits = cap(resource.RLIMIT_AS, 1_500_000_000)
    small_env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    said = ""
    for number in range(times):
        store = folder / f"memory{number}.db"
        words = ["profile", manifest, small.data, "--labels", small.labels, "--store", store, "--only", "predictions"]
        done = run(*words, limits=limits, env=small_env)
        said = one_line(done)
        found.expect("memory to open big" in said, f"not one clear line: code {done.returncode}: {done.stderr[-400:]}")
        done = run(*profile_words(small, store, "--only", "predictions"), limits=limits, env=small_env)
        found.expect(done.returncode == 0, f"without it: {done.stderr[-300:]}")
        found.times += 1
    big.unlink()
    manifest.unlink()
    found.seen = "one clear line that names the model; without that model the same store was filled"
    return found


def bundles_open(folder: Path) -> int:
    """Every file with a bundle's name opens, but for those made to be refused; gives their number."""
    files = [
        file for file in folder.rglob("*.premodel") if not file.relative_to(folder).parts[0].startswith("hostile-")
    ]
    for file in files:
        read_bundle(file)
    return len(files)
