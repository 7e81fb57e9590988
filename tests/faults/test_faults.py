"""The faults of `scripts/faults` that tests elsewhere do not try, once each, and the page that it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle
from faults import kills, moments, shortage
from faults.__main__ import BEGIN, END, joined, table
from faults.finding import Finding, profile_words, run
from policy_makers import MAKERS
from zoos import SmallZoo, write_zoo


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallZoo:
    correct = np.random.default_rng(5).random((60, 3)) < 0.6
    return write_zoo(tmp_path_factory.mktemp("zoo"), correct=correct, latency_ms=moments.MODEL_MS)


@pytest.fixture(scope="module")
def store(small: SmallZoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.db"
    done = run(*profile_words(small, path, "--max-timing-seconds", 0.2))
    assert done.returncode == 0, done.stderr
    return path


def test_killed_while_packaging(tmp_path: Path) -> None:
    maker = next(name for name in MAKERS if "cascade" in name)
    first, second = (make_bundle(tmp_path / f"b{n}", MAKERS[maker], embed=True, n=n).path for n in (100, 101))
    found = kills.kill_writer(first, second, tmp_path, 3)
    assert found.failures == []
    assert found.times == 3


def test_killed_while_pulling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    found = kills.kill_pull(tmp_path, 2)
    assert found.failures == []


def test_killed_while_exporting_and_reporting(store: Path, tmp_path: Path) -> None:
    found = kills.kill_outputs(store, tmp_path, 8)
    assert found.failures == []
    assert found.times == 8


def test_killed_while_a_store_is_migrated(store: Path, tmp_path: Path) -> None:
    found = kills.kill_migration(store, tmp_path, 5)
    assert found.failures == []


def test_no_permission_to_write(small: SmallZoo, store: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b.premodel"
    assert run("train", store, "--out", bundle, "--policy", "single", "--embed").returncode == 0
    found = shortage.read_only(small, store, bundle, tmp_path)
    if not found.times:
        pytest.skip(found.seen)
    assert found.failures == []


def test_a_clock_that_is_set(small: SmallZoo, tmp_path: Path) -> None:
    assert moments.step_clock(small, tmp_path, 1).failures == []


@pytest.mark.parametrize("policy", ["single", "cascade"])
def test_the_same_seed_gives_the_same_bytes(
    store: Path, tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "POLICIES", (policy,))
    found = moments.same_bytes(store, tmp_path)
    assert found.failures == []
    assert (tmp_path / "same-1" / "a.premodel").stat().st_size > 0


def test_the_table_tells_failures() -> None:
    good, bad = Finding("f", "h", 1000, "s"), Finding("g", "h", 1, "s", ["x"])
    text = table([good, bad], 3.2)
    assert "| f | h | 1,000 | 0 | s |" in text
    assert "| g | h | 1 | 1 | s |" in text
    assert "in 3 minutes" in text


def test_a_row_is_replaced_or_added_and_the_others_stay() -> None:
    old = "\n" + table([Finding("f", "h", 1, "s"), Finding("g", "h", 1, "s")], 1) + "\n"
    new = joined(old, Finding("g", "h", 9, "other"))
    assert "| f | h | 1 | 0 | s |\n| g | h | 9 | 0 | other |\n" in new
    more = joined(new, Finding("k", "h", 3, "s"))
    assert "| g | h | 9 | 0 | other |\n| k | h | 3 | 0 | s |\n" in more
    assert more.split("\n")[-2:] == old.split("\n")[-2:]


def test_the_page_has_a_place_for_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
