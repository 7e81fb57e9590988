"""Meters on fake hardware: known waveforms, wrap-around, refusals, and which of them is chosen."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from boards import FakeTime, deny, opened, write_domain, write_iio, write_power, write_rail
from premodel.errors import OptionError
from premodel.profiling.meters.base import MeterError, RealTime
from premodel.profiling.meters.counter import Counter, CounterMeter
from premodel.profiling.meters.meters import Place, check_choice, choose_meter
from premodel.profiling.meters.nvml import nvml_meter
from premodel.profiling.meters.rails import choose_rails, find_rails, rails_meter, whole_board
from premodel.profiling.meters.rapl import rapl_meter
from premodel.profiling.meters.sampled import SampledMeter
from premodel.profiling.meters.zeus import zeus_meter

# Watts at a time, and joules of the first second worked by hand. The square wave has 7.3 periods in it, of which seven
# halves and 0.3 are high: 3.8 / 7.3 s at 12 W, 3.5 / 7.3 s at 2 W.
WAVES: dict[str, tuple[Callable[[float], float], float]] = {
    "constant": (lambda t: 5.0, 5.0),
    "square": (lambda t: 12.0 if (t * 7.3) % 1 < 0.5 else 2.0, 52.6 / 7.3),
    "ramp": (lambda t: 1.0 + 2.0 * t, 2.0),
    "sine": (lambda t: 6.0 + 4.0 * math.sin(2 * math.pi * 10.0 * t), 6.0),
}
BOARDS = {"current": write_rail, "power": write_power, "iio": write_iio}
SEEN = [(wave, "current") for wave in WAVES] + [("square", "power"), ("ramp", "iio")]


@pytest.mark.parametrize(("wave", "board"), SEEN)
def test_waveforms_are_right_to_one_percent(wave: str, board: str, tmp_path: Path) -> None:
    watts, joules = WAVES[wave]
    write = BOARDS[board](tmp_path, "VDD_IN")
    time = FakeTime(lambda t: write(watts(t)))
    ((rails),) = find_rails(tmp_path).values()
    meter = rails_meter("board", rails, time)
    with opened(meter):
        assert meter.period_s == 1e-3
        time.advance(1.0)
        assert meter.energy_j() == pytest.approx(joules, rel=0.01)
    assert time.tasks == 0


def test_the_sum_of_rails_is_measured(tmp_path: Path) -> None:
    writes = [write_rail(tmp_path, label, n, update_ms=10) for n, label in enumerate(("A", "B"), 1)]

    def show(t: float) -> None:
        writes[0](2.0)
        writes[1](1.0 + t)

    time = FakeTime(show)
    meter = rails_meter("board", find_rails(tmp_path)["ina3221"], time)
    with opened(meter):
        time.advance(2.0)
        assert meter.energy_j() == pytest.approx(4.0 + 4.0, rel=0.01)
    assert meter.scope == "A + B"


def test_a_slow_chip_is_not_asked_more_often_than_it_has_news(tmp_path: Path) -> None:
    write_rail(tmp_path, "VDD_IN", update_ms=50)
    meter = rails_meter("board", find_rails(tmp_path)["ina3221"], FakeTime())
    with opened(meter):
        assert meter.period_s == 0.05
        assert meter.method == "power sampled every 50 ms"


def test_a_slow_bus_takes_at_most_a_tenth_of_a_core() -> None:
    time = FakeTime()

    def read_w() -> tuple[float, ...]:
        time.seconds += 0.002
        return (3.0,)

    meter = SampledMeter("m", "s", read_w, time)
    with opened(meter):
        assert meter.period_s == pytest.approx(0.02)


def test_a_counter_wraps(tmp_path: Path) -> None:
    write = write_domain(tmp_path, "intel-rapl:0", "package-0", range_uj=1_000_000)
    meter = rapl_meter(tmp_path)
    write(0.9)
    with opened(meter):
        for joules in (0.95, 1.4, 1.99, 2.5):
            write(joules)
            assert meter.energy_j() == pytest.approx(joules - 0.9)


def test_a_counter_without_a_range_may_not_go_backwards() -> None:
    shown = [5.0]
    meter = CounterMeter("c", [Counter("gpu", lambda: shown[0])])
    with opened(meter):
        shown[0] = 4.0
        with pytest.raises(MeterError, match="counter of gpu went backwards"):
            meter.energy_j()


def test_rapl_counts_packages_and_memory_once(tmp_path: Path) -> None:
    domains = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    writes = {folder: write_domain(tmp_path, folder, name) for folder, name in domains.items()}
    meter, platform = rapl_meter(tmp_path), rapl_meter(tmp_path, psys=True)
    assert (meter.scope, platform.scope) == ("package-0 + package-0 dram", "psys")
    with opened(meter), opened(platform):
        for folder, joules in zip(writes, (10.0, 4.0, 2.0, 30.0, 10.0), strict=True):
            writes[folder](joules)
        assert meter.energy_j() == pytest.approx(12.0)
        assert platform.energy_j() == pytest.approx(30.0)


def test_rapl_without_permission_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0")
    deny(monkeypatch, tmp_path / "class/powercap/intel-rapl:0/energy_uj")
    with pytest.raises(MeterError, match=r"permission denied on .*energy_uj; RAPL needs root"):
        rapl_meter(tmp_path)
    found = choose_meter("auto", Place(tmp_path, FakeTime(), False), lambda: None)
    assert found.meter is None
    assert found.reasons[0].startswith("rapl: permission denied")


# --- which rails ---


@pytest.mark.parametrize(
    ("labels", "whole"),
    [
        (("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"), ["VDD_IN"]),
        (("POM_5V_GPU", "POM_5V_IN", "POM_5V_CPU"), ["POM_5V_IN"]),
        (
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "NC", "VDDQ_VDD2_1V8AO"),
            ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"],
        ),
        (("LEFT", "RIGHT"), []),
        (("ONLY",), []),
    ],
)
def test_the_whole_board(labels: tuple[str, ...], whole: list[str], tmp_path: Path) -> None:
    for number, label in enumerate(labels, 1):
        write_rail(tmp_path, label, number)
    rails = find_rails(tmp_path)["ina3221"]
    assert [rail.label for rail in rails] == [label for label in labels if label != "NC"]
    assert [rail.label for rail in whole_board(rails)] == whole


def test_rails_that_may_contain_each_other_must_be_named(tmp_path: Path) -> None:
    for number, label in enumerate(("A", "B", "C"), 1):
        write_rail(tmp_path, label, number)
    rails = find_rails(tmp_path)["ina3221"]
    with pytest.raises(MeterError, match="which of the rails A, B, C of ina3221 contain others is not known"):
        choose_rails(rails)
    assert [rail.label for rail in choose_rails(rails, ("C", "A", "C"))] == ["C", "A"]
    with pytest.raises(MeterError, match="ina3221 has no rail D; it has A, B, C"):
        choose_rails(rails, ("D",))
    assert [rail.label for rail in choose_rails(rails[:1])] == ["A"]


def test_two_chips_of_one_driver_are_one_board_and_others_are_apart(tmp_path: Path) -> None:
    write_rail(tmp_path, "VDD_GPU_SOC", 1, hwmon=0)
    write_rail(tmp_path, "VDD_CPU_CV", 2, hwmon=0)
    write_rail(tmp_path, "VIN_SYS_5V0", 1, hwmon=10)
    write_power(tmp_path, "", chip="amdgpu", hwmon=2)
    rails = find_rails(tmp_path)
    assert {chip: len(found) for chip, found in rails.items()} == {"ina3221": 3, "amdgpu": 1}
    assert len(whole_board(rails["ina3221"])) == 3
    assert rails["amdgpu"][0].label == "power1"
    assert whole_board(rails["amdgpu"]) == []


def test_a_rail_that_is_switched_off_is_left_out(tmp_path: Path) -> None:
    write_rail(tmp_path, "VDD_IN", 1)
    write_rail(tmp_path, "OFF", 2)
    (tmp_path / "class/hwmon/hwmon0/curr2_input").write_text("")
    assert [rail.label for rail in find_rails(tmp_path)["ina3221"]] == ["VDD_IN"]


def test_the_power_meter_of_a_server_is_the_whole_machine(tmp_path: Path) -> None:
    write_power(tmp_path, "", chip="power_meter")
    folder = tmp_path / "class/hwmon/hwmon0"
    (folder / "power1_input").rename(folder / "power1_average")
    assert len(whole_board(find_rails(tmp_path)["power_meter"])) == 1


# --- choosing and proving ---


def rising(time: FakeTime) -> Callable[[], None]:
    return lambda: time.advance(0.05)


def test_a_rail_that_never_changes_is_no_meter(tmp_path: Path) -> None:
    write = write_rail(tmp_path, "VDD_IN", update_ms=100)
    time = FakeTime(lambda _: write(4.0))
    found = choose_meter("auto", Place(tmp_path, time, False), rising(time))
    assert found.meter is None
    assert found.reasons[0] == "hwmon:ina3221: its readings did not change in 3 s of load"
    assert time.tasks == 0


def test_a_counter_that_stands_still_is_no_meter(tmp_path: Path) -> None:
    write_domain(tmp_path, "intel-rapl:0", "package-0")(3.0)
    time = FakeTime()
    found = choose_meter("rapl", Place(tmp_path, time, False), rising(time))
    assert found.meter is None
    assert found.reasons == ("rapl: its readings did not change in 3 s of load",)


def test_the_board_goes_before_rapl(tmp_path: Path) -> None:
    rail, domain = write_rail(tmp_path, "VDD_IN"), write_domain(tmp_path, "intel-rapl:0", "package-0")

    def show(t: float) -> None:
        rail(4.0 + t)
        domain(9.0 * t)

    time = FakeTime(show)
    place = Place(tmp_path, time, False)
    found = choose_meter("auto", place, rising(time))
    assert found.meter is not None
    assert (found.meter.name, found.meter.scope) == ("hwmon:ina3221", "VDD_IN")
    found.meter.close()
    named = choose_meter("rapl", place, rising(time))
    assert named.meter is not None
    assert named.meter.name == "rapl"


def test_one_rail_alone_is_used_only_when_it_is_asked_for(tmp_path: Path) -> None:
    write = write_rail(tmp_path, "A", chip="ina226")
    time = FakeTime(lambda t: write(1.0 + t))
    place = Place(tmp_path, time, False)
    assert choose_meter("auto", place, rising(time)).meter is None
    for choice in ("hwmon:ina226", "hwmon:ina226/A"):
        found = choose_meter(choice, place, rising(time))
        assert found.meter is not None
        assert found.meter.name == choice
        found.meter.close()
    other = choose_meter("hwmon:ina3221", place, rising(time))
    assert other.reasons == ("hwmon:ina3221: no chip ina3221 with power rails; there are: ina226",)


def test_nothing_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus.device", None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = choose_meter("auto", Place(tmp_path, FakeTime(), True), lambda: None)
    assert found.meter is None
    assert [reason.partition(":")[0] for reason in found.reasons] == ["rapl", "nvml", "zeus"]
    assert "pip install '.[energy]'" in found.reasons[1]


@pytest.mark.parametrize("choice", ["auto", "off", "hwmon:x/A+B", "rapl,nvml:1", "rapl:psys", "nvml", "zeus"])
def test_names_of_meters(choice: str) -> None:
    check_choice(choice)


@pytest.mark.parametrize("choice", ["", "hwmon", "hwmon:", "rapl:x", "nvml:a", "nvml:", "zeus:1", "rapl,auto", "watt"])
def test_other_names_are_refused(choice: str) -> None:
    with pytest.raises(OptionError, match="unknown energy meter"):
        check_choice(choice)


# --- NVML and zeus, by modules of the test's own ---


class NvmlError(Exception):
    pass


def fake_nvml(time: FakeTime, *, counts: bool, starts: bool = True, gpus: int = 2) -> Any:
    """GPU n takes 50 * (n + 1) watts."""

    def refuse(*_: object) -> int:
        raise NvmlError("Not Supported" if starts else "Driver Not Loaded")

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=(lambda: None) if starts else refuse,
        nvmlDeviceGetCount=lambda: gpus,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"Fake" if handle else "Fake",
        nvmlDeviceGetTotalEnergyConsumption=(lambda h: round(time.seconds * 50e3 * (h + 1))) if counts else refuse,
        nvmlDeviceGetPowerUsage=lambda h: 50_000 * (h + 1),
    )


@pytest.mark.parametrize("counts", [True, False])
def test_nvml(counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    time = FakeTime()
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(time, counts=counts))
    both, second = nvml_meter(time), nvml_meter(time, 1)
    assert (both.scope, second.scope) == ("GPU 0 Fake + GPU 1 Fake", "GPU 1 Fake")
    with opened(both), opened(second):
        time.advance(2.0)
        assert both.energy_j() == pytest.approx(300.0, rel=0.01)
        assert second.energy_j() == pytest.approx(200.0, rel=0.01)
        assert both.method == ("energy counter" if counts else "power sampled every 10 ms")
    with pytest.raises(MeterError, match="no NVIDIA GPU 2"):
        nvml_meter(time, 2)


def test_nvml_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(FakeTime(), counts=True, starts=False))
    with pytest.raises(MeterError, match=r"NVML does not start \(Driver Not Loaded\)"):
        nvml_meter(FakeTime())


def test_nvml_that_shows_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = fake_nvml(FakeTime(), counts=False)
    nvml.nvmlDeviceGetPowerUsage = nvml.nvmlDeviceGetTotalEnergyConsumption
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with pytest.raises(MeterError, match=r"NVML failed \(Not Supported\)"):
        nvml_meter(FakeTime())


def test_processor_and_gpu_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain = write_domain(tmp_path, "intel-rapl:0", "package-0")
    time = FakeTime(lambda t: domain(20.0 * t))
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(time, counts=True, gpus=1))
    found = choose_meter("auto", Place(tmp_path, time, True), rising(time))
    assert found.meter is not None
    assert (found.meter.name, found.meter.scope) == ("rapl,nvml", "package-0 + GPU 0 Fake")
    before = found.meter.energy_j()
    time.advance(2.0)
    assert found.meter.energy_j() - before == pytest.approx(140.0)
    alone = choose_meter("auto", Place(tmp_path, time, False), rising(time))
    assert alone.meter is not None
    assert alone.meter.name == "rapl"


def fake_zeus(monkeypatch: pytest.MonkeyPatch, soc: object | None, cpu_mj: float | None) -> None:
    exceptions = ModuleType("zeus.device.exception")
    for kind in ("GPU", "CPU", "SoC"):
        setattr(exceptions, f"ZeusBase{kind}Error", type(f"ZeusBase{kind}Error", (Exception,), {}))

    def refuse(kind: str) -> Any:
        raise getattr(exceptions, f"ZeusBase{kind}Error")(f"no {kind}")

    class Cpus:
        def __len__(self) -> int:
            return 2

        def get_total_energy_consumption(self, index: int) -> Any:
            return SimpleNamespace(cpu_mj=cpu_mj, dram_mj=500.0 if index else None)

    device: Any = ModuleType("zeus.device")
    device.get_soc = lambda: SimpleNamespace(get_total_energy_consumption=lambda: soc) if soc else refuse("SoC")
    device.get_cpus = lambda: Cpus() if cpu_mj is not None else refuse("CPU")
    device.get_gpus = lambda: refuse("GPU")
    monkeypatch.setitem(sys.modules, "zeus", ModuleType("zeus"))
    monkeypatch.setitem(sys.modules, "zeus.device", device)
    monkeypatch.setitem(sys.modules, "zeus.device.exception", exceptions)


def test_zeus(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_zeus(monkeypatch, None, 2000.0)
    meter = zeus_meter(gpus=True)
    assert meter.scope == "processors"
    assert meter.raw() == (4.5,)
    fake_zeus(monkeypatch, SimpleNamespace(total_energy_mj=7000.0, gpu_mj=1.0), 2000.0)
    assert zeus_meter(gpus=False).raw() == (7.0,)
    fake_zeus(monkeypatch, None, None)
    with pytest.raises(MeterError, match="zeus: no SoC; zeus: no CPU; zeus: no GPU"):
        zeus_meter(gpus=True)


def test_real_time_repeats_until_told_to_stop() -> None:
    time = RealTime()
    done: list[float] = []

    def work() -> bool:
        done.append(time.now_s())
        return len(done) < 3

    stop = time.every(1e-3, work)
    while len(done) < 3:
        time.sleep(1e-3)
    stop()
    assert len(done) == 3
    assert done == sorted(done)
