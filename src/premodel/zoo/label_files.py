"""The label file of a zoo: line i, from 0, names label i."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from premodel.backends.registry import BACKENDS, EXPORTED_RUNTIMES, REMOTE_RUNTIMES
from premodel.errors import ZooError
from premodel.fields import Fields
from premodel.files import read_regular

MIN_LABELS = 2
NUMBERED = re.compile(r"(\d{1,9})\s*[:,;.)\s]\s*(\S.*)")
MAX_LABEL_BYTES = 64 << 20


def read_label_file(path: Path) -> tuple[str, ...]:
    """Names of the labels, one a line; two labels may share a name.

    A JSON list, and a table of number -> name, are read too. Numbers that count the lines, before the names, are left
    out.

    Raises
    ------
    ZooError
        The file cannot be read, is not UTF-8, has an empty line before its end or fewer than two labels.
    """
    try:
        text = read_regular(path, MAX_LABEL_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ZooError(f"label file cannot be read ({error.strerror})", where=path) from error
    except UnicodeDecodeError as error:
        raise ZooError("label file is not UTF-8 text", where=path) from error
    lines = _from_json(text) or [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ZooError("empty line in the label file", where=f"{path}, line {lines.index('') + 1}")
    if len(lines) < MIN_LABELS:
        raise ZooError("too few labels", where=path, given=len(lines), allowed=f"{MIN_LABELS} or more")
    return tuple(_without_numbers(lines))


def _from_json(text: str) -> list[str]:
    """The names of a JSON list, or of a table of number -> name with all numbers from 0; empty if it is neither."""
    if not text.lstrip().startswith(("[", "{")):
        return []
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            numbered = {int(number): name for number, name in value.items()}
            value = [numbered[number] for number in range(len(value))]
    except (ValueError, KeyError, RecursionError):
        return []
    names = value if isinstance(value, list) and all(isinstance(name, str) for name in value) else []
    return [" ".join(name.split()) for name in names]


def _without_numbers(lines: list[str]) -> list[str]:
    """The names alone, where every line begins with its own number, from 0 or from 1."""
    found = [NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(one[1]) for one in found if one is not None]
    if len(numbers) == len(lines) and numbers in (list(range(len(lines))), list(range(1, len(lines) + 1))):
        return [one[2] for one in found if one is not None]
    return lines


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
