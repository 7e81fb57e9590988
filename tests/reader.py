"""The folder of a reader who has profiled and trained, for the examples in documentation.

`from reader import make_reader` in any test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bundles import bundle_of
from premodel.profiling.datasets.registry import read_dataset
from premodel.profiling.profile import ProfileOptions, profile
from premodel.runtime.bundle import write_bundle
from premodel.runtime.policies.costs import Costs
from premodel.runtime.policies.single import Single
from premodel.training.load import load_tables
from premodel.zoo.manifest import read_zoo
from zoos import write_zoo


def make_reader(folder: Path) -> None:
    """zoo.toml with the models small and large, photos/ with 60 images, profile.db and edge.premodel (small alone)."""
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(60) < 0.6, rng.random(60) < 0.9], axis=1)
    zoo = write_zoo(folder, correct=correct, models=["small", "large"])
    data = read_dataset(zoo.data, zoo.labels, label_names=read_zoo(zoo.zoo).labels)
    options = ProfileOptions(passes=("predictions", "timings", "features"), max_timing_seconds=0.1)
    profile(read_zoo(zoo.zoo), data, folder / "profile.db", options)
    (folder / "images").rename(folder / "photos")
    bundle = bundle_of(zoo, load_tables(folder / "profile.db"), Single(["small"], [0.6], Costs((1.0,), 0.25)))
    write_bundle(folder / "edge.premodel", bundle, folder=folder, embed=False)
