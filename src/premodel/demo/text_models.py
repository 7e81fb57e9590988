"""Naive Bayes over a text's pieces, as callables of the demo's zoo: this file is copied beside its manifest.

It needs numpy alone, and nothing of premodel: it is what a user's own file of models may look like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

BUCKETS = 1 << 17
SMOOTHING = 0.1
WORD = re.compile(r"[^\W\d_]+")


def words(text: str) -> list[str]:
    """Words in small letters: quick."""
    return WORD.findall(text.lower())


def letters(text: str) -> list[str]:
    """All pieces of three to six letters: slow."""
    text = f" {text.lower()} "
    return [text[at : at + size] for size in range(3, 7) for at in range(len(text) - size + 1)]


PIECES = {"words": words, "letters": letters}


def places(text: str, kind: str) -> list[int]:
    """Rows of the table that a text's pieces stand for, each once."""
    return sorted({crc32(piece.encode()) % BUCKETS for piece in PIECES[kind](text)})


def fit(texts: Sequence[str], labels: np.ndarray, count: int, kind: str) -> np.ndarray:
    """float32 (BUCKETS, count): logarithm of how often a text of each label has a piece."""
    seen = np.full((BUCKETS, count), SMOOTHING)
    for text, label in zip(texts, labels.tolist(), strict=True):
        seen[places(text, kind), label] += 1
    table: np.ndarray = np.log(seen / seen.sum(axis=0)).astype(np.float32)
    return table


class NaiveBayes:
    """One of the models, opened.

    Parameters
    ----------
    kinds:
        Of the pieces: the table of each is the file KIND.npy. With several, what they state is added.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self._tables = {}
        for kind in kinds:
            with (Path(__file__).parent / f"{kind}.npy").open("rb") as stream:
                self._tables[kind] = np.lib.format.read_array(stream, allow_pickle=False)

    def __call__(self, text: str) -> list[float]:
        """Probabilities of the labels, in the order of the zoo."""
        scores = 0.0
        for kind, table in self._tables.items():
            rows = places(text, kind)
            # Pieces are not independent: the sum of all would be far too sure.
            scores = scores + table[rows].sum(axis=0) / max(1.0, np.sqrt(len(rows)))
        shares = np.exp(scores - np.max(scores))
        found: list[float] = (shares / shares.sum()).tolist()
        return found
