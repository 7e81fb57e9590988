"""Bringing an older store to the present schema, in one transaction."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, func, select, update

from premodel.store.damage import damaged, read_json
from premodel.store.groups import group_key, group_rows
from premodel.store.rows import fetch_plain, merge, remove
from premodel.store.schema import EXTRACTORS, FEATURES, METADATA, PENULTIMATE, SCHEMA_VERSION, SINCE_4, STORE

OLDER = ("1", "2", "3")
"""Schema versions that are brought to the present one."""

FAMILIES_OF_1 = (
    ("keypoints", ("n_keypoints",)),
    ("brightness", ("avg_brightness", "brightness_rms")),
    ("perceived_brightness", ("avg_perceived_brightness", "perceived_brightness_rms")),
    ("contrast", ("contrast",)),
    ("edge_lengths", tuple(f"edge_length{i}" for i in range(1, 8))),
    ("edge_angles", tuple(f"edge_angle{i}" for i in range(1, 8))),
    ("main_object", ("area_by_perim", "aspect_ratio")),
    ("hue", tuple(f"hue{i}" for i in range(1, 8))),
)
"""The families whose features made up a vector when schema version 1 stored it whole."""


def migrate(connection: Connection) -> None:
    """To the present schema version; nothing if the store is of another version than an older one by now.

    Version 1 kept one vector of all features for each sample, version 2 a row for each family. Now a row holds the
    families that were computed together (`features.py`). Version 4 has tables for outcomes that are no labels, and for
    graded scores.
    """
    version = connection.scalar(select(STORE.c.value).where(STORE.c.name == "schema_version"))
    if version not in OLDER:
        return
    if version == "1":
        c = EXTRACTORS.c
        for row in connection.execute(select(c.version, c.names).where(~c.version.startswith(PENULTIMATE))).all():
            if ":" in str(row.version):
                raise damaged("premodel_store", "schema_version", "value is 1", "the version of what the store holds")
            _name_families(connection, str(row.version))
    elif version == "2":
        for extractor in _newest_first(connection):
            _join(connection, extractor)
    METADATA.create_all(connection, tables=list(SINCE_4))
    connection.execute(update(STORE).where(STORE.c.name == "schema_version").values(value=str(SCHEMA_VERSION)))


def _name_families(connection: Connection, version: str) -> None:
    """Describe the families of an extractor of version 1, whose vectors become those of their group."""
    c = EXTRACTORS.c
    row = connection.execute(select(c.names, c.needs).where(c.version == version)).one()
    names = read_json(row.names, "extractors", version, list)
    needs = read_json(row.needs, "extractors", version)
    known = [name for _, features in FAMILIES_OF_1 for name in features] == names
    families = FAMILIES_OF_1 if known else ((f"features-{version}", tuple(names)),)
    keys = [f"{family}:1" for family, _ in families]
    described = [
        {
            "version": key,
            "names": json.dumps(features),
            "needs": json.dumps({name: needs.get(name, []) for name in features}),
        }
        for key, (_, features) in zip(keys, families, strict=True)
    ]
    extractor = {"version": version, "names": json.dumps(keys), "needs": "{}"}
    merge(connection, EXTRACTORS, [*described, *group_rows([keys]), extractor])
    f = FEATURES.c
    damaged = (f.version == version) & (f.vector.is_(None) | (func.length(f.vector) != 4 * len(names)))
    connection.execute(delete(FEATURES).where(damaged))
    connection.execute(update(FEATURES).where(f.version == version).values(version=group_key(keys)))


def _newest_first(connection: Connection) -> list[list[str]]:
    """The families of every extractor."""
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names).where(~c.version.contains(":"))).all()
    order = sorted(rows, key=lambda row: str(row.version).zfill(16), reverse=True)
    return [[str(key) for key in read_json(row.names, "extractors", row.version, list)] for row in order]


def _join(connection: Connection, keys: list[str]) -> None:
    """Put the rows of an extractor's families together, of those samples that have them all; the others stay apart."""
    if len(keys) < 2:
        return
    f = FEATURES.c
    whole: dict[str, bytes] = {}
    for place, key in enumerate(keys):
        found = dict(fetch_plain(connection, select(f.sample, f.vector).where(f.version == key)))
        before = whole if place else dict.fromkeys(found, b"")
        both = ((sample, held, found.get(sample)) for sample, held in before.items())
        whole = {sample: held + bytes(more) for sample, held, more in both if more is not None}
    group = group_key(keys)
    rows = [{"version": group, "sample": sample, "vector": vector} for sample, vector in whole.items()]
    merge(connection, EXTRACTORS, group_rows([keys]))
    merge(connection, FEATURES, rows)
    for key in keys:
        remove(connection, FEATURES, [{"version": key, "sample": row["sample"]} for row in rows])
