"""What a report takes from a store beyond its tables: the inputs, where they are still found, and single runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from premodel.domains.base import MAX_FILE_BYTES
from premodel.errors import InputError
from premodel.files import read_regular
from premodel.profiling.datasets.huggingface import ParquetSource
from premodel.store.measurements import read_single_runs
from premodel.store.runs import all_conditions
from premodel.store.samples import sample_names
from premodel.store.store import Store


class StoredImages:
    """Finds the encoded image of a sample where it was when it was profiled.

    The store keeps the name of each sample and the folder of each run, not the bytes. A file that is there but holds
    other bytes than the sample's is not taken for it.

    Parameters
    ----------
    store:
        The profile.
    """

    def __init__(self, store: Store) -> None:
        self._names = sample_names(store)
        self._roots = list(dict.fromkeys(_roots(all_conditions(store))))
        self._parquet: dict[Path, ParquetSource | None] = {}

    def __call__(self, sample: str) -> bytes | None:
        """The bytes of a sample; None if they are not found."""
        name = self._names.get(sample)
        if name is None:
            return None
        for root in self._roots:
            data = self._read(root, name)
            if data is not None and hashlib.sha256(data).hexdigest() == sample:
                return data
        return None

    def _read(self, root: Path, name: str) -> bytes | None:
        file, _, row = name.rpartition("#")
        if row.isdigit() and file.lower().endswith((".parquet", ".arrow", ".feather")):
            return self._read_row(root / file, int(row))
        path = root / name
        try:
            return read_regular(path, MAX_FILE_BYTES) if path.is_file() else None
        except (OSError, ValueError):
            return None

    def _read_row(self, path: Path, row: int) -> bytes | None:
        try:
            if path not in self._parquet:
                self._parquet[path] = ParquetSource.of_file(path) if path.is_file() else None
            source = self._parquet[path]
            return None if source is None else next((payload.data for payload in source.read([row])), None)
        except InputError:
            return None


def stored_runs(store: Store, device: str | None) -> dict[str, list[float]]:
    """Every single run in ms by the name of the candidate, as timed on a device; nothing without one."""
    if device is None:
        return {}
    return read_single_runs(store, device)


def _roots(conditions: Iterable[dict[str, Any]]) -> Iterator[Path]:
    """Folders that names may be relative to: the data's own, and the one it lies in."""
    for one in conditions:
        root = one.get("data", {}).get("root")
        if root:
            yield Path(root)
            yield Path(root).parent
