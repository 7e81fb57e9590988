"""A Ray cluster of one-core nodes on this machine, for tests: `with small_cluster() as cluster`."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

STORE_BYTES = 80_000_000
STARTS = 3
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # How long what is slow, on a busy machine, is not taken for dead.
    "RAY_health_check_timeout_ms": "60000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_memory_monitor_refresh_ms": "0",  # what others take is no reason to kill a worker
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "120",
}


class SmallCluster:
    """Nodes that are processes of this machine.

    Attributes
    ----------
    address:
        Of its head.
    """

    def __init__(self, nodes: int, cores: int) -> None:
        from ray.cluster_utils import Cluster

        self._cores = cores
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, when it starts
            self._cluster = Cluster(initialize_head=False)
            try:
                for _ in range(nodes):
                    self.add()
            except BaseException:
                self.close()
                raise
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
    """A cluster that ends with the block; skips the test if Ray, which waits for half a minute, cannot start here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        here = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, here)))  # so that workers find the helpers of tests
        cluster = _start(nodes, cores)
        try:
            yield cluster
        finally:
            cluster.close()


def _start(nodes: int, cores: int) -> SmallCluster:
    for _ in range(STARTS):
        try:
            return SmallCluster(nodes, cores)
        except Exception as error:  # noqa: BLE001 - Ray raises just this
            reason = str(error).partition("\n")[0]
    pytest.skip(f"Ray did not start a cluster here in {STARTS} attempts: {reason}")
