"""Registering a zoo and samples in the store, before anything is measured."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from premodel.errors import StoreError
from premodel.profiling.datasets.base import Dataset
from premodel.profiling.inventory import Entry
from premodel.profiling.samples import sample_row
from premodel.store.schema import CANDIDATES, LABELS, SAMPLES, STORE
from premodel.store.store import Store, merge
from premodel.zoo.candidate_json import candidate_to_json
from premodel.zoo.manifest import Candidate


def register_zoo(store: Store, labels: Sequence[str], candidates: Sequence[Candidate], opencv_threads: int) -> None:
    """Store the labels and the candidates; candidates of earlier zoos keep their rows but lose their position.

    Raises
    ------
    StoreError
        The store belongs to another list of labels.
    """

    def work(connection: Connection) -> None:
        known = [str(name) for name in connection.scalars(select(LABELS.c.name).order_by(LABELS.c.label))]
        if known and known != list(labels):
            raise _other_labels(store, known, labels)
        if not known:
            merge(connection, LABELS, [{"label": label, "name": name} for label, name in enumerate(labels)])
        connection.execute(update(CANDIDATES).values(position=None))
        merge(connection, CANDIDATES, [_candidate_row(position, one) for position, one in enumerate(candidates)])
        merge(connection, STORE, [{"name": "opencv_threads", "value": str(opencv_threads)}])

    store.write(work)


def _other_labels(store: Store, known: Sequence[str], labels: Sequence[str]) -> StoreError:
    index = next(
        (i for i, (a, b) in enumerate(zip(known, labels, strict=False)) if a != b), min(len(known), len(labels))
    )
    ours = labels[index] if index < len(labels) else "nothing"
    theirs = known[index] if index < len(known) else "nothing"
    return StoreError(
        "the store belongs to another list of labels",
        where=store.name,
        given=f"{len(labels)} labels, label {index} is {ours!r}",
        allowed=f"{len(known)} labels, label {index} is {theirs!r}",
        do="profile this zoo into a store of its own",
    )


def _candidate_row(position: int, candidate: Candidate) -> dict[str, object]:
    return {
        "timing_key": candidate.timing_key,
        "name": candidate.name,
        "position": position,
        "prediction_key": candidate.prediction_key,
        "network": candidate.model.digest,
        "manifest": json.dumps(candidate_to_json(candidate.home)),
    }


def register_samples(store: Store, dataset: Dataset, entries: Sequence[Entry]) -> int:
    """Store the samples that are new, and labels and names that changed.

    Returns
    -------
    Number of samples whose label is not the one stored before.
    """
    query = select(SAMPLES.c.sample, SAMPLES.c.label, SAMPLES.c.name)
    with store.reading() as connection:
        known = {str(sample): (int(label), str(name)) for sample, label, name in connection.execute(query)}
    new, changed, relabelled = [], [], 0
    for entry in entries:
        name = dataset.names[entry.row]
        before = known.get(entry.sample)
        if before is None:
            new.append(sample_row(entry, name, None))
        elif before != (entry.label, name):
            changed.append({"sample": entry.sample, "label": entry.label, "name": name})
            relabelled += before[0] != entry.label

    def work(connection: Connection) -> None:
        merge(connection, SAMPLES, new)
        for row in changed:
            change = update(SAMPLES).where(SAMPLES.c.sample == row["sample"])
            connection.execute(change.values(label=row["label"], name=row["name"]))

    if new or changed:
        store.write(work)
    return relabelled
