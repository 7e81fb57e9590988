"""What is profiled, and by which runs of `premodel profile`: labels, candidates, conditions and outcomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from premodel.errors import OptionError, StoreError
from premodel.fields import shown
from premodel.store.damage import damaged, number, read_json, text, whole
from premodel.store.left_out import LEFT_OUT_OF_RACE, read_left_out
from premodel.store.rows import fetch_plain, merge
from premodel.store.schema import CANDIDATES, LABELS, RUNS, STORE
from premodel.store.store import Store
from premodel.zoo.candidate import Candidate
from premodel.zoo.candidate_json import candidate_from_json, candidate_to_json

MAX_RUN = 2**31 - 1
SOAK = "soak"
"""Where a run's conditions keep latencies over time (`soaks.py`)."""
COMPARED = "compared_answers"
"""Where a run's conditions keep, by prediction key, samples answered otherwise than in the store, and compared."""
COLD = "cold_load_ms"
"""In the conditions of a profile: opening a network from files that are not in the page cache, by candidate."""
FEATURES_VERSION = "features"
"""In the conditions of a profile: version of the features that it asked for."""
EMBEDDING = "embedding"
"""In the conditions of a profile that asked for an embedding of its inputs: true."""
CONDITIONS: Mapping[str, type | tuple[type, ...]] = {
    "device": str,
    "cpu": str,
    "governor": str,
    "cores": int,
    "threads": int,
    "versions": dict,
    "candidates": dict,
    "zoo": dict,
    "data": dict,
    "latency": dict,
    "energy": dict,
    FEATURES_VERSION: str,
    SOAK: dict,
    LEFT_OUT_OF_RACE: dict,
}
"""What is read of the conditions of a run, where it is there."""
DATA = {"root": str, "form": str}


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


def begin_run(store: Store, values: Mapping[str, str]) -> int:
    """Store a run that begins; gives its number."""

    def work(connection: Connection) -> int:
        last = connection.scalar(select(func.max(RUNS.c.run))) or 0
        run = whole(last, "runs", last, "run", 0, MAX_RUN) + 1
        connection.execute(insert(RUNS).values(run=run, **values))
        return run

    return store.write(work)


def end_run(store: Store, run: int, values: Mapping[str, str]) -> None:
    """Store how it ended; a run that was killed has no end."""
    store.write(lambda connection: connection.execute(update(RUNS).where(RUNS.c.run == run).values(**values)))


def run_conditions(store: Store, run: int | None) -> dict[str, Any]:
    """Conditions of a run, of the newest if None, without its latencies over time; empty if there is none.

    If the run timed anything and reached its end, `other_cores` is the number of cores that other programs kept busy,
    `other_processes` the busiest of these, and `engine_ms` what an answer costs beyond its stages.
    """
    query = select(RUNS.c.conditions, RUNS.c.outcome, RUNS.c.run).order_by(RUNS.c.run.desc())
    if run is not None:
        query = query.where(RUNS.c.run == run)
    with store.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return {}
    dropped = (SOAK, LEFT_OUT_OF_RACE, COMPARED)  # the newest run's count, whatever run this is
    conditions = {name: one for name, one in read_conditions(row.conditions, row.run).items() if name not in dropped}
    outcome = {} if row.outcome is None else read_json(row.outcome, "runs", row.run)
    timings = outcome.get("timings")
    if not timings:
        return conditions
    stated = timings if isinstance(timings, dict) else {"other_cores": timings}
    cores, engine_ms = stated.get("other_cores"), stated.get("engine_ms")
    if cores is not None:
        number(cores, "runs", row.run, "other_cores of the outcome", 0, MAX_RUN)
    if engine_ms is not None:
        number(engine_ms, "runs", row.run, "engine_ms of the outcome", 0, MAX_RUN)
        conditions = {**conditions, "engine_ms": engine_ms}
    cold = stated.get("cold_load_ms")
    if isinstance(cold, dict) and cold:
        checked = {str(name): number(one, "runs", row.run, "cold_load_ms", 0, MAX_RUN) for name, one in cold.items()}
        conditions = {**conditions, COLD: checked}
    processes = stated.get("other_processes")
    if isinstance(processes, dict) and processes:
        conditions = {**conditions, "other_processes": {str(name): busy for name, busy in processes.items()}}
    return {**conditions, "other_cores": cores}


def unrepeatable(store: Store) -> dict[str, tuple[int, int]]:
    """Of candidates that differed, by prediction key: samples answered otherwise when asked again, and samples asked.

    What the newest run that repeated a candidate states counts.
    """
    found: dict[str, tuple[int, int]] = {}
    with store.reading() as connection:
        rows = fetch_plain(connection, select(RUNS.c.run, RUNS.c.outcome).order_by(RUNS.c.run.desc()))
    for run, outcome in rows:
        predictions = {} if outcome is None else read_json(outcome, "runs", run).get("predictions")
        _count(found, predictions.get("repeated") if isinstance(predictions, dict) else None, run, "repeated")
    return {key: counts for key, counts in found.items() if counts[0]}


def otherwise(store: Store, device: str) -> dict[str, tuple[int, int]]:
    """Of candidates that differed, by prediction key: samples that a device answers otherwise, and samples compared.

    What the newest run on the device that compared a candidate with the store states counts.
    """
    found: dict[str, tuple[int, int]] = {}
    with store.reading() as connection:
        rows = fetch_plain(connection, select(RUNS.c.run, RUNS.c.conditions).order_by(RUNS.c.run.desc()))
    for run, stated in rows:
        conditions = read_json(stated, "runs", run)
        _count(found, conditions.get(COMPARED) if conditions.get("device") == device else None, run, COMPARED)
    return {key: counts for key, counts in found.items() if counts[0]}


def _count(found: dict[str, tuple[int, int]], stated: Any, run: object, name: str) -> None:
    """Add what a run states to what newer runs stated."""
    for key, counts in stated.items() if isinstance(stated, dict) else ():
        differ, asked = counts if isinstance(counts, list) and len(counts) == 2 else (counts, counts)
        for value in (differ, asked):
            number(value, "runs", run, name, 0, MAX_RUN)
        found.setdefault(str(key), (int(differ), int(asked)))


def unrepeatable_note(name: str, differ: int, asked: int) -> str:
    """The words on a candidate that answers differently each time."""
    return (
        f"{name} does not repeat itself: {differ} of {asked} samples ({100 * differ / asked:.0f} %) were answered "
        "otherwise when asked again, so what is measured of it holds for no other run"
    )


def otherwise_note(name: str, device: str, differ: int, asked: int) -> str:
    """The words on a candidate that answers otherwise on a device than in the store."""
    return (
        f"{name} answers otherwise on {device} than in the store: {differ} of {asked} samples "
        f"({100 * differ / asked:.0f} %), so its accuracy there is another; profile it there into a store of its own"
    )


def all_conditions(store: Store) -> list[dict[str, Any]]:
    """Conditions of all runs, the newest first."""
    query = select(RUNS.c.conditions, RUNS.c.run).order_by(RUNS.c.run.desc())
    with store.reading() as connection:
        return [read_conditions(text, run) for text, run in fetch_plain(connection, query)]


def read_conditions(text: Any, run: object) -> dict[str, Any]:
    """The conditions of a run, what is read of them checked; StoreError if they are damaged."""
    found: dict[str, Any] = read_json(text, "runs", run)
    for name, kinds in CONDITIONS.items():
        if name in found and (not isinstance(found[name], kinds) or isinstance(found[name], bool)):
            raise damaged("runs", run, f"{name} of the conditions is {shown(found[name])}", "as profile writes it")
    for name, kinds in DATA.items():
        if not isinstance(found.get("data", {}).get(name, ""), kinds):
            raise damaged("runs", run, f"data.{name} is {shown(found['data'][name])}", "text")
    return found


def profile_command(store: Store, name: str = "") -> str:
    """What to do about a pass that is missing."""
    only = f" --only {name}" if name else ""
    embedding = " --embedding" if run_conditions(store, None).get(EMBEDDING) else ""
    return f"run: premodel profile ZOO.toml DATA --store {store.name}{embedding}{only}"


@dataclass(frozen=True)
class StoredCandidate:
    """A candidate of the zoo profiled last."""

    name: str
    prediction_key: str
    timing_key: str
    manifest: str

    def candidate(self) -> Candidate:
        """Ready to be opened; its file is where it was profiled."""
        found = candidate_from_json(read_json(self.manifest, "candidates", self.name), Path("/"), StoreError)
        if (found.name, found.prediction_key, found.timing_key) != (self.name, self.prediction_key, self.timing_key):
            raise damaged("candidates", self.name, "a manifest entry of another candidate", "the entry of its keys")
        return found


def read_candidates(
    connection: Connection, store: Store, names: Sequence[str] | None = None, *, required: bool = True
) -> list[StoredCandidate]:
    """The candidates of the zoo profiled last, in its order, or those named, in that order.

    Those that the race of the profile left out are not among them.

    Raises
    ------
    StoreError
        There are none, though they are `required`; or a row is damaged.
    OptionError
        A candidate is unknown, or was left out.
    """
    c = CANDIDATES.c
    query = select(c.position, c.name, c.prediction_key, c.timing_key, c.manifest)
    rows = fetch_plain(connection, query.where(c.position.is_not(None)).order_by(c.position))
    for place, row in enumerate(rows):
        whole(row[0], "candidates", row[1], "position", place, place)
        for name, value in zip(("name", "prediction_key", "timing_key"), row[1:], strict=False):
            text(value, "candidates", row[1], name)
    left = read_left_out(connection)
    everyone = {str(row[1]): str(row[2]) for row in rows}
    found = [StoredCandidate(*row[1:]) for row in rows if row[2] not in left]
    if not found and required:
        raise StoreError("the store holds no candidates", where=store.name, do=profile_command(store))
    if names is None:
        return found
    by_name = {one.name: one for one in found}
    for name in names:
        stated = next((left[key] for one, key in everyone.items() if one == name and key in left), None)
        if stated is not None:
            raise OptionError(f"candidate {name} was {stated.note}", where=store.name)
        if name not in by_name:
            raise OptionError("unknown candidate", where=store.name, given=name, allowed=", ".join(by_name))
    return [by_name[name] for name in names]


def read_labels(connection: Connection) -> tuple[str, ...]:
    """The names of the labels."""
    rows = fetch_plain(connection, select(LABELS.c.label, LABELS.c.name).order_by(LABELS.c.label))
    if [row[0] for row in rows] != list(range(len(rows))) or not all(type(row[1]) is str for row in rows):
        for place, (label, name) in enumerate(rows):
            whole(label, "labels", label, "label", place, place)
            text(name, "labels", label, "name")
    return tuple(row[1] for row in rows)


def read_opencv_threads(connection: Connection) -> int:
    """Threads of OpenCV in the profile made last."""
    value = connection.scalar(select(STORE.c.value).where(STORE.c.name == "opencv_threads"))
    if value is None:
        return 1
    if not str(value).isdecimal() or not str(value).isascii() or not 1 <= len(str(value)) <= 6:
        raise damaged("premodel_store", "opencv_threads", f"value is {shown(value)}", "a whole number")
    return int(value)
