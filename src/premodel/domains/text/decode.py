"""From bytes, a file or a str to the text that models and features read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from premodel.errors import SampleError
from premodel.files import read_regular, wrong_byte

MAX_BYTES = 1 << 20
"""Of one text in UTF-8."""
BOM = b"\xef\xbb\xbf"
LINE_ENDS = "\r\n"


def decode(source: Any, noun: str = "text") -> str:
    r"""The text: of a str as it is, of bytes in UTF-8, of a Path that of its file; line breaks at its end are dropped.

    Parameters
    ----------
    source:
        A str is the text itself, never the name of a file.
    noun:
        What messages call it.

    Raises
    ------
    SampleError
        It is too long, not UTF-8 (the message names line and byte), holds half of a surrogate pair, or holds nothing
        but white space.

    Examples
    --------
    >>> decode(b"Guten Tag\n")
    'Guten Tag'
    """
    if isinstance(source, Path):
        source = read_file(source, noun)
    if isinstance(source, str):
        data = _encoded(source, noun)
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        raise SampleError(f"{noun} must be a str, bytes or a Path", given=type(source).__name__)
    check_bytes(len(data), noun)
    try:
        text = data.removeprefix(BOM).decode().rstrip(LINE_ENDS)
    except UnicodeDecodeError as error:
        raise SampleError(f"{noun} must be UTF-8", given=wrong_byte(error), do="save it as UTF-8") from error
    if not text.strip():
        raise SampleError(f"{noun} must hold more than white space", given=f"{len(data)} bytes")
    return text


def check_bytes(count: int, noun: str, where: object = None) -> None:
    """SampleError if a text has more than MAX_BYTES bytes."""
    if count > MAX_BYTES:
        raise SampleError(f"{noun} is too long", where=where, given=f"{count} bytes", allowed=f"up to {MAX_BYTES}")


def read_file(path: Path, noun: str = "text") -> bytes:
    """The bytes of a text's file; SampleError naming it if it cannot be read or is too long."""
    try:
        return read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SampleError(f"{noun} cannot be read ({reason})", where=path) from error


def _encoded(text: str, noun: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        given = f"U+{ord(text[error.start]):04X}, character {error.start + 1}"
        raise SampleError(f"{noun} must not hold half of a surrogate pair", given=given) from error
