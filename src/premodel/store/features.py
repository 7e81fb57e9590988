"""Values of features, between the store and those who make and read them.

A row holds what one computation gave of one sample: the values of some families, one behind the other. Which families
is said by the row's key, which is that of the only family or of the group (`group_key`). So a sample has one row where
all families were computed at once, and a further one for each family that was changed since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from premodel.errors import StoreError
from premodel.fields import shown
from premodel.store.damage import damaged, read_json
from premodel.store.groups import group_key, group_rows
from premodel.store.rows import fetch_plain, merge
from premodel.store.runs import FEATURES_VERSION, read_conditions
from premodel.store.schema import EXTRACTORS, FEATURES, GROUP, RUNS
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


def describe_groups(store: Store, groups: Sequence[Sequence[str]]) -> None:
    """Store which families the rows of these groups hold, before the first row of any; gives nothing."""
    store.write(lambda connection: merge(connection, EXTRACTORS, group_rows(groups)))


def known_samples(store: Store, keys: Sequence[str]) -> list[set[str]]:
    """For each of these families the samples that have its values."""
    with store.reading() as connection:
        return _known(connection, keys)


def count_vectors(connection: Connection) -> dict[str, int]:
    """Samples that have values of all families, by version of the extractor."""
    counts = {}
    for version, keys in _extractors(connection).items():
        count = len(set.intersection(*_known(connection, keys))) if keys else 0
        if count:
            counts[version] = count
    return counts


def _known(connection: Connection, keys: Sequence[str]) -> list[set[str]]:
    found: list[set[str]] = [set() for _ in keys]
    for group, families in _groups(connection, keys).items():
        query = select(FEATURES.c.sample).where(FEATURES.c.version == group)
        samples = {row[0] for row in fetch_plain(connection, query)}
        for known, key in zip(found, keys, strict=True):
            if key in families:
                known |= samples
    return found


def _groups(connection: Connection, keys: Sequence[str]) -> dict[str, list[str]]:
    """The groups whose rows hold some of these families, with their families; first that of all of them."""
    c = EXTRACTORS.c
    found = {group_key(keys): list(keys)}
    for key, names in fetch_plain(connection, select(c.version, c.names).where(c.version.startswith(GROUP))):
        families = _texts(names, key)
        if group_key(families) != key:
            raise damaged("extractors", key, f"names is {shown(names)}", "the families that the key is made of")
        if key not in found and not set(keys).isdisjoint(families):
            found[key] = families
    return found | {key: [key] for key in keys}


def read_extractor(connection: Connection, wanted: str | None = None) -> StoredExtractor:
    """The extractor whose features the store holds, the newest.

    Of those that differ behind an @ only (how inputs were decoded, which embedding there is) that of the last profile,
    else the one wanted.
    """
    extractors = _extractors(connection)
    if not extractors:
        return StoredExtractor("", ())
    last = _profiled_last(connection)
    version = max(extractors, key=lambda text: (_release(text), text == last, text == wanted, text))
    keys = extractors[version]
    return StoredExtractor(version, tuple(_families(connection, keys)))


def _profiled_last(connection: Connection) -> str:
    """Version of the features that the last profile asked for; empty if none states it."""
    for run, conditions in fetch_plain(connection, select(RUNS.c.run, RUNS.c.conditions).order_by(RUNS.c.run.desc())):
        if version := read_conditions(conditions, run).get(FEATURES_VERSION):
            return str(version)
    return ""


def _release(version: str) -> str:
    """What orders the versions of extractors."""
    release = version.partition("@")[0]
    return release.zfill(16) if release.isdigit() else release


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

    Raises
    ------
    StoreError
        A row is damaged.
    """
    c = FEATURES.c
    n, keys = len(samples), [family.key for family in families]
    widths = {family.key: len(family.names) for family in families}
    starts = dict(zip(keys, np.cumsum([0, *widths.values()])[:-1].tolist(), strict=True))
    values = np.zeros((n, sum(widths.values())), np.float32)
    lacking = np.ones((len(keys), n), np.bool_)
    position: dict[str, int] = {}
    for group, held in _groups(connection, keys).items() if keys else ():
        wanted = [(index, key) for index, key in enumerate(keys) if key in held and lacking[index].any()]
        if not wanted:
            continue
        query = select(c.sample, c.vector).where(c.version == group).order_by(c.sample)
        if first is not None and last is not None:
            query = query.where(c.sample.between(first, last))
        rows = fetch_plain(connection, query)
        if not rows:
            continue
        sizes = [widths[key] if key in widths else len(_families(connection, [key])[0].names) for key in held]
        found, flat = _vectors(group, rows, sum(sizes))
        if held == keys and len(found) == n and found == tuple(samples):
            return flat.astype(np.float32), np.ones(n, np.bool_)
        position = position or {sample: row for row, sample in enumerate(samples)}
        at = np.array([position.get(sample, -1) for sample in found], np.intp)
        ends = dict(zip(held, np.cumsum(sizes).tolist(), strict=True))
        for index, key in wanted:
            rows_of = at[at >= 0]
            start = starts[key]
            values[rows_of, start : start + widths[key]] = flat[at >= 0, ends[key] - widths[key] : ends[key]]
            lacking[index, rows_of] = False
    return values, np.full(n, bool(keys)) & ~lacking.any(axis=0)


def _vectors(group: str, rows: Sequence[Any], width: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Samples and values of some rows, checked."""
    samples, blobs = zip(*rows, strict=True)
    try:
        sizes = set(map(len, blobs))
        flat = np.frombuffer(b"".join(blobs), "<f4").reshape(-1, width) if sizes == {4 * width} else None
    except TypeError:  # null, or text
        flat = None
    if flat is None:
        whole = [isinstance(blob, bytes) and len(blob) == 4 * width for blob in blobs]
        bad = whole.index(False)
    elif np.isfinite(flat).all():
        return samples, flat
    else:
        bad = int(np.isfinite(flat).all(axis=1).argmin())
    raise StoreError(
        "damaged features",
        where=f"row {group}, sample {samples[bad]}",
        allowed=f"{width} finite numbers",
        do="restore the store from a copy, or profile into a new one",
    )


def read_vectors(store: Store, key: str, samples: Sequence[str]) -> NDArray[np.float32] | None:
    """float32 (n, F) of one family; None if a sample has none."""
    with store.reading() as connection:
        if connection.scalar(select(EXTRACTORS.c.version).where(EXTRACTORS.c.version == key)) is None:
            return None
        vectors, there = read_features(connection, _families(connection, [key]), list(samples))
    return vectors if there.all() else None


def _extractors(connection: Connection) -> dict[str, list[str]]:
    """Keys of the families by version; the keys of families hold a colon, versions do not."""
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names).where(~c.version.contains(":")))
    return {str(version): _texts(names, version) for version, names in rows}


def _families(connection: Connection, keys: Sequence[str]) -> list[StoredFamily]:
    c = EXTRACTORS.c
    query = select(c.version, c.names, c.needs).where(c.version.in_(list(keys)))
    rows = {row.version: row for row in connection.execute(query)}
    return [_family(key, rows.get(key)) for key in keys]


def _family(key: str, row: Any) -> StoredFamily:
    if row is None:
        raise StoreError("the store does not say which features a family has", given=key)
    names, needs = _texts(row.names, key), read_json(row.needs, "extractors", key)
    for name in names:
        parts = needs.get(name)
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise damaged("extractors", key, f"needs of {name} is {shown(parts)}", "a list of names")
    return StoredFamily(key, tuple(names), needs)


def _texts(text: Any, key: object) -> list[str]:
    """A list of distinct names, from JSON."""
    value = read_json(text, "extractors", key, list)
    if not all(isinstance(name, str) for name in value) or len(set(value)) < len(value):
        raise damaged("extractors", key, f"names is {shown(value)}", "a list of distinct names")
    return [str(name) for name in value]
