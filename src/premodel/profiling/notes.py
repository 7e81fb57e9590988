"""What a run tells its user besides results."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from premodel.profiling.datasets.base import Dataset
from premodel.profiling.inventory import Inventory
from premodel.profiling.passes.timings import BUSY_CORES, TimingResult


def tell_what_was_read(note: Callable[[str], None], dataset: Dataset, inventory: Inventory, relabelled: int) -> None:
    """Missing images, duplicates, contradictions, and how many samples have another label than before."""
    for text in dataset.notes:
        note(text)
    if dataset.missing:
        note(f"{len(dataset.missing)} listed images are not there, such as {dataset.missing[0]}")
    duplicates = inventory.duplicates
    if duplicates:
        first = duplicates[0]
        note(f"{len(duplicates)} duplicates left out, such as {first.name}, which has the bytes of {first.first}")
    contradictions = [duplicate for duplicate in duplicates if duplicate.contradicts]
    if contradictions:
        first = contradictions[0]
        note(
            f"{len(contradictions)} of them have another label than the one that is kept, "
            f"such as {first.name} (kept: {first.first})"
        )
    if relabelled:
        note(f"{relabelled} samples have another label than before; their predictions are made anew")


def tell_how_timing_went(note: Callable[[str], None], result: TimingResult, latency_notes: Mapping[str, str]) -> None:
    """What a latency holds where that is special, INVALID timings, and a machine that was not idle."""
    for text in dict.fromkeys(latency_notes.values()):
        names = ", ".join(name for name, own in latency_notes.items() if own == text)
        note(f"latency of {names}: {text}")
    if result.invalid:
        note(f"INVALID timings: {', '.join(result.invalid)}; measure them again with --retime")
    if result.other_cores is not None and result.other_cores > BUSY_CORES:
        note(
            f"other programs kept {result.other_cores:.1f} cores busy while timing; latencies may be too high: "
            "measure them again on an idle machine with --retime all"
        )
