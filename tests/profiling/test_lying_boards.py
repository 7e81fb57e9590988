"""Answers that a board or the network spoils: cut ones are asked for again, slow ones end in the time allowed."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

pytest.importorskip("starlette", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

from agents import agent, board_manifest
from lying_board import Answer, LyingBoard, lying
from premodel.errors import PremodelError, RemoteError
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, ProfileReport, profile
from premodel.store.schema import PREDICTIONS
from premodel.store.store import Store
from premodel.zoo.manifest import read_zoo
from zoos import SmallZoo, write_zoo

N = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=np.ones((N, 2), bool))


@pytest.fixture(scope="module")
def url(small: SmallZoo) -> Generator[str]:
    with agent(small.zoo) as url:
        yield url


def run(small: SmallZoo, tmp_path: Path, place: str, *passes: str, **settings: Any) -> ProfileReport:
    """Profile on a workstation that has none of the board's model files."""
    manifest = board_manifest(small.zoo, place, "lied.toml", **settings)
    away = tmp_path / "zoo.toml"
    away.write_text(manifest.read_text())
    (tmp_path / "labels.txt").write_bytes((small.zoo.parent / "labels.txt").read_bytes())
    zoo = read_zoo(away, require_files=True)
    dataset = read_dataset(small.data, small.labels, label_names=zoo.labels)
    options = ProfileOptions(passes or ("predictions",), max_timing_seconds=0.2, device="board")
    return profile(zoo, dataset, tmp_path / "s.db", options)


def statuses(store: Path) -> list[str]:
    with Store(store) as opened, opened.reading() as connection:
        return list(connection.scalars(select(PREDICTIONS.c.status)))


@pytest.mark.parametrize("sized", [True, False])
def test_a_cut_answer_is_asked_for_again_and_is_no_failure(
    small: SmallZoo, url: str, tmp_path: Path, sized: bool
) -> None:
    seen: list[str] = []

    def cut_every_third(answer: Answer) -> None:
        seen.append(answer.path)
        if answer.path.endswith("/infer") and len(seen) % 3 == 0:
            answer.cut = 0.6
            answer.stated_length = "" if sized else None

    with lying(LyingBoard(url, cut_every_third)) as place:
        report = run(small, tmp_path, place, patience_s=20)
    assert report.predictions is not None
    assert report.predictions.failed == {}
    assert statuses(tmp_path / "s.db") == ["ok"] * (2 * N)
    assert sum(path.endswith("/infer") for path in seen) > 2 * N, "some were asked for twice"


def test_a_byte_now_and_then_ends_in_the_time_allowed(small: SmallZoo, url: str, tmp_path: Path) -> None:
    def slow(answer: Answer) -> None:
        answer.pause_s = 0.1

    start = time.monotonic()
    with lying(LyingBoard(url, slow)) as place, pytest.raises(RemoteError, match=r"no answer within 0\.5 s"):
        run(small, tmp_path, place, timeout_s=0.5, patience_s=0.5)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"premodel": "x"}, "agent is of another version"),
        ({"inputs": "x"}, "got metadata without inputs"),
        ({"outputs": [{"name": "y", "datatype": "\ud800", "shape": [1]}]}, "no such output"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": [10**30]}]}, "no such output"),
        ({"outputs": [{"name": "y", "datatype": "FP32", "shape": ["9" * 5000]}]}, "no such output"),
    ],
)
def test_metadata_of_other_types_are_one_line(
    small: SmallZoo, url: str, tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    def lie(answer: Answer) -> None:
        answer.table |= table

    with lying(LyingBoard(url, lie)) as place, pytest.raises(PremodelError, match=message) as caught:
        run(small, tmp_path, place, "predictions", "timings")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("header", ["9" * 5000, "-1", "\xb2", "x"])
def test_a_candidate_that_fails_everywhere_says_why(small: SmallZoo, url: str, tmp_path: Path, header: str) -> None:
    def lie(answer: Answer) -> None:
        if answer.path.endswith("/infer"):
            answer.length_header = header

    with lying(LyingBoard(url, lie)) as place, pytest.raises(PremodelError) as caught:
        run(small, tmp_path, place)
    assert "m0 fails on every image: " in str(caught.value)
    assert "response cannot be read" in str(caught.value)
    assert str(caught.value).isprintable()
    with Store(tmp_path / "s.db") as opened, opened.reading() as connection:
        reasons = set(connection.scalars(select(PREDICTIONS.c.reason)))
    assert all("response cannot be read" in reason for reason in reasons)
