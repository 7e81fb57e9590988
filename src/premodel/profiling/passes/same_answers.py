"""Are the stored answers those of the machine that is timed: a few samples are answered there and compared.

Answers have no device in the store: they are computed once, on a workstation, a cluster or another board. Rounding
apart they are the same everywhere, but for what a processor computes otherwise: 8-bit products that saturate on x86
without VNNI, 16-bit floats, a runtime's own kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

from premodel.profiling.datasets.base import Dataset
from premodel.profiling.passes.predictions import PredictionJob, answers_differ, spread
from premodel.profiling.progress import Progress
from premodel.profiling.samples import tasks_of
from premodel.store.answers import said_to
from premodel.store.samples import Entry
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate


def compare_answers(
    store: Store,
    candidates: Sequence[Candidate],
    dataset: Dataset,
    entries: Sequence[Entry],
    threads: int,
    progress: Progress,
) -> dict[str, tuple[int, int]]:
    """Answer at most twenty samples by each candidate and compare with what the store holds.

    Parameters
    ----------
    candidates:
        As they are timed, on a board through its server; one without stored answers is passed over.
    threads:
        Of OpenCV.

    Returns
    -------
    By prediction key: samples answered otherwise, and samples compared.
    """
    candidates = tuple({one.prediction_key: one for one in candidates}.values())
    stored = [said_to(store, one.prediction_key, spread([entry.sample for entry in entries])) for one in candidates]
    wanted: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        indices = tuple(index for index, said in enumerate(stored) if entry.sample in said)
        if indices:
            wanted[entry.sample] = indices
    counts: dict[str, tuple[int, int]] = {}
    if not wanted:
        return counts
    job = PredictionJob(dataset.domain, candidates, threads)
    job.open()
    progress.begin("comparing with stored answers", sum(map(len, wanted.values())), "predictions")
    try:
        for task in tasks_of(dataset, entries, wanted):
            for found in job.work(task):
                for answer in found.answers:
                    key = candidates[answer.candidate].prediction_key
                    differ, asked = counts.get(key, (0, 0))
                    differs = answers_differ(stored[answer.candidate][task.entry.sample], answer)
                    counts[key] = differ + differs, asked + 1
                progress.advance(len(found.answers))
    finally:
        progress.end()
        job.close()
    return counts
