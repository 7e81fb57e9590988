"""Power rails of a board: hwmon (INA3221 of a Jetson, INA2xx, a server's power meter) and the older iio of Jetsons.

Which rails are counted, for one kind of chip (all chips of one driver together):

1. a rail whose label states that it is the board's input (TOTALS) stands alone, because it contains all others;
2. else the rails of a known board that together are the whole and do not contain each other (PARTITIONS);
3. else a rail that is the only one;
4. else nothing, because which rail contains which is not known: the user names those to be added up.

Only the first two, and the power meter of a server, are taken to be the whole board and used without being asked for.
Rails of chips of different kinds are never added up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from premodel.profiling.meters.base import MeterError, Time, read_number, read_text
from premodel.profiling.meters.sampled import SampledMeter

TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")
"""Labels of the board's input: Jetson TX2, Xavier NX, Orin NX and Orin Nano; Nano; Thor."""
PARTITIONS = (frozenset({"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}),)
"""Jetson AGX Orin: VDDQ_VDD2_1V8AO is fed from VIN_SYS_5V0, so it is not counted again."""
WHOLE_CHIPS = ("power_meter",)
"""hwmon drivers whose one rail is the whole machine: the ACPI power meter."""


@dataclass(frozen=True)
class Rail:
    """One rail: a file of power, or one of voltage and one of current.

    Attributes
    ----------
    chip:
        Name of the driver.
    label:
        Of the rail, else the name of its file.
    files:
        Whose product is the power.
    watts:
        Worth of that product in watts.
    update_s:
        How often the chip has a new number; 0 if it does not say.
    """

    chip: str
    label: str
    files: tuple[Path, ...]
    watts: float
    update_s: float = 0.0

    def read_w(self) -> float:
        """Its power now, watts."""
        value = self.watts
        for file in self.files:
            value *= read_number(file)
        return value


def find_rails(sysfs: Path) -> dict[str, list[Rail]]:
    """All rails, by chip; those that are switched off are left out."""
    found: dict[str, list[Rail]] = {}
    for rail in [*_hwmon(sysfs), *_iio(sysfs)]:
        if not any(rail.label == other.label and rail.files == other.files for other in found.get(rail.chip, [])):
            found.setdefault(rail.chip, []).append(rail)
    return found


def whole_board(rails: Sequence[Rail]) -> list[Rail]:
    """The rails of one kind of chip that are the whole board, by rules 1 and 2; empty if there are none."""
    for label in TOTALS:
        total = [rail for rail in rails if rail.label.upper() == label]
        if total:
            return total[:1]
    for labels in PARTITIONS:
        parts = [rail for rail in rails if rail.label.upper() in labels]
        if len(parts) == len(labels):
            return parts
    return list(rails) if len(rails) == 1 and rails[0].chip in WHOLE_CHIPS else []


def choose_rails(rails: Sequence[Rail], wanted: Sequence[str] = ()) -> list[Rail]:
    """The rails of one kind of chip to be added up.

    Raises
    ------
    MeterError
        A wanted label is not there, or none is wanted and which rails contain others is not known.
    """
    labels = ", ".join(rail.label for rail in rails)
    if wanted:
        by_label = {rail.label: rail for rail in rails}
        missing = [label for label in wanted if label not in by_label]
        if missing:
            raise MeterError(f"{rails[0].chip} has no rail {missing[0]}; it has {labels}")
        return [by_label[label] for label in dict.fromkeys(wanted)]
    whole = whole_board(rails) or (list(rails) if len(rails) == 1 else [])
    if not whole:
        chip = rails[0].chip
        raise MeterError(
            f"which of the rails {labels} of {chip} contain others is not known; "
            f"name those to be added up: --energy hwmon:{chip}/A+B"
        )
    return whole


def rails_meter(name: str, rails: Sequence[Rail], time: Time) -> SampledMeter:
    """A meter of the sum of rails of one chip."""

    def read_w() -> tuple[float, ...]:
        return tuple(rail.read_w() for rail in rails)

    scope = " + ".join(rail.label for rail in rails)
    update_s = min(rail.update_s for rail in rails)
    return SampledMeter(name, scope, read_w, time, update_s)


def _hwmon(sysfs: Path) -> Iterable[Rail]:
    for folder in _in_order(sysfs / "class/hwmon", "hwmon*"):
        chip = read_text(folder / "name") or folder.name
        interval = read_text(folder / "update_interval")
        update_s = int(interval) / 1e3 if interval.isdigit() else 0.0
        for power in _in_order(folder, "power*_*"):
            match = re.fullmatch(r"(power\d+)_(input|average)", power.name)
            # Where a chip has both, the momentary one is sampled.
            if match and not (match[2] == "average" and (folder / f"{match[1]}_input").exists()):
                label = read_text(folder / f"{match[1]}_label") or match[1]
                yield from _if_on(Rail(chip, label, (power,), 1e-6, update_s))
        for current in _in_order(folder, "curr*_input"):
            number = current.name.removeprefix("curr").removesuffix("_input")
            voltage = folder / f"in{number}_input"
            if voltage.exists() and not (folder / f"power{number}_input").exists():
                label = read_text(folder / f"in{number}_label") or read_text(folder / f"curr{number}_label")
                yield from _if_on(Rail(chip, label or f"in{number}", (voltage, current), 1e-6, update_s))


def _iio(sysfs: Path) -> Iterable[Rail]:
    for folder in _in_order(sysfs / "bus/iio/devices", "iio:device*"):
        chip = read_text(folder / "name") or folder.name
        for power in _in_order(folder, "in_power*_input"):
            number = power.name.removeprefix("in_power").removesuffix("_input")
            label = read_text(folder / f"rail_name_{number}") or f"in_power{number}"
            yield from _if_on(Rail(chip, label, (power,), 1e-3))


def _if_on(rail: Rail) -> Iterable[Rail]:
    """The rail, unless it is not connected or switched off; one that may not be read is kept, to say so later."""
    if rail.label.upper() in ("NC", "NULL"):
        return
    try:
        rail.read_w()
    except MeterError as error:
        if "permission denied" not in str(error):
            return
    yield rail


def _in_order(folder: Path, pattern: str) -> list[Path]:
    def key(path: Path) -> list[int | str]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

    return sorted(folder.glob(pattern), key=key)
