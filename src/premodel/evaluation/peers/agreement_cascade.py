"""Agreement-based cascade (ABC, Kolawole et al. 2024): a cheap ensemble answers where it agrees, else another runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from premodel.evaluation.peers.choice import Bools, Setting
from premodel.records import Criterion
from premodel.training.tables import Tables

SMALL_POOL = 8
"""Up to so many candidates first tiers of three are tried; above, those of two."""


def agreement_cascades(tables: Tables, criterion: Criterion) -> Iterator[Setting]:
    """Every pair as the first tier, in small pools every triple too (all agree, or two of three), then every other one.

    The whole first tier is charged, and the last where it runs.
    """
    m = len(tables.candidates)
    order = np.argsort(tables.latency_ms, kind="stable").tolist()
    right, said = tables.correct(criterion), tables.top_labels[:, :, 0]
    if m <= 2:  # no ensemble and a last tier
        for i in order:
            yield right[:, i], np.full(len(said), tables.decode_ms + tables.latency_ms[i])
    for size in (2, 3) if m <= SMALL_POOL else (2,):
        for tier in combinations(order, size):
            spent_ms = tables.decode_ms + float(tables.latency_ms[list(tier)].sum())
            for needed in range(2, size + 1):
                agreed, speaker = votes(said[:, list(tier)], needed)
                answer = right[np.arange(len(said)), np.asarray(tier)[speaker]]
                for last in (one for one in order if one not in tier):
                    yield (
                        np.where(agreed, answer, right[:, last]),
                        np.where(agreed, spent_ms, spent_ms + tables.latency_ms[last]),
                    )


def votes(said: NDArray[np.int32], needed: int) -> tuple[Bools, NDArray[np.intp]]:
    """Do at least `needed` members say the same, and the last member who is of the largest party: (n,), (n,).

    A member that failed (-1) is of no party.
    """
    party = (said[:, :, None] == said[:, None, :]).sum(axis=2) * (said >= 0)
    last_first = party[:, ::-1]
    speaker = said.shape[1] - 1 - last_first.argmax(axis=1)
    return party.max(axis=1) >= needed, speaker
