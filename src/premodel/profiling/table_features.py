"""Features of the rows of a table of answers measured elsewhere: its own columns, and what is computed of a text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from premodel.clock import now_ms
from premodel.domains.base import TEXT_TASK, FeatureExtractor, FeatureGroup
from premodel.domains.registry import domain_of
from premodel.errors import DatasetError, OptionError

TEXT_FEATURES = ("characters", "words", "word_length", "lines", "digits", "punctuation", "capitals")
MAX_WORDS = 4096
MAX_LIST = 4096
"""Numbers in one column of lists."""
WORD = re.compile(r"[^\W\d_]+|\d+")
YES_NO = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


class RowFeatures:
    """Computes the features of rows, and learns from the first of them how many numbers a column of lists has.

    Parameters
    ----------
    columns:
        Columns of numbers, or of lists of numbers, each as long as that of the first row.
    text:
        Column of texts; None for none.
    words:
        Features of a bag of words of the text.
    embedding:
        Compute an embedding of the text.

    Attributes
    ----------
    group:
        The embedding's features; None for none.

    Raises
    ------
    OptionError
        Words or an embedding are wanted of no text, or too many words.
    MissingExtraError
        The embedding's package is not installed.
    """

    def __init__(
        self, columns: Sequence[str], text: str | None = None, words: int = 0, *, embedding: bool = False
    ) -> None:
        if not 0 <= words <= MAX_WORDS or (words and text is None):
            raise OptionError(
                "words must be a number of features, of a text", given=words, allowed=f"1 to {MAX_WORDS}",
                do="name the column of the text with --text",
            )  # fmt: skip
        if embedding and text is None:
            raise OptionError("an embedding must be of a text", do="name the column of the text with --text")
        self._columns = tuple(columns)
        self._text = text
        self._words = words
        self._widths: dict[str, int | None] = {}
        self.group: FeatureGroup | None = None
        self._embed: FeatureExtractor | None = None
        self._embedded_ms: list[float] = []
        if embedding:
            domain = domain_of(TEXT_TASK).with_embedding()
            self.group = domain.feature_groups[-1]
            self._embed = domain.extractor(self.group.names)
            self._embed.extract("A text before the first, which is not timed.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features but those of `group`: a list NAME is NAME1, NAME2 and so on."""
        found: list[str] = []
        for name in self._columns:
            width = self._widths.get(name)
            found += [name] if width is None else [f"{name}{place + 1}" for place in range(width)]
        found += TEXT_FEATURES if self._text else ()
        return (*found, *(f"word{place + 1}" for place in range(self._words)))

    @property
    def embedding_ms(self) -> float:
        """What an embedding took here, on average; NaN if none was computed."""
        return float(np.mean(self._embedded_ms)) if self._embedded_ms else math.nan

    def of(self, row: Mapping[str, Any], where: str) -> NDArray[np.float32]:
        """float32 (F,): those of `names`, then those of `group`; DatasetError with the row that holds none."""
        values = [number for name in self._columns for number in self._numbers(row[name], name, where)]
        if self._text is None:
            return np.array(values, np.float32)
        text = str(row[self._text])
        parts = [np.array([*values, *_of_text(text)], np.float32)]
        if self._words:
            parts.append(_bag_of_words(text, self._words))
        if self._embed is not None:
            start = now_ms()
            parts.append(self._embed.extract(text))
            self._embedded_ms.append(now_ms() - start)
        return np.concatenate(parts)

    def _numbers(self, value: Any, name: str, where: str) -> list[float]:
        """The number of a column, or those of a list: of Parquet, or written in JSON."""
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise DatasetError(f"{name} must be a list of numbers", where=where, given=repr(value)[:80]) from error
        items = value if isinstance(value, list | tuple) else None
        width = self._widths.setdefault(name, None if items is None else len(items))
        given = "a number" if items is None else f"{len(items)} numbers"
        if (None if items is None else len(items)) != width:
            allowed = "a number" if width is None else f"{width} numbers"
            raise DatasetError(f"{name} must be as in the first row", where=where, given=given, allowed=allowed)
        if items is None:
            return [read_number(value, name, where)]
        if not 1 <= len(items) <= MAX_LIST:
            raise DatasetError(f"{name} must be a list of 1 to {MAX_LIST} numbers", where=where, given=given)
        return [read_number(item, name, where) for item in items]


def read_number(value: Any, name: str, where: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number in a range, also written as text or as yes and no; DatasetError if it is none."""
    text = str(value).strip().lower()
    try:
        number = YES_NO[text] if text in YES_NO else float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high):
        allowed = (
            "a number" if low == -math.inf else f"a number from {low:g}" + ("" if high == math.inf else f" to {high:g}")
        )
        raise DatasetError(f"{name} must be {allowed}", where=where, given=repr(value)[:80])
    return number


def _of_text(text: str) -> tuple[float, ...]:
    """Plain numbers of a text: how long it is, and what signs it is made of."""
    words = text.split()
    signs = sum(not (one.isalnum() or one.isspace()) for one in text)
    return (
        float(len(text)),
        float(len(words)),
        sum(map(len, words)) / len(words) if words else 0.0,
        float(text.count("\n") + 1),
        float(sum(one.isdigit() for one in text)),
        float(signs),
        float(sum(one.isupper() for one in text)),
    )


def _bag_of_words(text: str, size: int) -> NDArray[np.float32]:
    """Logarithms of how often words of each hash occur, of length 1 together: texts of all lengths are comparable.

    The hash is the CRC-32 of the word in small letters, so that nothing is learned from the table.
    """
    counts = np.zeros(size)
    for word in WORD.findall(text.lower()):
        counts[crc32(word.encode("utf-8", "replace")) % size] += 1
    found = np.log1p(counts)
    return (found / max(float(np.linalg.norm(found)), 1e-9)).astype(np.float32)
