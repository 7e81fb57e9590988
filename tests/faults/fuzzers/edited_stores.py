"""Stores edited column by column: values of other types, out of range, or that contradict what is beside them."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Double, Integer, LargeBinary, Table

from faults.fuzzers.base import REFUSED, Case, Fuzzer
from faults.mutations import mutate_bytes, mutate_plain
from premodel.cli.store_table import format_summary
from premodel.errors import PremodelError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.export import export
from premodel.store.schema import METADATA
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.training.load import load_tables
from premodel.training.tables import Tables
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

N, N_LABELS = 24, 12
SAME, BYTES = "the same tables", "bytes of the file"
JSON_COLUMNS = ("manifest", "conditions", "outcome", "names", "needs")
DERIVED = ("mean_ms", "median_ms", "p90_ms", "p99_ms", "count", "label", "truth", "truth_rank", "position")
"""Columns whose every other value contradicts something; of the others only values that cannot be are tried."""
SIGNED = ("ci_low_ms", "memory_mb", "energy_mj")
NEEDED = ("mean_ms", "median_ms", "p90_ms", "p99_ms", "entropy")
"""Columns of numbers that are null only where nothing was measured."""


def _whole(rng: random.Random, name: str, old: Any) -> Any:
    wrong: list[Any] = [-1, 0.5, "cat", b"\0", 1e300, 1 << 40, -(1 << 63), ""]
    if name in DERIVED and isinstance(old, int):
        wrong += [old + 1, old + 2, max(0, old - 1) if old else 1]
    if name == "valid":
        wrong += [1 - int(old)]
    return rng.choice(wrong)


def _number(rng: random.Random, name: str, old: Any) -> Any:
    wrong: list[Any] = ["cat", b"x", 1e300, -1e300, float("inf"), float("-inf"), ""]
    wrong += [] if name in SIGNED else [-1.0]
    wrong += [None] if name in NEEDED else []
    if name in DERIVED and isinstance(old, float):
        wrong += [old * 1.5, old * 0.5, 0.0]
    return rng.choice(wrong)


def _blob(rng: random.Random, name: str, old: Any) -> Any:
    data = bytes(old or b"\0" * 8)
    wrong: list[Any] = [None, "text", b"1", data[:-1], data + data, data[: len(data) // 2], 7]
    if name in ("vector", "probabilities"):
        values = np.frombuffer(data, "<f4").copy()
        for value in (np.nan, np.inf, -np.inf, 1.5 if name == "probabilities" else np.nan):
            changed = values.copy()
            changed[rng.randrange(len(changed))] = value
            wrong.append(changed.tobytes())
        if name == "probabilities":
            wrong += [values[::-1].tobytes(), np.full_like(values, 0.9).tobytes(), (values - 1).tobytes()]
    if name == "labels":
        labels = np.frombuffer(data, "<i4").copy()
        for value in (-1, N_LABELS, 1 << 30, int(labels[0]), int(labels[-1])):
            changed = labels.copy()
            changed[rng.randrange(len(changed))] = value
            wrong.append(changed.tobytes())
    return rng.choice(wrong)


def _text(rng: random.Random, name: str, old: Any) -> Any:
    if name in JSON_COLUMNS:
        with contextlib.suppress(TypeError, ValueError):
            if rng.random() < 0.5:
                return json.dumps(mutate_plain(rng, json.loads(old)))
        return rng.choice(["{", "[]", "3", "null", "[" * 5000, b"\xff\xfe", "", "{}", '{"a": NaN}', '{"device": 3}'])
    return rng.choice([b"\xff\xfe", 5, "\x1b[2J", "", "x" * 5000, "0" * 64, "\0", "ok", "failed"])


def edit(rng: random.Random, connection: sqlite3.Connection, table: Table) -> str:
    """Edit one column of one row, or of all; gives what was done."""
    column = rng.choice(list(table.columns))
    keys = [one.name for one in table.primary_key]
    names = ", ".join([*keys, column.name])
    rows = connection.execute(f"SELECT {names} FROM {table.name}").fetchall()
    chosen = rng.choice(rows)
    old = chosen[-1]
    kind = column.type
    if isinstance(kind, Integer) or column.name == "valid":
        new = _whole(rng, column.name, old)
    elif isinstance(kind, Double):
        new = _number(rng, column.name, old)
    elif isinstance(kind, LargeBinary):
        new = _blob(rng, column.name, old)
    elif (table.name, column.name) == ("labels", "name"):
        new = rng.choice([b"\xff\xfe", b"x"])  # another name is as good a name
    else:
        new = _text(rng, column.name, old)
    where = "" if rng.random() < 0.3 else " WHERE " + " AND ".join(f"{key} IS ?" for key in keys)
    values = (new, *chosen[:-1]) if where else (new,)
    connection.execute(f"UPDATE {table.name} SET {column.name} = ?{where}", values)
    return f"{table.name}.{column.name} of {'one row' if where else 'all rows'}: {old!r:.60} -> {new!r:.60}"


def fingerprint(tables: Tables) -> list[Any]:
    """Everything that training uses."""
    arrays = (
        tables.truth, tables.top_labels, tables.top_probabilities, tables.entropy, tables.rank, tables.latency_ms,
        tables.features, np.array(tables.decode_ms), tables.memory_mb, tables.energy_mj,
    )  # fmt: skip
    plain = (
        tables.samples, tables.label_names, tables.candidates, tables.networks, tables.feature_names,
        sorted(tables.feature_costs.cost_items_ms.items()),
        sorted((name, tuple(parts)) for name, parts in tables.feature_costs.needs.items()),
        [one.valid for one in tables.timings],
    )  # fmt: skip
    return [*(one.tobytes() for one in arrays), *plain]


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """Profile a small zoo; a case edits a copy of the store and uses it."""
    correct = np.random.default_rng(3).random((N, 2)) < 0.6
    small = write_zoo(folder / "zoo", correct=correct, n_labels=N_LABELS, latency_ms=[0.2, 0.4])
    whole = folder / "whole.db"
    _profile(small, whole, "predictions", "features", "timings")
    inside = folder / "inside"
    inside.mkdir()
    expected = fingerprint(load_tables(whole))
    tables = list(METADATA.sorted_tables)

    def case(rng: random.Random) -> str:
        file = inside / "edited.db"
        for suffix in ("", "-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(whole, file)
        what = BYTES
        if rng.random() < 0.1:
            file.write_bytes(mutate_bytes(rng, file.read_bytes()))
        else:
            with closing(sqlite3.connect(file)) as connection:
                for _ in range(20):  # until the database takes one
                    try:
                        what = edit(rng, connection, rng.choice(tables))
                        break
                    except (sqlite3.Error, IndexError):
                        connection.rollback()
                connection.commit()
        outcome = SAME
        try:
            # A byte of a number that is as good a number as before cannot be noticed.
            if fingerprint(load_tables(file)) != expected and what != BYTES:
                raise AssertionError(f"other numbers without a word: {what}")
        except PremodelError as error:
            outcome = REFUSED
            _one_line(error)
        for use in (_info, _export):
            try:
                use(file, inside)
            except PremodelError as error:
                _one_line(error)
        if rng.random() < 0.1:
            with contextlib.suppress(PremodelError):
                _profile(small, file, "predictions", "features")
        return outcome

    yield case


def _profile(small: SmallZoo, store: Path, *passes: str) -> None:
    zoo = read_zoo(small.zoo)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    profile(zoo, dataset, store, ProfileOptions(passes, max_timing_seconds=0.5, energy="off"))


def _info(file: Path, _: Path) -> None:
    with Store(file) as store:
        summary = summarise_store(store)
    json.dumps(summary.to_json())
    format_summary(summary)


def _export(file: Path, folder: Path) -> None:
    with Store(file) as store:
        export(store, str(folder / "out.csv"))


def _one_line(error: PremodelError) -> None:
    if not str(error).isprintable():
        raise AssertionError(f"not one clear line: {str(error)!r}") from error


FUZZERS = (
    Fuzzer(
        "store",
        "A column of one row or of all edited in a store (types, range, contradictions, JSON): loaded as before or "
        "not at all, shown, exported, profiled again; bytes of its file: no traceback",
        lay,
        500,
        test_count=60,
        cpu_s=10.0,
        outcomes=(SAME, REFUSED),
        refused_share=0.3,
    ),
)
