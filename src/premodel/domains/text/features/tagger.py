"""A small tagger of English parts of speech: closed classes by a list, the others by their endings and neighbours.

No model and no data: what a sentence costs is microseconds. It is for English only; of a text in another language most
words count as nouns, and the features of `parts_of_speech` say little. docs/texts.md has how often it agrees with a
tagger of the field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

NOUN, VERB, ADJECTIVE, DESCRIPTIVE, ADVERB, OTHER = "N", "V", "A", "S", "R", "O"
"""DESCRIPTIVE is an adjective derived from a noun or a verb; with ADJECTIVE, the others, it makes up the adjectives."""
DETERMINER, TO = "D", "T"
"""Closed classes that tell of the word behind them; they count as OTHER."""

_CLASSES = {
    "determiner": DETERMINER, "to": TO, "other": OTHER, "verb": VERB, "adjective": ADJECTIVE, "adverb": ADVERB,
}  # fmt: skip
_ENDINGS = (
    ("ly", ADVERB), ("wards", ADVERB), ("wise", ADVERB),
    ("ful", DESCRIPTIVE), ("less", DESCRIPTIVE), ("ish", DESCRIPTIVE), ("ous", DESCRIPTIVE), ("some", DESCRIPTIVE),
    ("able", DESCRIPTIVE), ("ible", DESCRIPTIVE), ("like", DESCRIPTIVE), ("ive", DESCRIPTIVE),
    ("al", ADJECTIVE), ("ic", ADJECTIVE), ("ary", ADJECTIVE), ("ian", ADJECTIVE), ("ese", ADJECTIVE),
    ("est", ADJECTIVE),
    ("ize", VERB), ("ise", VERB), ("ify", VERB), ("izes", VERB), ("ises", VERB), ("ifies", VERB), ("ed", VERB),
)  # fmt: skip
_MIN_STEM = 3


@cache
def known_words() -> Mapping[str, str]:
    """Frequent words and their part of speech, from the lines of tags.txt: the class, then its words."""
    text = resources.files("premodel.domains.text.features").joinpath("tags.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines()]
    return {word: _CLASSES[name] for name, *words in lines for word in words}


def tag_tokens(tokens: Sequence[str]) -> list[str]:
    """The part of speech of every token, one sign each.

    Examples
    --------
    >>> "".join(tag_tokens("Two careful dogs are running quickly over the old bridge .".split()))
    'OSNVVROOANO'
    """
    tags: list[str] = []
    before, known = OTHER, known_words()
    for token in tokens:
        tag = _tag(token, before, known)
        tags.append(OTHER if tag in (DETERMINER, TO) else tag)
        before = tag
    return tags


def _tag(token: str, before: str, known: Mapping[str, str]) -> str:
    word = token.lower()
    tag = known.get(word)
    if tag is not None:
        # "the run" is a noun, "to run" is none.
        return NOUN if tag == VERB and before == DETERMINER else tag
    if not token[0].isalpha():
        return OTHER
    if before == TO:
        return VERB
    if word.endswith("ing") and len(word) >= len("ing") + _MIN_STEM:
        return ADJECTIVE if before == DETERMINER else VERB
    for ending, tag in _ENDINGS:
        if word.endswith(ending) and len(word) >= len(ending) + _MIN_STEM:
            if tag == VERB and ending == "ed" and before == DETERMINER:
                return DESCRIPTIVE
            return tag
    return NOUN
