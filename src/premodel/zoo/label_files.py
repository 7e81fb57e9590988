"""The label file of a zoo: line i, from 0, names label i."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from premodel.backends.registry import BACKENDS, EXPORTED_RUNTIMES, REMOTE_RUNTIMES
from premodel.errors import ZooError
from premodel.fields import Fields
from premodel.files import read_regular

MIN_LABELS = 2
MAX_LABEL_BYTES = 64 << 20


def read_label_file(path: Path) -> tuple[str, ...]:
    """Names of the labels; two labels may share a name.

    Raises
    ------
    ZooError
        The file cannot be read, is not UTF-8, has an empty line before its end or fewer than two labels.
    """
    try:
        lines = [line.strip() for line in read_regular(path, MAX_LABEL_BYTES).decode("utf-8-sig").split("\n")]
    except OSError as error:
        raise ZooError(f"label file cannot be read ({error.strerror})", where=path) from error
    except UnicodeDecodeError as error:
        raise ZooError("label file is not UTF-8 text", where=path) from error
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ZooError("empty line in the label file", where=f"{path}, line {lines.index('') + 1}")
    if len(lines) < MIN_LABELS:
        raise ZooError("too few labels", where=path, given=len(lines), allowed=f"{MIN_LABELS} or more")
    return tuple(lines)


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
