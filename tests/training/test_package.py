"""Packaging proves that the bundle decides as the trained policy did, or leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import premodel
from bundles import profile_of, small_zoo
from premodel.errors import BundleError, ModelError, OptionError, ZooError
from premodel.runtime.bundle import read_bundle
from premodel.runtime.policies.select import Select
from premodel.runtime.selectors.knn import KnnSelector
from premodel.training.options import TrainOptions
from premodel.training.package import check_decisions, package
from premodel.training.policies.registry import TRAINERS
from premodel.training.simulate import simulate
from premodel.training.train import train
from premodel.zoo.manifest import read_zoo


@pytest.mark.parametrize("policy", TRAINERS)
def test_the_reopened_bundle_is_returned(tmp_path: Path, policy: str) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables, options = profile_of(small), TrainOptions(policy)
    trained = train(tables, options)
    out = tmp_path / "a.premodel"
    bundle = package(trained, tables, read_zoo(small.zoo).candidates, options, out)
    assert bundle.criterion == "top1"
    assert bundle.objective == {"min_accuracy": "best", "max_latency_ms": None, "cost_weight": None}
    assert bundle.training_record["summary"] == list(trained.summary)
    assert bundle.training_record["samples"] == 40
    right = tables.correct("top1").mean(axis=0)
    assert [entry["accuracy"] for entry in bundle.training_record["singles"]] == pytest.approx(right.tolist())
    assert "file" not in bundle.conditions["zoo"]
    assert len(bundle.sizes) == 3
    assert simulate(read_bundle(out).policy, tables).same_decisions(simulate(trained.policy, tables)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.premodel", "zoo"]


def test_a_bundle_that_decides_otherwise_never_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables, options = profile_of(small), TrainOptions("paper", labels="right")
    trained = train(tables, options)
    arrays = KnnSelector.arrays

    def inverted(selector: KnnSelector) -> Any:
        found = arrays(selector)
        return found | {"labels": ~found["labels"]}

    monkeypatch.setattr(KnnSelector, "arrays", inverted)
    out = tmp_path / "a.premodel"
    out.write_text("an older bundle")
    with pytest.raises(BundleError, match=r"decides otherwise than the trained policy; given: [0-9]+ of 40 samples"):
        package(trained, tables, read_zoo(small.zoo).candidates, options, out)
    assert out.read_text() == "an older bundle"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.premodel", "zoo"]


def test_one_differing_sample_is_named(tmp_path: Path) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables = profile_of(small)
    policy = train(tables, TrainOptions("paper")).policy
    assert isinstance(policy, Select)
    other = Select(
        policy.chain, policy.selector, rule="first-yes", costs=policy.costs, fallback=policy.fallback, threshold=0.61
    )
    differ = np.flatnonzero(~simulate(policy, tables).same_decisions(simulate(other, tables)))
    assert differ.size, "three of five say yes somewhere"
    with pytest.raises(BundleError, match=f"{differ.size} of 40 samples, the first is {tables.samples[differ[0]]}"):
        check_decisions(simulate(policy, tables), other, tables, tmp_path)


def test_a_changed_model_is_not_embedded(tmp_path: Path) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables, options = profile_of(small), TrainOptions("single")
    candidates = read_zoo(small.zoo).candidates
    file = candidates[0].model.file
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ModelError, match="not the one that was profiled"):
        package(train(tables, options), tables, candidates, options, tmp_path / "a.premodel", embed=True)
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_what_each_network_takes_goes_with_the_bundle(tmp_path: Path) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables = replace(profile_of(small), memory_mb=np.array([4.0, np.nan, 16.0]), load_ms=np.array([9.0, 5.0, np.nan]))
    options = TrainOptions("single")
    out = tmp_path / "a.premodel"
    package(train(tables, options), tables, read_zoo(small.zoo).candidates, options, out)
    bundle = read_bundle(out)
    assert bundle.memory_mb() == {"m0": 4.0, "m2": 16.0}
    assert bundle.load_ms() == {"m0": 9.0, "m1": 5.0}
    assert "m2" in bundle.policy.candidates
    premodel.load(out, memory_budget_mb=16).close()
    with pytest.raises(OptionError, match=r"candidate m2 is larger.*16.0 MB \(measured\)"):
        premodel.load(out, memory_budget_mb=15)


@pytest.mark.parametrize("link", ["models folder", "model file", "zoo folder", "bundle's folder"])
@pytest.mark.parametrize("absolute", [True, False])
def test_models_behind_symbolic_links_are_refused_at_once_or_work_to_the_end(
    tmp_path: Path, link: str, absolute: bool
) -> None:
    zoo, out, far = tmp_path / "zoo", tmp_path / "out", tmp_path / "far" / "away"
    small = small_zoo(zoo, n=30)
    far.mkdir(parents=True)
    out.mkdir()
    linked = {"models folder": zoo / "models", "model file": zoo / "models" / "m0.npz", "zoo folder": zoo}.get(
        link, out
    )
    linked.rename(far / "target")
    linked.symlink_to(far / "target")
    if absolute:
        small.zoo.write_text(small.zoo.read_text().replace('file = "models/', f'file = "{zoo}/models/'))
    if link.startswith("model") and not absolute:
        with pytest.raises(ZooError, match=r"allowed: a path beneath .*, or an absolute one"):
            read_zoo(small.zoo)
        return
    options, tables = TrainOptions("single"), profile_of(small)
    for embed in (False, True):
        path = out / f"{embed}.premodel"
        package(train(tables, options), tables, read_zoo(small.zoo).candidates, options, path, embed=embed)
        with premodel.load(path) as clf:
            assert not clf.unavailable
            assert clf.predict(small.images[0]).label is not None
