"""Where a profile is measured: the device's name, its processor, its libraries, and who else was using it."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from premodel.clock import now_ms
from premodel.records import Conditions
from premodel.version import __version__

LIBRARIES = ("numpy", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "ai-edge-litert", "openvino")
_BOARD = Path("/proc/device-tree/model")
_CPUINFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_STAT = Path("/proc/stat")


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


def governor() -> str:
    """CPU frequency governor; "unknown" where the system does not tell."""
    return _read(_GOVERNOR) or "unknown"


def measure_conditions(device: str, threads: int, seed: int | None = None) -> Conditions:
    """The conditions of a run on this machine."""
    versions = {"premodel": __version__, "python": platform.python_version(), "system": platform.platform()}
    versions |= dict(_versions(LIBRARIES))
    return Conditions(device, cpu_model(), cores(), governor(), threads, versions, seed)


class OtherLoad:
    """Measures how many cores other processes kept busy between its construction and `cores`.

    Notes
    -----
    The load average is of no use here: for a minute it still holds the pass that came before.
    """

    def __init__(self) -> None:
        self._start = self._now()

    def cores(self) -> float | None:
        """Cores busy with other work, on average; None where the system does not tell."""
        end = self._now()
        if self._start is None or end is None or end[0] <= self._start[0]:
            return None
        seconds, busy, own = (b - a for a, b in zip(self._start, end, strict=True))
        return max(0.0, (busy - own) / seconds)

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
