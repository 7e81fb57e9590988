"""Fake boards for the tests of energy: a tree of sysfs files, and a time in which nothing waits.

`from boards import FakeTime, write_rail` in any test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class FakeTime:
    """Time passes only by `advance` and `sleep`; what is done every so often is done on the way.

    Parameters
    ----------
    show:
        Called before anything reads the hardware, with the time in seconds; writes what the hardware shows.
    """

    def __init__(self, show: Callable[[float], None] = lambda _: None) -> None:
        self.seconds = 0.0
        self.sleeping = False
        self.show = show
        self._tasks: list[_Task] = []
        show(0.0)

    def now_s(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.sleeping = True
        self.advance(0.0)
        self.advance(seconds)
        self.sleeping = False

    def every(self, period_s: float, work: Callable[[], bool]) -> Callable[[], None]:
        task = _Task(self.seconds + period_s, period_s, work)
        self._tasks.append(task)

        def stop() -> None:
            if task in self._tasks:
                self._tasks.remove(task)

        return stop

    def advance(self, seconds: float) -> None:
        end = self.seconds + seconds
        self.show(self.seconds)
        while due := [task for task in self._tasks if task.next_s <= end]:
            task = min(due, key=lambda one: one.next_s)
            self.seconds = max(self.seconds, task.next_s)
            self.show(self.seconds)
            task.next_s += task.period_s
            if not task.work():
                self._tasks.remove(task)
        self.seconds = end
        self.show(end)

    @property
    def tasks(self) -> int:
        return len(self._tasks)


class _Task:
    def __init__(self, next_s: float, period_s: float, work: Callable[[], bool]) -> None:
        self.next_s, self.period_s, self.work = next_s, period_s, work


Write = Callable[[float], None]


def write_rail(
    sysfs: Path, label: str, number: int = 1, chip: str = "ina3221", hwmon: int = 0, update_ms: int | None = 1
) -> Write:
    """One rail of voltage (5 V) and current; gives what sets its watts."""
    folder = sysfs / f"class/hwmon/hwmon{hwmon}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{chip}\n")
    if update_ms is not None:
        (folder / "update_interval").write_text(f"{update_ms}\n")
    if label:
        (folder / f"in{number}_label").write_text(f"{label}\n")
    (folder / f"in{number}_input").write_text("5000\n")
    return _writer(folder / f"curr{number}_input", 200)


def write_power(sysfs: Path, label: str, number: int = 1, chip: str = "ina226", hwmon: int = 0) -> Write:
    """One rail of power in microwatts."""
    folder = sysfs / f"class/hwmon/hwmon{hwmon}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{chip}\n")
    if label:
        (folder / f"power{number}_label").write_text(f"{label}\n")
    return _writer(folder / f"power{number}_input", 1e6)


def write_iio(sysfs: Path, label: str, number: int = 0) -> Write:
    """One rail as Jetsons showed it before JetPack 5, milliwatts."""
    folder = sysfs / "bus/iio/devices/iio:device0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text("ina3221x\n")
    (folder / f"rail_name_{number}").write_text(f"{label}\n")
    return _writer(folder / f"in_power{number}_input", 1000)


def write_domain(sysfs: Path, folder_name: str, name: str, range_uj: int = 262143328850) -> Write:
    """One domain of RAPL; gives what sets its joules since the start, wrapped as the hardware does."""
    folder = sysfs / "class/powercap" / folder_name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    file = folder / "energy_uj"
    file.write_text("0\n")
    return lambda joules: _put(file, f"{round(joules * 1e6) % range_uj}\n")


def _writer(file: Path, factor: float) -> Write:
    last: list[str] = []

    def write(watts: float) -> None:
        text = f"{round(watts * factor)}\n"
        if last != [text]:
            file.write_text(text)
            last[:] = [text]

    write(0.0)
    return write


def _put(file: Path, text: str) -> None:
    file.write_text(text)


@contextmanager
def opened(meter: object) -> Iterator[None]:
    """Open and close a meter."""
    meter.open()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        meter.close()  # type: ignore[attr-defined]


def deny(monkeypatch: object, denied: Path) -> None:
    """Make reading a file fail as for a user without permission; root may read everything."""
    read_text = Path.read_text

    def refuse(path: Path, *args: object, **options: object) -> str:
        if path == denied:
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", refuse)  # type: ignore[attr-defined]
