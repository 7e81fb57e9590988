"""Boards that lie: answers changed, cut, slow, or of other types than the protocol and the agent promise."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from agents import agent, board_manifest
from faults.fuzzers.base import REFUSED, Case, Fuzzer
from faults.mutations import mutate_bytes, mutate_plain
from lying_board import Answer, LyingBoard, draw_lie, lying
from premodel.errors import PremodelError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store
from premodel.store.summary import summarise_store
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

N, N_LABELS = 6, 5
TIMEOUT_S, PATIENCE_S = 0.4, 1.0
RIGHT, SAID = "the true answers", "failures, each with its reason"
CUTS = ("cut", "cut without a length", "slow")


def _in_table(rng: random.Random, answer: Answer) -> None:
    answer.table = mutate_plain(rng, answer.table)


def _field(rng: random.Random, answer: Answer) -> None:
    """One field of the agent's table, of a tensor, or of the times."""
    table = answer.table
    places: list[Any] = [table]
    places += [one for one in (table.get("premodel"), table.get("parameters")) if isinstance(one, dict)]
    places += [one for key in ("input", "output", "conditions", "candidate") for place in list(places)
               if isinstance(one := place.get(key), dict)]  # fmt: skip
    places += [one for key in ("inputs", "outputs") for one in table.get(key) or () if isinstance(one, dict)]
    place = rng.choice([one for one in places if one])
    place[rng.choice(list(place))] = draw_lie(rng)


def _cut(rng: random.Random, answer: Answer) -> None:
    answer.cut = rng.random() * 0.98


def _cut_unsized(rng: random.Random, answer: Answer) -> None:
    answer.cut, answer.stated_length = rng.random() * 0.98, None


def _slow(rng: random.Random, answer: Answer) -> None:
    answer.pause_s = rng.choice((0.05, 0.1))


def _head(rng: random.Random, answer: Answer) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        answer.length_header = rng.choice(("9" * 5000, "-1", "x", "", "\xb2", "0", "1e3"))
    elif kind == 1:
        answer.stated_length = rng.choice(("9" * 5000, "-5", "x", "0", "7", "99999999999"))
    elif kind == 2:
        answer.status = rng.choice((100, 204, 301, 400, 404, 418, 500, 503, 999))
    else:
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: x\r\n\r\n"
        answer.head = mutate_bytes(
            rng, rng.choice((whole, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"\0" * 40))
        )


def _other_body(rng: random.Random, answer: Answer) -> None:
    bodies = (b"", b"null", b"[]", b"3", b'"x"', b"{" * 5000, b"[" * 200_000, b"9" * 5000, b"\xff\xfe", b"<html>")
    answer.table, answer.binary = rng.choice(bodies), b""


LIES = {
    "table": _in_table, "field": _field, "cut": _cut, "cut without a length": _cut_unsized, "slow": _slow,
    "head": _head, "body": _other_body,
}  # fmt: skip


@contextlib.contextmanager
def lay(folder: Path) -> Iterator[Case]:
    """Serve a small zoo by a true agent; a case profiles it through a liar."""
    correct = np.random.default_rng(5).random((N, 2)) < 0.6
    small = write_zoo(folder / "zoo", correct=correct, n_labels=N_LABELS, latency_ms=[0.2, 0.4])
    desk = folder / "inside"
    desk.mkdir()
    (desk / "labels.txt").write_bytes((small.zoo.parent / "labels.txt").read_bytes())
    with agent(small.zoo) as url, lying(LyingBoard(url)) as probe:
        truth = _run(small, desk, _manifest(small, probe, timeout_s=60, patience_s=60), desk / "true.db")
        text = _manifest(small, probe, timeout_s=TIMEOUT_S, patience_s=PATIENCE_S)

        def case(rng: random.Random) -> str:
            kind = rng.choice(tuple(LIES))
            infer = rng.random() < 0.5
            # Every answer of a kind, or one of many, as of a bad network.
            often = rng.choice((1.0, 0.2))

            def lie(answer: Answer) -> None:
                if answer.path.endswith("/infer") == infer and rng.random() < often:
                    LIES[kind](rng, answer)

            for suffix in ("", "-wal", "-shm"):
                (desk / f"s.db{suffix}").unlink(missing_ok=True)
            with lying(LyingBoard(url, lie)) as place:
                try:
                    found = _run(small, desk, re.sub(r"http://127\.0\.0\.1:\d+", place, text), desk / "s.db")
                except PremodelError as error:
                    if not str(error).isprintable():
                        raise AssertionError(f"not one clear line: {str(error)!r}") from error
                    return REFUSED
            failed = {key: reason for key, (status, _, reason) in found.items() if status == "failed"}
            if kind in CUTS and failed:
                raise AssertionError(f"{kind}: taken for a failed answer: {next(iter(failed.values()))}")
            for key, row in found.items():
                if key not in failed and row != truth[key]:
                    raise AssertionError(f"{kind}: another answer without a word")
            if any(not reason for reason in failed.values()):
                raise AssertionError(f"{kind}: a failure without a reason")
            with Store(desk / "s.db") as store:
                summarise_store(store)
            return SAID if failed else RIGHT

        yield case


def _manifest(small: SmallZoo, url: str, **settings: float) -> str:
    file = board_manifest(small.zoo, url, "b.toml", **settings)
    text = file.read_text()
    file.unlink()
    return text


def _run(small: SmallZoo, desk: Path, text: str, store: Path) -> dict[tuple[str, str], tuple[str, Any, str]]:
    """Profile; gives status, labels and reason of each answer."""
    manifest = desk / "zoo.toml"
    manifest.write_text(text)
    zoo = read_zoo(manifest, require_files=True)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    profile(zoo, dataset, store, ProfileOptions(("predictions", "timings"), max_timing_seconds=0.05, device="board"))
    c = PREDICTIONS.c
    with Store(store) as opened, opened.reading() as connection:
        rows = connection.execute(select(c.prediction_key, c.sample, c.status, c.labels, c.reason)).all()
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


FUZZERS = (
    Fuzzer(
        "board",
        "A true agent behind a liar: other types, numbers of any length, surrogates, other heads and bodies, answers "
        "cut or of a few bytes a second, always or now and then; profiled",
        lay,
        500,
        test_count=25,
        cpu_s=20.0,
        wall_s=60.0,
        outcomes=(RIGHT, SAID, REFUSED),
        refused_share=0.2,
        requires=("starlette", "uvicorn"),
    ),
)
