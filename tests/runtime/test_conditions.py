"""What the system allows this process, and what is reported when more is asked for."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from premodel.backends.registry import BACKENDS
from premodel.runtime import conditions
from premodel.runtime.conditions import cores, cpu_quota, crowded, too_many_threads, usable_cores
from toys import ToyBackend


def groups(folder: Path, membership: str, files: dict[str, str]) -> float | None:
    (folder / "cgroup").write_text(membership)
    for name, text in files.items():
        (folder / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "fs" / name).write_text(text)
    return cpu_quota(folder / "cgroup", folder / "fs")


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000"}, 0.5),
        ("4:cpu,cpuacct:/d\n", {"cpu/d/cpu.cfs_quota_us": "300000", "cpu/d/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:cpu,cpuacct:/d\n", {"cpu/d/cpu.cfs_quota_us": "-1", "cpu/d/cpu.cfs_period_us": "100000"}, None),
        ("4:cpuset:/d\n", {"cpu/d/cpu.cfs_quota_us": "300000", "cpu/d/cpu.cfs_period_us": "100000"}, None),
        ("0::/../x\n", {"cpu.max": "nonsense"}, None),
        ("", {}, None),
    ],
)
def test_the_lowest_limit_of_all_groups_holds(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    assert groups(tmp_path, membership, files) == quota


@pytest.mark.parametrize(("quota", "usable"), [(None, 8), (0.2, 1), (1.5, 2), (4.0, 4), (64.0, 8)])
def test_workers_follow_the_quota(monkeypatch: pytest.MonkeyPatch, quota: float | None, usable: int) -> None:
    monkeypatch.setattr(conditions, "cores", lambda: 8)
    monkeypatch.setattr(conditions, "cpu_quota", lambda: quota)
    assert usable_cores() == usable


def test_threads_above_the_quota_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "cores", lambda: 8)
    monkeypatch.setattr(conditions, "cpu_quota", lambda: 2.0)
    said = too_many_threads({"a": 4, "b": 2, "OpenCV": 1})
    assert said.startswith("4 threads of a share 8 cores, of whose time the control group allows 2")
    assert too_many_threads({"a": 2}) == ""


def test_this_process_may_use_a_core() -> None:
    assert 1 <= usable_cores() <= cores()


@pytest.mark.parametrize(
    ("threads", "n_cores", "quota", "named"),
    [(4, 2, None, True), (2, 2, None, False), (4, 8, 2.0, True), (3, 8, 2.5, False), (1, 1, 0.2, False)],
)
def test_threads_of_a_profile_are_judged_by_its_own_machine(
    threads: int, n_cores: int, quota: float | None, named: bool
) -> None:
    assert (crowded({"every candidate": threads}, n_cores, quota) != "") == named


def test_the_version_of_a_runtime_from_outside_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "toy", "toys:ToyBackend")
    monkeypatch.setattr(ToyBackend, "package", "pytest")
    assert conditions.measure_conditions("board", 1).versions["pytest"] == metadata.version("pytest")
