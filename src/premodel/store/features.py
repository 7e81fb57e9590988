"""Values of features, between the store and those who make and read them: a row for each sample and feature family."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from premodel.errors import StoreError
from premodel.store.rows import fetch_plain, merge
from premodel.store.schema import EXTRACTORS, FEATURES
from premodel.store.store import Store


@dataclass(frozen=True)
class StoredFamily:
    """Features that are computed and stored together.

    Attributes
    ----------
    key:
        NAME:VERSION, at most 64 characters.
    names:
        Of the features.
    needs:
        The parts of the cost that each needs.
    """

    key: str
    names: tuple[str, ...]
    needs: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class StoredExtractor:
    """The families of an extractor, in the order of its vectors; version "" and no family if none is stored."""

    version: str
    families: tuple[StoredFamily, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All features."""
        return tuple(name for family in self.families for name in family.names)

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """The parts of the cost that each feature needs."""
        return {name: tuple(parts) for family in self.families for name, parts in family.needs.items()}


def describe_families(store: Store, families: Sequence[StoredFamily], version: str | None = None) -> None:
    """Store what values hold, so that they can be read without the code that made them.

    Parameters
    ----------
    version:
        Of the extractor whose families they are, in order; None if they belong to none.
    """
    rows = [
        {"version": one.key, "names": json.dumps(one.names), "needs": json.dumps(dict(one.needs))} for one in families
    ]
    if version is not None:
        rows.append({"version": version, "names": json.dumps([one.key for one in families]), "needs": "{}"})
    store.write(lambda connection: merge(connection, EXTRACTORS, rows))


def known_samples(store: Store, key: str) -> set[str]:
    """Samples that have values of this family."""
    with store.reading() as connection:
        return set(connection.scalars(select(FEATURES.c.sample).where(FEATURES.c.version == key)))


def count_vectors(connection: Connection) -> dict[str, int]:
    """Samples that have values of all families, by version of the extractor."""
    counts = {}
    for version, keys in _extractors(connection).items():
        c = FEATURES.c
        whole = select(c.sample).where(c.version.in_(keys)).group_by(c.sample).having(func.count() == len(keys))
        count = int(connection.scalar(select(func.count()).select_from(whole.subquery())) or 0)
        if count:
            counts[version] = count
    return counts


def read_extractor(connection: Connection) -> StoredExtractor:
    """The extractor whose features the store holds; the newest if there are several."""
    extractors = _extractors(connection)
    if not extractors:
        return StoredExtractor("", ())
    version = max(extractors, key=lambda text: text.zfill(16) if text.isdigit() else text)
    keys = extractors[version]
    return StoredExtractor(version, tuple(_family(connection, key) for key in keys))


def read_features(
    connection: Connection,
    families: Sequence[StoredFamily],
    samples: Sequence[str],
    first: str | None = None,
    last: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of all samples (n, F), and which of the samples have values of every family.

    Parameters
    ----------
    samples:
        In the order of their digests.
    first, last:
        Ends of the range of digests that is read; None for all.
    """
    c = FEATURES.c
    n, in_order = len(samples), tuple(samples)
    position: dict[str, int] = {}
    there = np.full(n, bool(families))
    columns = [np.zeros((n, 0), np.float32)]
    for family in families:
        query = select(c.sample, c.vector).where(c.version == family.key).order_by(c.sample)
        if first is not None and last is not None:
            query = query.where(c.sample.between(first, last))
        width = len(family.names)
        rows = fetch_plain(connection, query)
        found_samples, blobs = zip(*rows, strict=True) if rows else ((), ())
        if None in blobs or set(map(len, blobs)) != {4 * width}:
            rows = [row for row in rows if row[1] is not None and len(row[1]) == 4 * width]
            found_samples, blobs = zip(*rows, strict=True) if rows else ((), ())
        flat = np.frombuffer(b"".join(blobs), "<f4").reshape(-1, width)
        if found_samples == in_order:
            columns.append(flat)
            continue
        position = position or {sample: row for row, sample in enumerate(samples)}
        at = np.array([position.get(sample, -1) for sample in found_samples], np.intp)
        values, found = np.zeros((n, width), np.float32), np.zeros(n, np.bool_)
        values[at[at >= 0]] = flat[at >= 0]
        found[at[at >= 0]] = True
        there &= found
        columns.append(values)
    return np.concatenate(columns, axis=1).astype(np.float32), there


def read_vectors(store: Store, key: str, samples: Sequence[str]) -> NDArray[np.float32] | None:
    """float32 (n, F) of one family; None if a sample has none."""
    with store.reading() as connection:
        if connection.scalar(select(EXTRACTORS.c.version).where(EXTRACTORS.c.version == key)) is None:
            return None
        vectors, there = read_features(connection, [_family(connection, key)], list(samples))
    return vectors if there.all() else None


def _extractors(connection: Connection) -> dict[str, list[str]]:
    """Keys of the families by version; the keys of families hold a colon, versions do not."""
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names).where(~c.version.contains(":")))
    return {str(version): [str(key) for key in _json(names, list, version)] for version, names in rows}


def _family(connection: Connection, key: str) -> StoredFamily:
    c = EXTRACTORS.c
    row = connection.execute(select(c.names, c.needs).where(c.version == key)).first()
    if row is None:
        raise StoreError("the store does not say which features a family has", given=key)
    return StoredFamily(key, tuple(_json(row.names, list, key)), _json(row.needs, dict, key))


def _json(text: str, kind: type, key: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise StoreError("the store holds damaged JSON", where="table extractors", given=f"row {key!r}")
    return value
