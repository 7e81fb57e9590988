"""Rows of a table of inputs and labels: their text, their columns, and what a row holds."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from premodel.errors import DatasetError
from premodel.files import encoding_of, wrong_byte
from premodel.profiling.datasets.columns import (
    PATH_NAMES,
    DatasetOptions,
    find_column,
    has_column,
)

GZIP_SUFFIX, GZIP_MAGIC = ".gz", b"\x1f\x8b"
MAX_UNPACKED = 1 << 30


class Row(NamedTuple):
    """One row: where it stands, and what it holds; `inline` if the path is the input itself.

    `name` is what a further column of labels holds.
    """

    place: str
    path: Any
    label: Any
    split: Any
    inline: bool = False
    name: Any = None


def read_text(file: Path, allowed: str) -> str:
    """The text of a file in UTF-8 or UTF-16, also one that gzip packed; DatasetError if it is in neither."""
    raw = _unpacked(file)
    try:
        return raw.decode(encoding := encoding_of(raw))
    except UnicodeDecodeError as error:
        given = wrong_byte(error) if encoding == "utf-8-sig" else str(error)
        raise DatasetError(
            "not a CSV table or text file: it must be UTF-8", where=file, given=given, allowed=allowed,
            do="save it as UTF-8",
        ) from error  # fmt: skip


def form_of(file: Path) -> str:
    """The suffix that tells the form of a file, in small letters: without that of gzip."""
    suffix = file.suffix.lower()
    return Path(file.stem).suffix.lower() if suffix == GZIP_SUFFIX else suffix


def _unpacked(file: Path) -> bytes:
    """The bytes of a file, unpacked if gzip packed them; DatasetError if it cannot be read or is too large."""
    try:
        with file.open("rb") as stream:
            packed = stream.read(2) == GZIP_MAGIC
        if not packed:
            return file.read_bytes()
        with gzip.open(file) as stream:
            raw = stream.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=file) from error
    if len(raw) > MAX_UNPACKED:
        raise DatasetError("too large when unpacked", where=file, allowed=f"up to {MAX_UNPACKED} bytes")
    return raw


def row_of(options: DatasetOptions) -> str:
    """What a row holds, for messages."""
    return f"{options.domain.inline[0]},{options.label_names[0]}" if options.domain.inline else "path,label"


def columns_of(given: Sequence[str], table: Path, options: DatasetOptions) -> tuple[str, str]:
    """The columns of paths or inputs, and of labels or other truths; DatasetError where there is none."""
    asked, option = options.image_column, options.input_option
    path = find_column(given, options.input_names, asked, what=options.inputs, where=table, option=option)
    rest = [name for name in given if name != path]
    asked, option = options.label_column, "--label-column"
    return path, find_column(rest, options.label_names, asked, what=truths_of(options), where=table, option=option)


def further_column(given: Sequence[str], taken: Sequence[str | None], options: DatasetOptions) -> str | None:
    """A further column of labels with a usual name, where none was asked for."""
    if options.label_column is not None or not options.domain.answers_labels:
        return None
    rest = [name for name in given if name not in taken and has_column([name], options.label_names, None)]
    return rest[0] if rest else None


def truths_of(options: DatasetOptions) -> str:
    """What the truths are called."""
    return "labels" if options.domain.answers_labels else "truths"


def is_inline(column: str, options: DatasetOptions) -> bool:
    """Does the column hold the inputs themselves: not the names of files."""
    return bool(options.domain.inline) and not has_column([column], PATH_NAMES, None)
