"""Clock, temperature and throttling of this machine, as far as Linux tells them; what it does not tell is None."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from premodel.profiling.meters.base import MeterError, read_number, read_text

SYSFS, PROC = Path("/sys"), Path("/proc")
PLAUSIBLE_CELSIUS = (-50.0, 150.0)
"""Sensors that are not connected show other numbers."""
COOLED = re.compile(r"processor|cpu|gpu|devfreq", re.IGNORECASE)
"""Cooling devices that hold a clock back, not fans."""
FIRMWARE_NOW = 0b1111
"""Bits of a Raspberry Pi's get_throttled that hold now: under-voltage, capped, throttled, soft temperature limit."""


@dataclass(frozen=True)
class State:
    """The machine at one moment.

    Attributes
    ----------
    mhz:
        Mean clock of the cores.
    celsius:
        Highest temperature of all sensors.
    events:
        Throttling events counted since the machine was started.
    held_back:
        Is the clock held back right now.
    """

    mhz: float | None = None
    celsius: float | None = None
    events: float | None = None
    held_back: bool | None = None


class BoardState:
    """Reads the state of a machine.

    Parameters
    ----------
    sysfs, proc:
        Where the kernel shows it.
    """

    def __init__(self, sysfs: Path = SYSFS, proc: Path = PROC) -> None:
        self._proc = proc
        cores = sysfs / "devices/system/cpu"
        self._clocks = sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
        self._temperatures = [
            *sorted((sysfs / "class/thermal").glob("thermal_zone*/temp")),
            *sorted((sysfs / "class/hwmon").glob("hwmon*/temp*_input")),
        ]
        self._counters = sorted(cores.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
        self._cooling = [
            device / "cur_state"
            for device in sorted((sysfs / "class/thermal").glob("cooling_device*"))
            if COOLED.search(read_text(device / "type"))
        ]
        self._firmware = sorted((sysfs / "devices/platform").glob("*/*/get_throttled"))

    def read(self) -> State:
        """The state now; a file that cannot be read any more is left out."""
        clocks = [khz / 1e3 for khz in map(_number, self._clocks) if khz is not None and khz > 0]
        found = [milli / 1e3 for milli in map(_number, self._temperatures) if milli is not None]
        low, high = PLAUSIBLE_CELSIUS
        events = [count for count in map(_number, self._counters) if count is not None]
        held = [level > 0 for level in map(_number, self._cooling) if level is not None]
        held += [bool(mask & FIRMWARE_NOW) for mask in map(_mask, self._firmware) if mask is not None]
        return State(
            mhz=_mean(clocks) or self._cpuinfo_mhz(),
            celsius=max((one for one in found if low < one < high), default=None),
            events=sum(events) if events else None,
            held_back=any(held) if held else None,
        )

    def _cpuinfo_mhz(self) -> float | None:
        """As /proc/cpuinfo shows it; a virtual machine shows the same number for ever."""
        text = read_text(self._proc / "cpuinfo")
        return _mean([float(one) for one in re.findall(r"^cpu MHz\s*:\s*(\d+(?:\.\d+)?)\s*$", text, re.MULTILINE)])


def throttled_between(before: State, after: State) -> float | None:
    """How often the clock was held back between two readings: events counted, else 1 if it is held back at the end.

    Examples
    --------
    >>> throttled_between(State(events=4), State(events=9, held_back=False))
    5.0
    >>> throttled_between(State(), State(held_back=True)), throttled_between(State(), State())
    (1.0, None)
    """
    counted = None if before.events is None or after.events is None else max(0.0, float(after.events - before.events))
    if after.held_back is None:
        return counted
    return max(counted or 0.0, float(after.held_back))


def _number(file: Path) -> float | None:
    try:
        value = read_number(file)
    except MeterError:
        return None
    return value if math.isfinite(value) else None


def _mask(file: Path) -> int | None:
    try:
        return int(read_text(file), 16)
    except ValueError:
        return None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
