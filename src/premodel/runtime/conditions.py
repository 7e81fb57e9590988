"""Where a profile is measured: the device's name, its processor, its libraries, and who else was using it."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from premodel.backends.registry import runtime_packages
from premodel.clock import now_ms
from premodel.records import Conditions
from premodel.version import __version__

LIBRARIES = ("numpy", "opencv-python-headless", "onnxruntime-gpu")
"""Besides those of the backends."""
BUSY_CORES = 0.2
"""Cores busy with other programs above which latencies are doubted."""
WHEN_IDLE = "on an idle machine; on one that is as busy as before the verdict will be the same"
"""Where to measure INVALID timings again."""
SHOWN_CORES, SHOWN_PROCESSES = 0.05, 3
_BOARD = Path("/proc/device-tree/model")
_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_STAT = Path("/proc/stat")
_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def device_name() -> str:
    """Name of this device: its board, else its processor, and the number of cores, such as "amd-epyc-7b13-2-cores".

    Notes
    -----
    Not the host name, which changes with every container: timings belong to the hardware, and the same command on the
    same hardware must find them again.
    """
    board = _read(_BOARD)
    slug = re.sub(r"[^a-z0-9]+", "-", (board or cpu_model()).lower()).strip("-")
    return f"{slug[:96]}-{cores()}-cores"


def cpu_model() -> str:
    """The processor as the system calls it."""
    for line in _read(_CPUINFO).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def cpu_quota(cgroup: Path = _CGROUP, root: Path = _CGROUPS) -> float | None:
    """Cores' worth of time that the control groups of this process allow, as a container's limit; None for no limit."""
    limits = []
    for line in _read(cgroup).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        folder = root if not controllers else root / "cpu" if "cpu" in controllers.split(",") else None
        if folder is None:
            continue
        inside = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(inside) + 1):  # the limit of every group around it holds too
            limits.append(_limit(folder.joinpath(*inside[:depth])))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(group: Path) -> float | None:
    """Of one group, of version 2 or 1."""
    text = _read(group / "cpu.max") or f"{_read(group / 'cpu.cfs_quota_us')} {_read(group / 'cpu.cfs_period_us')}"
    try:
        quota, period = (float(field) for field in text.split())
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def usable_cores() -> int:
    """Cores that are worth as many processes or threads: those allowed, within the quota, at least 1."""
    quota = cpu_quota()
    return cores() if quota is None else max(1, min(cores(), math.ceil(quota)))


def too_many_threads(threads: Mapping[str, int]) -> str:
    """Name what asks for more threads than there are cores to run them; empty if nothing does.

    Parameters
    ----------
    threads:
        By the name of what uses them.
    """
    return crowded(threads, cores(), cpu_quota())


def crowded(threads: Mapping[str, int], n_cores: int, quota: float | None) -> str:
    """As `too_many_threads`, on a machine of so many cores and such a quota."""
    usable = n_cores if quota is None else max(1, min(n_cores, math.ceil(quota)))
    names = [name for name, count in threads.items() if count > usable]
    if not names:
        return ""
    limit = f"{n_cores} cores" + ("" if quota is None else f", of whose time the control group allows {quota:g}")
    most = max(threads[name] for name in names)
    return f"{most} threads of {', '.join(names)} share {limit}; latencies are higher than with fewer threads"


def governor() -> str:
    """CPU frequency governor; "unknown" where the system does not tell."""
    return _read(_GOVERNOR) or "unknown"


def measure_conditions(device: str, threads: int, seed: int | None = None) -> Conditions:
    """The conditions of a run on this machine."""
    versions = {"premodel": __version__, "python": platform.python_version(), "system": platform.platform()}
    versions |= dict(_versions((*LIBRARIES, *runtime_packages())))
    return Conditions(device, cpu_model(), cores(), governor(), threads, versions, seed, cpu_quota())


class OtherLoad:
    """Measures how many cores other processes kept busy between its construction and `cores`.

    Notes
    -----
    The load average is of no use here: for a minute it still holds the pass that came before.
    """

    def __init__(self) -> None:
        self._start = self._now()
        self._processes = _process_seconds()

    def cores(self) -> float | None:
        """Cores busy with other work, on average; None where the system does not tell."""
        end = self._now()
        if self._start is None or end is None or end[0] <= self._start[0]:
            return None
        seconds, busy, own = (b - a for a, b in zip(self._start, end, strict=True))
        return max(0.0, (busy - own) / seconds)

    def processes(self) -> dict[str, float]:
        """The busiest other programs by name, with the cores that each kept busy; empty where the system hides them."""
        end = self._now()
        if self._start is None or end is None or end[0] <= self._start[0]:
            return {}
        found: dict[str, float] = {}
        for (pid, name), seconds in _process_seconds().items():
            busy = (seconds - self._processes.get((pid, name), 0.0)) / (end[0] - self._start[0])
            found[name] = found.get(name, 0.0) + max(0.0, busy)
        busiest = sorted(((busy, name) for name, busy in found.items() if busy >= SHOWN_CORES), reverse=True)
        return {name: round(busy, 2) for busy, name in busiest[:SHOWN_PROCESSES]}

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        fields = _read(_STAT).partition("\n")[0].split()
        if sys.platform != "linux" or len(fields) < 9 or fields[0] != "cpu":
            return None
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[1:9])
        ticks = os.sysconf("SC_CLK_TCK")
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return now_ms() / 1e3, (user + nice + system + irq + softirq + steal) / ticks, own


def busy_note(other_cores: float | None, processes: Mapping[str, float] | None = None) -> str:
    """The words on a machine that was not idle, by how many cores others kept busy; empty where it was idle enough."""
    if other_cores is None or other_cores <= BUSY_CORES:
        return ""
    names = ", ".join(f"{name} {busy:.1f}" for name, busy in (processes or {}).items())
    load = f"; load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") and not processes else ""
    return f"other programs kept {other_cores:.1f} cores busy" + (f" ({names})" if names else load)


def _process_seconds() -> dict[tuple[int, str], float]:
    """Processor time of every process but this one and its children, in seconds; empty where there is no /proc."""
    if sys.platform != "linux":
        return {}
    own, ticks = os.getpid(), os.sysconf("SC_CLK_TCK")
    found: dict[tuple[int, str], float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        head, _, rest = _read(folder / "stat").rpartition(")")
        pid, _, name = head.partition(" (")
        fields = rest.split()
        if len(fields) < 13 or not pid.isdecimal() or own in (int(pid), int(fields[1])):
            continue
        found[int(pid), name] = (int(fields[11]) + int(fields[12])) / ticks
    return found


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
