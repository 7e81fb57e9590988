"""A `tokenizer.json` as the package tokenizers reads it: from a text to the numbers of its tokens."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from premodel.errors import MissingExtraError, ModelError
from premodel.files import file_sha256

CHARACTERS = 64
"""Characters of a text that are read for each token that is wanted: the time of a text of any length is bounded."""


def open_tokenizer(file: Path, length: int) -> tuple[Callable[[str], list[int]], str]:
    """What cuts a text into at most `length` tokens, special ones among them, and a key of what it gives.

    Raises
    ------
    MissingExtraError
        The package tokenizers is not installed.
    ModelError
        The file is missing or no tokenizer.
    """
    try:
        tokenizers = import_module("tokenizers")
    except ImportError as error:
        raise MissingExtraError("tokenizers", "tokenizers") from error
    if not file.is_file():
        raise ModelError("tokenizer is missing", where=file, do="put it beside the model")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length=length)
    except Exception as error:  # the package raises Exception itself
        given = " ".join(str(error).split())[:200]
        raise ModelError("tokenizer cannot be read", where=file, given=given, allowed="a tokenizer.json") from error
    most = CHARACTERS * length

    def cut(text: str) -> list[int]:
        numbers: list[int] = tokenizer.encode(text[:most]).ids
        return numbers

    return cut, f"{file_sha256(file)}:{length}"
