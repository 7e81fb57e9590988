"""NVIDIA GPUs through NVML (package nvidia-ml-py): the energy counter where there is one, else sampled power."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from premodel.errors import MissingExtraError
from premodel.profiling.meters.base import Meter, MeterError, Time
from premodel.profiling.meters.counter import Counter, CounterMeter
from premodel.profiling.meters.sampled import SampledMeter

POWER_UPDATE_S = 0.01
"""Power is sampled no more often: the driver renews it every 15 to 100 ms."""


def nvml_meter(time: Time, index: int | None = None) -> Meter:
    """The meter of one GPU, or of all of them together.

    Parameters
    ----------
    index:
        Number of the GPU as NVML counts them; None for all.

    Raises
    ------
    MeterError
        The package, the driver or the GPU is not there, or shows neither energy nor power.
    """
    nvml = _nvml()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise MeterError(f"NVML does not start ({error})") from error
    count = int(_asked(nvml, nvml.nvmlDeviceGetCount))
    if count == 0 or (index is not None and index >= count):
        raise MeterError(f"no NVIDIA GPU {'' if index is None else index}".rstrip())
    indices = range(count) if index is None else [index]
    handles = [_asked(nvml, nvml.nvmlDeviceGetHandleByIndex, number) for number in indices]
    names = [f"GPU {n} {_name(nvml, handle)}".strip() for n, handle in zip(indices, handles, strict=True)]
    name = "nvml" if index is None else f"nvml:{index}"
    try:
        for handle in handles:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:  # Not Supported before Volta
        return _power(nvml, name, names, handles, time)
    counters = [
        Counter(label, _reader(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle))
        for label, handle in zip(names, handles, strict=True)
    ]
    return CounterMeter(name, counters)


def _power(nvml: ModuleType, name: str, names: list[str], handles: list[Any], time: Time) -> SampledMeter:
    readers = [_reader(nvml, nvml.nvmlDeviceGetPowerUsage, handle) for handle in handles]

    def read_w() -> tuple[float, ...]:
        return tuple(read() for read in readers)

    read_w()
    return SampledMeter(name, " + ".join(names), read_w, time, POWER_UPDATE_S)


def _reader(nvml: ModuleType, ask: Callable[..., Any], handle: object) -> Callable[[], float]:
    """Millijoules as joules, milliwatts as watts."""
    return lambda: float(_asked(nvml, ask, handle)) / 1e3


def _asked(nvml: ModuleType, ask: Callable[..., Any], *arguments: object) -> Any:
    try:
        return ask(*arguments)
    except nvml.NVMLError as error:
        raise MeterError(f"NVML failed ({error})") from error


def _name(nvml: ModuleType, handle: object) -> str:
    name = _asked(nvml, nvml.nvmlDeviceGetName, handle)
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _nvml() -> ModuleType:
    try:
        return importlib.import_module("pynvml")
    except ModuleNotFoundError as error:
        raise MeterError(str(MissingExtraError("nvidia-ml-py", "energy"))) from error
