"""Intel and AMD RAPL through the powercap files of Linux.

Counted are the packages and, where there is such a domain, the memory. Cores and graphics (core, uncore) are part of
their package. `psys` is the whole platform on some laptops; it contains the packages, so it is a meter of its own,
used only when it is asked for. `intel-rapl-mmio` shows the same package a second time and is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from premodel.profiling.meters.base import MeterError, read_number, read_text
from premodel.profiling.meters.counter import Counter, CounterMeter

PERMISSION = "RAPL needs root, or read permission on energy_uj: see docs/energy.md"


def rapl_meter(sysfs: Path, *, psys: bool = False) -> CounterMeter:
    """The meter of packages and memory, or of the whole platform.

    Raises
    ------
    MeterError
        There is no such domain, or it may not be read.
    """
    domains = [(name, folder) for name, folder in _domains(sysfs) if (name == "psys") == psys]
    if not domains:
        raise MeterError("no psys domain of RAPL" if psys else "no RAPL in /sys/class/powercap")
    return CounterMeter("rapl:psys" if psys else "rapl", [_counter(name, folder) for name, folder in domains])


def _counter(name: str, folder: Path) -> Counter:
    file = folder / "energy_uj"

    def read_j() -> float:
        try:
            return read_number(file) / 1e6
        except MeterError as error:
            if isinstance(error.__cause__, PermissionError):
                raise MeterError(f"permission denied on {file}; {PERMISSION}") from error
            raise

    read_j()
    return Counter(name, read_j, read_number(folder / "max_energy_range_uj") / 1e6)


def _domains(sysfs: Path) -> Iterable[tuple[str, Path]]:
    for folder in sorted((sysfs / "class/powercap").glob("intel-rapl:*")):
        name = read_text(folder / "name")
        if re.fullmatch(r"package-\d+(-die-\d+)?|psys", name):
            yield name, folder
        elif name == "dram":
            parent = read_text(folder.parent / folder.name.rpartition(":")[0] / "name")
            yield f"{parent} dram".strip(), folder
