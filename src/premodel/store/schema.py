"""The tables of a store, in types that SQLite, MySQL/MariaDB and PostgreSQL share.

Keys are SHA-256 digests in hexadecimal (`prediction_key` and `timing_key` are made by `zoo/manifest.py`), so a renamed
file keeps its rows and a changed one has none. Arrays are little-endian blobs. There is no JSON type, no enumeration
and no engine's own SQL.
"""

from __future__ import annotations

from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql

SCHEMA_VERSION = 4
"""Raised whenever a table or the meaning of a column changes; an older store is migrated when it is opened
(`migrations.py`), a newer one is refused."""

PENULTIMATE = "penultimate:"
"""How a family's key begins whose values are a candidate's, up to its last layer (`penultimate.py`)."""

GROUP = "families:"
"""How the key of rows begins that hold the values of several families (`features.py`)."""

CALIBRATION = "calibration"
"""Status of a sample that models were calibrated on: nothing is trained or evaluated on it."""

LEFT_OUT = ("unreadable", CALIBRATION)
"""Statuses of samples that are in no table."""

MYSQL = ("mysql", "mariadb")

METADATA = MetaData()


def _digest(name: str, **options: bool) -> Column[str]:
    return Column(name, CHAR(64), nullable=False, **options)  # type: ignore[arg-type]


def _blob(name: str) -> Column[bytes]:
    return Column(name, LargeBinary().with_variant(mysql.LONGBLOB(), *MYSQL), nullable=True)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    # MySQL's own TEXT ends at 64 KiB, less than the outcome of a run with many unreadable images.
    return Column(name, Text().with_variant(mysql.LONGTEXT(), *MYSQL), nullable=nullable)


STORE = Table(
    "premodel_store",
    METADATA,
    Column("name", String(32), primary_key=True),
    Column("value", String(255), nullable=False),
)
"""What the store is: `schema_version`, `made_by`, and `opencv_threads` of the profile made last."""

LABELS = Table(
    "labels",
    METADATA,
    Column("label", Integer, primary_key=True, autoincrement=False),
    _text("name"),
)

CANDIDATES = Table(
    "candidates",
    METADATA,
    _digest("timing_key", primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("position", Integer),  # in the manifest profiled last; null if it is not in that one
    _digest("prediction_key"),
    _digest("network"),  # SHA-256 of the model file
    _text("manifest"),  # JSON, enough to open the candidate again
)

SAMPLES = Table(
    "samples",
    METADATA,
    _digest("sample", primary_key=True),
    Column("label", Integer, nullable=False),
    _text("name"),  # where it was last seen
    Column("bytes", Integer, nullable=False),
    Column("status", String(16), nullable=False),  # new, ok, unreadable, calibration
    _text("reason"),
    Column("width", Integer, nullable=False),  # 0 where it was not decoded
    Column("height", Integer, nullable=False),
    sqlite_with_rowid=False,
)

PREDICTIONS = Table(
    "predictions",
    METADATA,
    _digest("prediction_key", primary_key=True),
    _digest("sample", primary_key=True),
    Column("truth", Integer, nullable=False),  # the label that truth_rank is about
    Column("truth_rank", Integer, nullable=False),  # from 0; the number of labels if failed
    Column("status", String(8), nullable=False),  # ok, failed
    _text("reason"),
    Column("entropy", Double),  # nats
    Column("latency_ms", Double),  # this one run: preprocess + run
    _blob("labels"),  # int32 (k,)
    _blob("probabilities"),  # float32 (k,)
    sqlite_with_rowid=False,
)

TRUTHS = Table(
    "truths",
    METADATA,
    _digest("sample", primary_key=True),
    _text("truth"),
)
"""The truth of samples whose truth is no label; their label is -1."""

OUTCOMES = Table(
    "outcomes",
    METADATA,
    _digest("prediction_key", primary_key=True),
    _digest("sample", primary_key=True),
    _text("outcome"),
)
"""What was answered where it is no label; its row of `predictions` has no labels, and its probability alone."""

SCORES = Table(
    "scores",
    METADATA,
    _digest("prediction_key", primary_key=True),
    _digest("sample", primary_key=True),
    Column("criterion", String(64), primary_key=True),
    _digest("truth"),  # SHA-256 of the truth that the score is about
    Column("score", Double, nullable=False),  # in [0, 1]
    sqlite_with_rowid=False,
)
"""Graded scores of answers; whether a label is right follows from its rank."""

SINCE_4 = (TRUTHS, OUTCOMES, SCORES)

TIMINGS = Table(
    "timings",
    METADATA,
    Column("device", String(128), primary_key=True),
    Column("subject", String(64), primary_key=True),  # timing_key, or as timing_pass.py names it
    Column("count", Integer, nullable=False),
    Column("mean_ms", Double),  # null, here and below, where a number is not finite
    Column("median_ms", Double),
    Column("p90_ms", Double),
    Column("p99_ms", Double),
    Column("ci_low_ms", Double),
    Column("ci_high_ms", Double),
    Column("valid", Boolean, nullable=False),
    _text("reason"),
    Column("preprocess_mean_ms", Double),  # the part of mean_ms that is not the run
    Column("load_ms", Double),  # opening the model file, its runtime already loaded
    Column("memory_mb", Double),
    Column("energy_mj", Double),
    Column("run", Integer, nullable=False),
    _blob("samples_ms"),  # float64 (count,)
)

EXTRACTORS = Table(
    "extractors",
    METADATA,
    Column("version", String(64), primary_key=True),  # of an extractor, a family (NAME:VERSION) or a group
    _text("names"),  # JSON list: keys of the extractor's or the group's families in order; features of the family
    _text("needs"),  # JSON: empty; feature -> the parts of the cost that it needs
)
"""An extractor gives the features of its families, each of which has a version: one that changes leaves the others
valid."""

FEATURES = Table(
    "features",
    METADATA,
    Column("version", String(64), primary_key=True),  # key of the family, or of the group of families
    _digest("sample", primary_key=True),
    _blob("vector"),  # float32, one for each feature, family by family
    sqlite_with_rowid=False,
)

FEATURE_COSTS = Table(
    "feature_costs",
    METADATA,
    Column("device", String(128), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("threads", Integer, primary_key=True, autoincrement=False),  # of OpenCV
    Column("part", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("mean_ms", Double, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column(
        "run", Integer, primary_key=True, autoincrement=False
    ),  # from 1; numbered by us, so that stores can be copied
    Column("started", String(32), nullable=False),  # ISO 8601, UTC
    Column("finished", String(32)),
    _text("command"),
    _text("conditions"),  # JSON
    _text("outcome", nullable=True),  # JSON; null if it was killed
)

for _table in METADATA.tables.values():
    for _name in MYSQL:
        # Whatever the server's defaults are: transactions, all of Unicode, and names that differ in case are two names.
        _table.dialect_kwargs[f"{_name}_engine"] = "InnoDB"
        _table.dialect_kwargs[f"{_name}_charset"] = "utf8mb4"
        _table.dialect_kwargs[f"{_name}_collate"] = "utf8mb4_bin"
