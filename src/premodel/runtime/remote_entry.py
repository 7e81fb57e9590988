"""What a manifest entry of a remote runtime has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from premodel.runtime.backends.registry import BACKENDS, EXPORTED_RUNTIMES, REMOTE_RUNTIMES
from premodel.runtime.fields import Fields

WAITING = ("timeout_s", "patience_s")
"""Settings of a remote runtime that change no answer."""


def check_remote(fields: Fields, runtime: str, url: str, sha256: str | None, settings: Mapping[str, Any]) -> None:
    """What a remote entry has to say, as there is no file to read it from."""
    if not url and runtime not in EXPORTED_RUNTIMES:
        raise fields.fail("url", "the server's URL, such as http://board:8090")
    if sha256 is None:
        raise fields.fail("sha256", "the digest of the model file that the server runs: answers are kept under it")
    local = [name for name in BACKENDS if name not in REMOTE_RUNTIMES]
    if settings.get("remote_runtime", local[0]) not in local:
        raise fields.fail("settings.remote_runtime", ", ".join(local))
    if not isinstance(settings.get("remote_settings", {}), Mapping):
        raise fields.fail("settings.remote_settings", "a table: the settings of remote_runtime")
