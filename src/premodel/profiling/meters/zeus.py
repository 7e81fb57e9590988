"""Whatever the package zeus can read here, where the user has it: GPUs of AMD, RAPL through its daemon, a SoC.

`zeus.device` is called directly: `zeus.monitor` would load three times as much, and its totals say nothing where there
is no meter.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from premodel.profiling.meters.base import MeterError
from premodel.profiling.meters.counter import Counter, CounterMeter

SOC_PARTS = ("cpu_total_mj", "dram_mj", "gpu_mj", "gpu_sram_mj", "ane_mj")


def zeus_meter(*, gpus: bool) -> CounterMeter:
    """The SoC if zeus measures it, else the processors with their memory, and the GPUs if they are wanted.

    Raises
    ------
    MeterError
        The package is not there, or reads nothing here.
    """
    try:
        device = importlib.import_module("zeus.device")
        known = importlib.import_module("zeus.device.exception")
    except ModuleNotFoundError as error:
        raise MeterError(f"zeus is not installed ({error})") from error
    refused = (known.ZeusBaseGPUError, known.ZeusBaseCPUError, known.ZeusBaseSoCError)
    counters: list[Counter] = []
    reasons: list[str] = []
    kinds = [("SoC", _soc), ("processors", _cpus)] + ([("GPUs", _gpus)] if gpus else [])
    for kind, read in kinds:
        if kind == "processors" and counters:
            break  # a SoC contains the rest
        counter = Counter(kind, _guarded(read, device, refused))
        try:
            counter.read_j()
        except MeterError as error:
            reasons.append(str(error))
        else:
            counters.append(counter)
    if not counters:
        raise MeterError("; ".join(reasons))
    return CounterMeter("zeus", counters)


def _guarded(read: Callable[[Any], float], device: Any, refused: tuple[type[Exception], ...]) -> Callable[[], float]:
    def read_j() -> float:
        try:
            return read(device) / 1e3
        except refused as error:
            raise MeterError(f"zeus: {error}") from error

    return read_j


def _soc(device: Any) -> float:
    measured = device.get_soc().get_total_energy_consumption()
    total = getattr(measured, "total_energy_mj", None)
    parts = [getattr(measured, name, None) for name in SOC_PARTS] if total is None else [total]
    known = [float(part) for part in parts if part is not None]
    if not known:
        raise MeterError("zeus: the SoC shows no energy")
    return sum(known)


def _cpus(device: Any) -> float:
    cpus = device.get_cpus()
    measured = [cpus.get_total_energy_consumption(index) for index in range(len(cpus))]
    return sum(float(one.cpu_mj) + float(one.dram_mj or 0.0) for one in measured)


def _gpus(device: Any) -> float:
    gpus = device.get_gpus()
    return sum(float(gpus.get_total_energy_consumption(index)) for index in range(len(gpus)))
