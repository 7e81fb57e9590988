"""A Ray cluster of one-core nodes on this machine, for tests: `with small_cluster() as cluster`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORE_BYTES = 80_000_000


class SmallCluster:
    """Nodes that are processes of this machine.

    Attributes
    ----------
    address:
        Of its head.
    """

    def __init__(self, nodes: int, cores: int = 1) -> None:
        from ray.cluster_utils import Cluster

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, when it starts
            self._cluster = Cluster(initialize_head=False)
            self._cores = cores
            for _ in range(nodes):
                self.add()
        self.address: str = self._cluster.address

    def add(self) -> Any:
        """Let a node join; it is there when this returns."""
        return self._cluster.add_node(num_cpus=self._cores, object_store_memory=STORE_BYTES, include_dashboard=False)

    def remove(self, node: Any) -> None:
        """Let it leave without a word."""
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


@contextlib.contextmanager
def small_cluster(nodes: int, cores: int = 1) -> Iterator[SmallCluster]:
    """A cluster that ends with the block."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": str(Path(__file__).parent),  # so that workers find the helpers of tests
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        cluster = SmallCluster(nodes, cores)
        try:
            yield cluster
        finally:
            cluster.close()
