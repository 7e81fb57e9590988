"""What an expansion has done so far, so that the same command goes on: one small file for each thing found out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from premodel.files import write_whole


class State:
    """A folder of JSON files, each written whole or not at all.

    Parameters
    ----------
    folder:
        Made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, *key: object) -> Any:
        """What was kept under a key; None if nothing was, or it is damaged."""
        try:
            return json.loads(self._file(key).read_bytes())
        except (OSError, ValueError):
            return None

    def put(self, value: Any, *key: object) -> None:
        """Keep something; OSError if it cannot be written."""
        write_whole(self._file(key), json.dumps(value).encode(), durable=False)

    def _file(self, key: tuple[object, ...]) -> Path:
        text = json.dumps(key, sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"
