"""The label file of a zoo: line i, from 0, names label i."""

from __future__ import annotations

from pathlib import Path

from premodel.errors import ZooError
from premodel.runtime.regular_file import read_regular

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
