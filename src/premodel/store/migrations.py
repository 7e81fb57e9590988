"""Bringing an older store to the present schema, in one transaction."""

from __future__ import annotations

import json

from sqlalchemy import Connection, delete, func, insert, literal, select, update

from premodel.store.rows import merge
from premodel.store.schema import EXTRACTORS, FEATURES, PENULTIMATE, SCHEMA_VERSION, STORE

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
    """From schema version 1 to 2; nothing if the store is of another version by now.

    Version 1 kept one vector of all features for each sample; version 2 keeps one of each family.
    """
    version = connection.scalar(select(STORE.c.value).where(STORE.c.name == "schema_version"))
    if version != "1":
        return
    c = EXTRACTORS.c
    rows = connection.execute(select(c.version, c.names, c.needs).where(~c.version.startswith(PENULTIMATE))).all()
    for row in rows:
        _split(connection, str(row.version), json.loads(row.names), json.loads(row.needs))
    connection.execute(update(STORE).where(STORE.c.name == "schema_version").values(value=str(SCHEMA_VERSION)))


def _split(connection: Connection, version: str, names: list[str], needs: dict[str, list[str]]) -> None:
    """Turn the vectors of an extractor into those of its families."""
    known = [name for _, features in FAMILIES_OF_1 for name in features] == names
    families = FAMILIES_OF_1 if known else ((f"features-{version}", tuple(names)),)
    described, place = [], 1
    f = FEATURES.c
    for family, features in families:
        key, width = f"{family}:1", 4 * len(features)
        values = select(literal(key), f.sample, func.substr(f.vector, place, width))
        values = values.where(f.version == version, func.length(f.vector) == 4 * len(names))
        connection.execute(insert(FEATURES).from_select(["version", "sample", "vector"], values))
        described.append(
            {
                "version": key,
                "names": json.dumps(features),
                "needs": json.dumps({name: needs.get(name, []) for name in features}),
            }
        )
        place += width
    connection.execute(delete(FEATURES).where(f.version == version))
    keys = json.dumps([row["version"] for row in described])
    merge(connection, EXTRACTORS, [*described, {"version": version, "names": keys, "needs": "{}"}])
