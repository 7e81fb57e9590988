"""The label file of a zoo: line i, from 0, names label i."""

from __future__ import annotations

import json
import re
from pathlib import Path

from premodel.errors import ZooError
from premodel.files import encoding_of, read_regular

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
        The file cannot be read, is neither UTF-8 nor UTF-16, has an empty line before its end or fewer than two labels.
    """
    try:
        raw = read_regular(path, MAX_LABEL_BYTES)
        text = raw.decode(encoding_of(raw))
    except OSError as error:
        raise ZooError(f"label file cannot be read ({error.strerror})", where=path) from error
    except UnicodeDecodeError as error:
        raise ZooError("label file is not UTF-8 or UTF-16 text", where=path, do="save it as UTF-8") from error
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
