"""Bench against simulation: the same decisions on the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import bundle_of, make_bundle
from policy_makers import MAKERS
from premodel.evaluation.bench import bench
from premodel.profiling.datasets.registry import read_dataset
from premodel.runtime.bundle import write_bundle
from premodel.training.simulate import simulate


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())
def test_decides_as_the_tables_say(tmp_path: Path, maker: Callable[..., Any]) -> None:
    made = make_bundle(tmp_path, maker, n=40, latency_ms=[0.1, 0.2, 0.4])
    expected = simulate(made.policy, made.tables)
    dataset = read_dataset(made.small.data, made.small.labels, label_names=made.tables.label_names)
    with premodel.load(made.path) as clf:
        found = bench(clf, dataset, max_seconds=0.01)
    assert found.samples == 40
    rows = [made.small.images.index(made.small.data / name) for name in found.names]
    served = np.where(expected.abstained, -1, expected.labels[:, 0])
    assert np.array_equal(found.labels, served[rows])
    right = made.tables.correct("top1")
    for row, name in zip(found.rows[:-1], made.small.names, strict=True):
        assert row.name == name
        assert row.accuracy == pytest.approx(right[:, made.small.names.index(name)].mean())
        assert row.share == {name: 1.0}
    own = found.rows[-1]
    assert own.kind == "premodel"
    assert own.accuracy == pytest.approx((served == made.tables.truth).mean())
    assert own.coverage == pytest.approx(1 - expected.abstained.mean())
    share = dict(zip(expected.candidates, expected.ran.mean(axis=0), strict=True))
    assert own.share == pytest.approx(share)
    assert sum(own.served.values()) == pytest.approx(1)


def test_a_premodel_that_fails_on_an_image_is_wrong_there(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, MAKERS["single"], n=12)
    names = [f"images/{index:05d}.png" for index in range(12)]
    stranger = made.small.data / "images" / "stranger.png"
    stranger.write_bytes(made.small.images[0].read_bytes())
    import cv2

    cv2.imwrite(str(stranger), np.full((9, 9, 3), 77, np.uint8))  # no answer is recorded for it
    lines = [f"{name},{label}" for name, label in zip(names, made.small.truth, strict=True)]
    made.small.labels.write_text("\n".join(["path,label", *lines, "images/stranger.png,0"]) + "\n")
    dataset = read_dataset(made.small.data, made.small.labels, label_names=made.tables.label_names)
    with premodel.load(made.path) as clf:
        found = bench(clf, dataset, max_seconds=0.01)
    assert found.samples == 13
    own = found.rows[-1]
    assert own.extra["failures"] == 1
    assert own.coverage == pytest.approx(12 / 13)
    assert found.answers.count(None) == 1
    assert found.labels[found.names.index("images/stranger.png")] == -1


class Bars:
    """A progress that remembers its bars."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.left = 0

    def begin(self, what: str, total: int, unit: str) -> None:
        assert self.left <= 0, "every bar is full when its work ends"
        self.begun.append(f"{what} [{unit}]")
        self.left = total

    def advance(self, count: int = 1) -> None:
        self.left -= count

    def end(self) -> None:
        pass

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_records_become_valid_by_further_passes(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, MAKERS["single"], n=10, latency_ms=[5.0, 5.0, 5.0])
    dataset = read_dataset(made.small.data, made.small.labels, label_names=made.tables.label_names)
    with premodel.load(made.path) as clf:
        short = bench(clf, dataset, max_seconds=1e-6)
        long = bench(clf, dataset, max_seconds=60, progress=(bars := Bars()))
    assert short.passes == 1
    assert all("INVALID: 10 runs, 30 needed" in row.verdict for row in short.rows)
    assert [what.partition(", at most")[0] for what in bars.begun] == [
        "bench [images]",
        "bench, further passes until steady",
    ]
    assert bars.left == 0
    assert long.passes >= 3, "30 runs are needed and a pass makes 10, however slow the machine is"
    assert all(row.extra["runs"] == 10 * long.passes for row in long.rows)
    assert np.array_equal(short.labels, long.labels)
    assert [row.accuracy for row in short.rows] == [row.accuracy for row in long.rows]


def test_where_the_zoo_holds_siblings_the_best_original_is_named_beside_the_best_single(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, MAKERS["single"], n=60)
    known = replace(
        bundle_of(made.small, made.tables, made.policy), conditions={"device": "test", "siblings": {"m2": "int8"}}
    )
    path = tmp_path / "siblings.premodel"
    write_bundle(path, known, folder=made.small.zoo.parent, embed=False)
    dataset = read_dataset(made.small.data, made.small.labels, label_names=made.tables.label_names)
    with premodel.load(path) as clf:
        found = bench(clf, dataset, max_seconds=0.01)
    alone, own, beyond = found.originals
    original = max(found.rows[:2], key=lambda row: row.accuracy)
    assert alone.startswith("m2 alone (int8): ")
    assert f"the best original {original.name} ({100 * original.accuracy:.1f} % at" in alone
    assert own.startswith("siblings: ")
    assert beyond.startswith("  beyond m2 alone: ")
    assert found.to_json()["originals"] == list(found.originals)
    with premodel.load(made.path) as clf:
        assert bench(clf, dataset, max_seconds=0.01).originals == ()
