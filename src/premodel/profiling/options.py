"""What a profile is asked to measure, and how."""

from __future__ import annotations

from dataclasses import dataclass

from premodel.errors import OptionError
from premodel.profiling.meters.meters import AUTO, check_choice
from premodel.profiling.soak import SoakOptions
from premodel.profiling.workers.ray_connection import check_address

PASSES = ("predictions", "timings", "features", "energy")
RETIME = ("", "invalid", "all")


@dataclass(frozen=True)
class ProfileOptions:
    """What to measure and how.

    Attributes
    ----------
    passes:
        Some of PASSES.
    limit:
        So many rows of the data set, drawn at random with `seed`, besides samples that models were calibrated on; None
        for all.
    threads:
        Threads of every candidate and of OpenCV; None for those of the manifest, and 1 for OpenCV.
    workers:
        Processes for the prediction and the feature pass, one thread each; timing is always done in this one alone.
    ray:
        Address of the Ray cluster whose nodes do the prediction and the feature pass; None for this machine.
    retime:
        "" keeps the timing records there are, "invalid" measures the INVALID ones again, "all" all.
    max_timing_seconds:
        Cap on the interleaved measuring, and on that of energy after its first rounds.
    energy:
        Name of the energy meter, "auto" for one that proves itself, "off" for none.
    device:
        Name under which timings are kept; None for this machine's.
    penultimate:
        Name of the ONNX candidate whose penultimate features are kept besides (`penultimate.py`); None for none.
    embedding:
        Compute an embedding of each text with the features (`Domain.with_embedding`).
    soak:
        How long latencies are measured over time, after the passes; None for not at all.
    full:
        Profile every candidate on every sample: no race (`race.py`), and who was left out before comes back.
    seed:
        Of every random draw.
    command:
        What the user typed, for the record.
    """

    passes: tuple[str, ...] = PASSES
    limit: int | None = None
    threads: int | None = None
    workers: int = 1
    ray: str | None = None
    retime: str = ""
    max_timing_seconds: float = 120.0
    energy: str = AUTO
    device: str | None = None
    penultimate: str | None = None
    embedding: bool = False
    soak: SoakOptions | None = None
    full: bool = False
    seed: int = 0
    command: str = ""

    def check(self) -> None:
        """Raise OptionError for a value out of range."""
        unknown = [name for name in self.passes if name not in PASSES]
        if unknown or not self.passes:
            raise OptionError("unknown pass", given=", ".join(unknown) or "none", allowed=", ".join(PASSES))
        for name in ("limit", "threads", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"wrong {name}", given=value, allowed="1 or more")
        if self.ray is not None:
            check_address(self.ray)
            if self.workers > 1:
                raise OptionError("work runs either here or on a cluster", given="both", allowed="--workers or --ray")
        if self.retime not in RETIME:
            raise OptionError("wrong retime", given=self.retime, allowed=", ".join(RETIME[1:]))
        if not self.max_timing_seconds > 0:
            raise OptionError("wrong cap on timing", given=self.max_timing_seconds, allowed="more than 0 seconds")
        check_choice(self.energy)
        if self.soak is not None:
            self.soak.check()
