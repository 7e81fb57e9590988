"""How texts go in and out of a backend: as bytes in an array, so that digests, recordings and wires hold them too."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from premodel.backends.base import Tensor
from premodel.errors import RunError
from premodel.fields import is_text

PROBABILITY_BYTES = 8
MAX_ANSWER = 1 << 20
"""Characters of a text that a model answers."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class TextAnswer(NamedTuple):
    """A text that a model answered, and its probability in (0, 1]; NaN where the model gives none."""

    text: str
    probability: float


def text_tensor(text: str) -> Tensor:
    """uint8 (1, n): the UTF-8 bytes of a text.

    Examples
    --------
    >>> text_tensor("né").tolist()
    [[110, 195, 169]]
    """
    return np.frombuffer(text.encode(), np.uint8)[None]


def read_text(tensor: Tensor) -> str:
    """The text whose UTF-8 bytes a tensor holds, zeros after it dropped.

    Raises
    ------
    RunError
        They are not UTF-8.
    """
    try:
        return bytes(np.asarray(tensor, np.uint8)).rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise RunError(f"text must be UTF-8 ({error.reason} at byte {error.start})") from error


def kept_text(text: str) -> str:
    """A text that a model answered, as every file, table and wire holds it.

    Notes
    -----
    Zero characters and halves of surrogate pairs, which not all of them hold, become U+FFFD; two halves that belong
    together become their character.

    Raises
    ------
    RunError
        It is longer than MAX_ANSWER.

    Examples
    --------
    >>> kept_text("ein" + chr(0) + "Hund")
    'ein�Hund'
    """
    if len(text) > MAX_ANSWER:
        raise RunError("answer is too long", given=f"{len(text)} characters", allowed=f"up to {MAX_ANSWER}")
    if is_text(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", REPLACEMENT)


def pack_answer(text: str, probability: float = math.nan) -> Tensor:
    """uint8 (1, 8 + n): a text that a model answered, as `unpack_answer` reads it.

    Parameters
    ----------
    text:
        The answer, kept as `kept_text` has it.
    probability:
        In (0, 1], such as exp of the mean log probability of the tokens; NaN where the model gives none.

    Raises
    ------
    RunError
        The answer is too long.
    """
    data = np.array([probability], "<f8").tobytes() + kept_text(text).encode()
    return np.frombuffer(data, np.uint8)[None]


def unpack_answer(raw: Tensor) -> TextAnswer:
    """What `pack_answer` packed; zeros after the text are dropped.

    Raises
    ------
    RunError
        It is no such answer, its text is not UTF-8 or too long, or its probability is not in (0, 1].

    Examples
    --------
    >>> unpack_answer(pack_answer("ein Haus", 0.5))
    TextAnswer(text='ein Haus', probability=0.5)
    """
    if raw.dtype != np.uint8 or raw.size < PROBABILITY_BYTES:
        raise RunError("answer must be a packed text", given=f"{raw.dtype} {raw.shape}")
    data = raw.tobytes()
    probability = float(np.frombuffer(data, "<f8", 1)[0])
    if not (math.isnan(probability) or 0 < probability <= 1):
        raise RunError("probability of a text must be in (0, 1]", given=probability)
    text = read_text(np.frombuffer(data[PROBABILITY_BYTES:], np.uint8))
    return TextAnswer(kept_text(text), probability)
