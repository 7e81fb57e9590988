"""A small profile in a real store, for the tests of commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bundles import small_zoo
from premodel.cli.main import main
from zoos import SmallZoo


@dataclass(frozen=True, eq=False)
class Profiled:
    """A zoo of recorded answers and its store."""

    small: SmallZoo
    store: Path


@pytest.fixture(scope="session")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    """Three candidates of 0.3, 0.6 and 1.2 ms on 60 images, profiled by the command."""
    folder = tmp_path_factory.mktemp("profiled")
    small = small_zoo(folder / "zoo", n=60, m=3, n_labels=8, latency_ms=[0.3, 0.6, 1.2])
    store = folder / "profile.db"
    words = ["profile", small.zoo, small.data, "--labels", small.labels, "--store", store, "--max-timing-seconds", "4"]
    assert main([str(word) for word in words]) == 0
    return Profiled(small, store)
