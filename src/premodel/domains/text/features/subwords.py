"""Pieces of words, as byte pair encoding cuts them: frequent words stay whole, rare ones fall into many."""

from __future__ import annotations

from functools import cache
from importlib import resources

MAX_PIECE = 12


@cache
def pieces() -> frozenset[str]:
    """The pieces, learned by byte pair encoding from this project's own English documentation.

    Notes
    -----
    `benchmarks/texts/learn_pieces.py` made the file. Nobody's translator has this vocabulary, and none is needed: what
    the feature tells is how common the words of a text are.
    """
    text = resources.files("premodel.domains.text.features").joinpath("pieces.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def count_pieces(word: str) -> int:
    """How many pieces a word falls into: the longest piece that fits, then the next; an unknown sign is one.

    Examples
    --------
    >>> count_pieces("the"), count_pieces("Xyzzy") > 2
    (1, True)
    """
    known, rest, count = pieces(), word.lower(), 0
    start, end = 0, len(rest)
    while start < end:
        step = min(MAX_PIECE, end - start)
        while step > 1 and rest[start : start + step] not in known:
            step -= 1
        start += step
        count += 1
    return count
