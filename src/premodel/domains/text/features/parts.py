"""What several families of features share, computed from a text at most once, and only when read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from premodel.domains.text.features.subwords import count_pieces
from premodel.domains.text.features.tagger import tag_tokens

MAX_CHARACTERS = 10_000
"""Features read so many characters at the beginning of a text: their time is bounded, whatever is sent."""
_TOKEN = re.compile(
    r"[぀-ヿ㐀-䶿一-鿿豈-﫿]"  # one sign of a script written without spaces
    r"|\d+(?:[.,:]\d+)*"
    r"|\w{1,30}?(?=n['\u2019]t\b)|n['\u2019]t\b|['\u2019](?:s|m|d|re|ve|ll)\b"
    r"|[^\W\d_]+(?:[-_][^\W\d_]+)*|\w+"
    r"|[^\w\s]"
)
SHARED: dict[str, tuple[str, ...]] = {"words": (), "tokens": (), "subwords": ("words",), "tags": ("tokens",)}
"""Every shared part with the parts it reads, each after those."""


class TextParts:
    """One text and what has been computed from it; made anew for every text, used by one thread."""

    def __init__(self, text: str) -> None:
        self.text = text[:MAX_CHARACTERS]

    @cached_property
    def words(self) -> Sequence[str]:
        """What white space separates."""
        return self.text.split()

    @cached_property
    def tokens(self) -> Sequence[str]:
        """Words, numbers, the endings of contracted English words, and every other sign by itself."""
        return _TOKEN.findall(self.text)

    @cached_property
    def subwords(self) -> int:
        """Pieces of all words, see `subwords`."""
        return sum(map(count_pieces, self.words))

    @cached_property
    def tags(self) -> Sequence[str]:
        """Part of speech of every token, see `tagger`."""
        return tag_tokens(self.tokens)


def shared_of(needs: Sequence[str]) -> tuple[str, ...]:
    """The shared parts that these need, directly or not, each after those that it reads."""
    wanted = set(needs)
    for name in reversed(SHARED):
        if name in wanted:
            wanted.update(SHARED[name])
    return tuple(name for name in SHARED if name in wanted)
