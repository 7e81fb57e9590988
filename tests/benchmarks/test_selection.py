"""Accounting of DESlib and deskit in benchmarks/selection, and what is read from curves."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import premodel
from profiles import make_tables

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "selection"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Import a file of the benchmark by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    pytest.importorskip("sklearn")

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def test_deslib_is_charged_its_pool_and_deskit_what_it_weighs(module) -> None:
    tables = make_tables([[1, 0], [0, 1], [1, 1]], latency_ms=[1, 4], decode_ms=0.5)
    before_ms = 0.5 + tables.feature_costs.of(tables.feature_names)
    labels = np.repeat(tables.truth[:, None], 5, axis=1)
    labels[1] = (tables.truth[1] + 1) % 8
    ran = np.array([[True, False], [False, True], [True, True]])
    data = {
        f"{method}/0/{what}": array
        for method in ("DESlib OLA", "deskit OLA", "DESlib META-DES")
        for what, array in (("labels", labels), ("ran", ran))
    }
    found = module("competence").charged(data, np.array([[True, True]]), tables, "top1")
    assert list(found) == ["DESlib OLA", "DESlib OLA, selected alone charged", "deskit OLA", "DESlib META-DES"]
    whole, selected = [before_ms + 5] * 3, [before_ms + 1, before_ms + 4, before_ms + 5]
    assert found["DESlib OLA"].latency_ms[0].tolist() == pytest.approx(whole)
    assert found["DESlib META-DES"].latency_ms[0].tolist() == pytest.approx(whole)
    assert found["DESlib OLA, selected alone charged"].latency_ms[0].tolist() == pytest.approx(selected)
    assert found["deskit OLA"].latency_ms[0].tolist() == pytest.approx(selected)
    assert found["deskit OLA"].right[0].tolist() == [1, 0, 1]


def test_figures_are_read_from_a_curve(module) -> None:
    points = module("points")
    n = 400
    best = np.zeros(n)
    best[:200] = 1  # 50 % at 10 ms
    low, high = np.zeros(n), np.zeros(n)
    low[:160], high[:240] = 1, 1  # 40 % at 2 ms, 60 % at 10 ms
    curve = points.Points(np.array([low, high]), np.array([np.full(n, 2.0), np.full(n, 10.0)]), ("a", "b"))
    found = points.curve_figures(curve, best, 10.0, points.Resamples(n, count=200))
    assert found.no_loss[0] == pytest.approx(10 / 6)  # half way between 2 and 10 ms
    assert found.equal_time[0] == pytest.approx(10)
    assert found.equal_time[1] < 10 < found.equal_time[2]
    assert np.isnan(points.latency_for(np.array([2.0, 10.0]), np.array([0.4, 0.6]), 0.61))
    worse = points.Points(curve.right[:1], curve.latency_ms[:1], ("a",))
    against = points.dominance(curve, worse, 2.0, 10.0, points.Resamples(n, count=200))
    assert against.at_ms == pytest.approx(2)
    assert against.least[0] == pytest.approx(0)


def test_views_have_absolute_paths_and_do_not_repeat_the_own_crop(module, tmp_path: Path) -> None:
    from premodel.zoo.manifest import read_zoo
    from zoos import write_zoo

    zoo = write_zoo(tmp_path / "zoo", correct=np.ones((3, 2), dtype=bool)).zoo
    out = module("cases").with_views(zoo, tmp_path / "elsewhere" / "views.toml")
    before, after = read_zoo(zoo), read_zoo(out)
    names = [candidate.name for candidate in after.candidates]
    own = before.candidates[0]
    assert own.name in names
    assert f"{own.name}@mirror" in names
    assert f"{own.name}@crop{1000 * own.input.crop_fraction:.0f}" not in names
    assert after.candidates[0].model.file == own.model.file.resolve()


def test_the_code_that_results_are_kept_under_is_there() -> None:
    """A file that has moved would end the benchmark after its first hour."""
    text = (FOLDER / "bench.py").read_text(encoding="utf-8")
    named = {
        value.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").endswith("_CODE")
        for value in ast.walk(node.value)
        if isinstance(value, ast.Constant)
    }
    assert len(named) > 5
    package = Path(premodel.__file__).parent
    assert [name for name in named if not (FOLDER / name).exists() and not (package / name).exists()] == []
