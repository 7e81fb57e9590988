"""Which meter is used: found, proved, chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from premodel.errors import OptionError
from premodel.profiling.meters.base import Meter, MeterError, Time
from premodel.profiling.meters.nvml import nvml_meter
from premodel.profiling.meters.rails import choose_rails, find_rails, rails_meter, whole_board
from premodel.profiling.meters.rapl import rapl_meter
from premodel.profiling.meters.zeus import zeus_meter

SYSFS = Path("/sys")
AUTO, OFF = "auto", "off"
ALLOWED = "auto, off, hwmon:CHIP, hwmon:CHIP/RAIL+RAIL, rapl, rapl:psys, nvml, nvml:N, zeus, or several with commas"
PROOF_S = 3.0
"""How long a meter has, under load, to show another reading than its first."""
NONE_FOUND = "no board power rail, no RAPL, no NVML of a GPU in use, no zeus"


@dataclass(frozen=True)
class Place:
    """Where meters are looked for.

    Attributes
    ----------
    sysfs:
        Root of sysfs.
    time:
        The time they live in.
    uses_gpu:
        Does any candidate run on a GPU; the meter of one that does not is only noise.
    """

    sysfs: Path
    time: Time
    uses_gpu: bool


@dataclass(frozen=True)
class Choice:
    """An opened meter that proved itself, or None, and why each of the others was not taken."""

    meter: Meter | None
    reasons: tuple[str, ...]


class SummedMeter:
    """Several meters whose scopes do not contain each other, such as a processor's and a GPU's."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self.name = ",".join(meter.name for meter in meters)
        self.method = ", ".join(dict.fromkeys(meter.method for meter in meters))
        self.scope = " + ".join(meter.scope for meter in meters)

    def open(self) -> None:
        """Open all."""
        for meter in self._meters:
            meter.open()

    def energy_j(self) -> float:
        """The sum of their joules."""
        return sum(meter.energy_j() for meter in self._meters)

    def raw(self) -> tuple[float, ...]:
        """What all of them show."""
        return tuple(value for meter in self._meters for value in meter.raw())

    def close(self) -> None:
        """Close all."""
        for meter in self._meters:
            meter.close()


def check_choice(choice: str) -> None:
    """Raise OptionError unless this can be the name of a meter, "auto" or "off"."""
    if choice in (AUTO, OFF):
        return
    for item in choice.split(","):
        kind, _, detail = item.partition(":")
        right = {
            "hwmon": bool(detail),
            "rapl": item in ("rapl", "rapl:psys"),
            "nvml": item == "nvml" or detail.isdecimal(),
            "zeus": item == "zeus",
        }
        if not right.get(kind, False):
            raise OptionError("unknown energy meter", given=choice, allowed=ALLOWED)


def choose_meter(choice: str, place: Place, load: Callable[[], None]) -> Choice:
    """Find the meter to be used, and prove it.

    Parameters
    ----------
    choice:
        "auto", or the names of meters that are to be added up; it passed `check_choice`.
    load:
        Does some of the work that is to be measured.

    Notes
    -----
    "auto" takes the first that proves itself: the whole board's rails; RAPL, with NVML if a candidate uses a GPU; zeus.
    A meter that was asked for must prove itself, else there is none.
    """
    if choice == AUTO:
        return _automatic(place, load)
    meters: list[Meter] = []
    for item in choice.split(","):
        meter, reason = _proven(lambda item=item: _named(item, place), place.time, load)  # type: ignore[misc]
        if meter is None:
            _close(meters)
            return Choice(None, (f"{item}: {reason}",))
        meters.append(meter)
    return Choice(_summed(meters), ())


def _automatic(place: Place, load: Callable[[], None]) -> Choice:
    reasons: list[str] = []

    def proven(tries: Iterable[tuple[str, Callable[[], Meter]]]) -> Iterable[Meter]:
        for name, make in tries:
            meter, reason = _proven(make, place.time, load)
            if meter is None:
                reasons.append(f"{name}: {reason}")
            else:
                yield meter

    for meter in proven(_boards(place)):
        return Choice(meter, tuple(reasons))
    parts: list[tuple[str, Callable[[], Meter]]] = [("rapl", lambda: rapl_meter(place.sysfs))]
    if place.uses_gpu:
        parts.append(("nvml", lambda: nvml_meter(place.time)))
    meters = list(proven(parts)) or list(proven([("zeus", lambda: zeus_meter(gpus=place.uses_gpu))]))
    return Choice(_summed(meters) if meters else None, tuple(reasons))


def _boards(place: Place) -> Iterable[tuple[str, Callable[[], Meter]]]:
    for chip, rails in find_rails(place.sysfs).items():
        whole = whole_board(rails)
        if whole:
            name = f"hwmon:{chip}"
            yield name, lambda name=name, whole=whole: rails_meter(name, whole, place.time)  # type: ignore[misc]


def _named(item: str, place: Place) -> Meter:
    kind, _, detail = item.partition(":")
    if kind == "rapl":
        return rapl_meter(place.sysfs, psys=detail == "psys")
    if kind == "nvml":
        return nvml_meter(place.time, int(detail) if detail else None)
    if kind == "zeus":
        return zeus_meter(gpus=place.uses_gpu)
    chip, _, labels = detail.partition("/")
    rails = find_rails(place.sysfs)
    if chip not in rails:
        raise MeterError(f"no chip {chip} with power rails; there are: {', '.join(rails) or 'none'}")
    return rails_meter(item, choose_rails(rails[chip], labels.split("+") if labels else ()), place.time)


def _proven(make: Callable[[], Meter], time: Time, load: Callable[[], None]) -> tuple[Meter | None, str]:
    """An opened meter whose readings changed under load, or None and why."""
    try:
        meter = make()
        meter.open()
    except MeterError as error:
        return None, str(error)
    try:
        first = meter.raw()
        start = time.now_s()
        while time.now_s() - start < PROOF_S:
            load()
            if meter.raw() != first:
                return meter, ""
    except MeterError as error:
        meter.close()
        return None, str(error)
    except BaseException:
        meter.close()
        raise
    meter.close()
    return None, f"its readings did not change in {PROOF_S:g} s of load"


def _summed(meters: Sequence[Meter]) -> Meter:
    return meters[0] if len(meters) == 1 else SummedMeter(meters)


def _close(meters: Iterable[Meter]) -> None:
    for meter in meters:
        meter.close()
