"""Vectors of features, between the store and those who make and read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from premodel.store.schema import EXTRACTORS, FEATURES, PENULTIMATE
from premodel.store.store import Store, merge


def describe_extractor(store: Store, version: str, names: Sequence[str], needs: Mapping[str, Sequence[str]]) -> None:
    """Store what the vectors of a version hold, so that they can be read without the extractor that made them."""
    row = {"version": version, "names": json.dumps(list(names)), "needs": json.dumps(dict(needs))}
    store.write(lambda connection: merge(connection, EXTRACTORS, [row]))


def known_samples(store: Store, version: str) -> set[str]:
    """Samples that have a vector of this version."""
    with store.reading() as connection:
        return set(connection.scalars(select(FEATURES.c.sample).where(FEATURES.c.version == version)))


def read_extractor(connection: Connection) -> tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]]:
    """The extractor whose features the store holds; the newest if there are several."""
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names, c.needs).where(~c.version.startswith(PENULTIMATE))).all()
    if not rows:
        return "", (), {}
    version, names, needs = max(rows, key=lambda row: row[0].zfill(16) if row[0].isdigit() else row[0])
    return version, tuple(json.loads(names)), {name: tuple(parts) for name, parts in json.loads(needs).items()}


def read_features(
    connection: Connection, version: str, samples: Sequence[str], width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of all samples, and which of them are there."""
    c = FEATURES.c
    stored = {
        str(sample): bytes(vector)
        for sample, vector in connection.execute(select(c.sample, c.vector).where(c.version == version))
        if len(vector) == 4 * width
    }
    there = np.array([sample in stored for sample in samples], np.bool_)
    features = np.zeros((len(samples), width), np.float32)
    flat = np.frombuffer(b"".join(stored[sample] for sample in samples if sample in stored), "<f4")
    features[there] = flat.reshape(-1, width) if width else 0
    return features, there


def read_vectors(store: Store, version: str, samples: Sequence[str]) -> NDArray[np.float32] | None:
    """float32 (n, F); None if a sample has none."""
    with store.reading() as connection:
        names = connection.scalar(select(EXTRACTORS.c.names).where(EXTRACTORS.c.version == version))
        if names is None:
            return None
        vectors, there = read_features(connection, version, samples, len(json.loads(names)))
    return vectors if there.all() else None
