"""Examples in docstrings run as they are written, in a folder like that of a reader who has profiled and trained."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

import premodel
from bundles import bundle_of
from premodel.profiling.dataset import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.bundle import write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.runtime.zoo import read_zoo
from premodel.training.load import load_tables
from zoos import write_zoo

PACKAGE = Path(premodel.__file__).parent
LEAST_EXAMPLES = 50
"""Examples that ran when this was written: a docstring that loses its examples is noticed."""


def module_names() -> list[str]:
    files = (file for file in PACKAGE.rglob("*.py") if file.name != "__main__.py")
    parts = sorted(file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files)
    return [".".join(one).removesuffix(".__init__") for one in parts]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """zoo.toml with the models small and large, photos/ with 60 images, profile.db and edge.premodel (small alone)."""
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(60) < 0.6, rng.random(60) < 0.9], axis=1)
    zoo = write_zoo(tmp_path, correct=correct, models=["small", "large"])
    data = read_dataset(zoo.data, zoo.labels, label_names=read_zoo(zoo.zoo).labels)
    options = ProfileOptions(passes=("predictions", "timings", "features"), max_timing_seconds=0.1)
    profile(read_zoo(zoo.zoo), data, tmp_path / "profile.db", options)
    (tmp_path / "images").rename(tmp_path / "photos")
    bundle = bundle_of(zoo, load_tables(tmp_path / "profile.db"), Single(["small"], [0.6], Costs((1.0,), 0.25)))
    write_bundle(tmp_path / "edge.premodel", bundle, folder=tmp_path, embed=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = failed = 0
    for name in module_names():
        result = doctest.testmod(importlib.import_module(name))
        ran, failed = ran + result.attempted, failed + result.failed
    assert failed == 0, capsys.readouterr().out
    assert ran >= LEAST_EXAMPLES


def test_a_wrong_example_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda _: None).failed == 1
